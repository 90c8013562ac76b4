"""Puts the service together: the only file that names concrete classes."""

from __future__ import annotations

import asyncio

from gatehouse.providerconfig.v1.model_service_pb2_grpc import add_ModelServiceServicer_to_server
from gatehouse.providerconfig.v1.provider_service_pb2_grpc import add_ProviderServiceServicer_to_server
from gatehouse.providerconfig.v1.snapshot_service_pb2_grpc import add_SnapshotServiceServicer_to_server

from libs.core.audit_seal import HeadSeal
from libs.core.clock import SystemClock
from libs.rpc.databases import open_database, wrong_seal
from libs.rpc.service import Service
from libs.rpc.settings import read_key_file
from services.provider_config.api.model_service import ModelServicer
from services.provider_config.api.provider_service import ProviderServicer
from services.provider_config.api.snapshot_service import SnapshotServicer
from services.provider_config.domain.snapshot_feed import SnapshotFeed
from services.provider_config.settings import Settings
from services.provider_config.storage.store import APPEND_ONLY, MIGRATIONS, SqlConfigStore

NAME = "provider-config"
DOMAIN = "providerconfig.gatehouse"

# A stream of snapshots lives as long as its connection; the router opens the next one.
LONGEST_S = {"/gatehouse.providerconfig.v1.SnapshotService/WatchSnapshots": 24 * 3600.0}


async def compose(settings: Settings, service: Service) -> None:
    """Open the database and add the servicers.

    Raises Unavailable while the database is down, OSError, WrongSetting and FailedPrecondition for what has to be
    mended before.
    """
    changed = asyncio.Event()
    clock = SystemClock()
    store = await _open_store(settings, service, changed)
    feed = SnapshotFeed(store, changed=changed, clock=clock)
    feed.start()
    service.on_close("snapshot feed", feed.close)
    # Routers would keep their streams open, and with them the process, for the whole grace time.
    service.on_stop(feed.close)

    service.add(
        add_ProviderServiceServicer_to_server,
        ProviderServicer(store, clock=clock, allow_loopback=settings.allow_loopback_endpoints),
    )
    service.add(add_ModelServiceServicer_to_server, ModelServicer(store, clock=clock))
    service.add(add_SnapshotServiceServicer_to_server, SnapshotServicer(feed))


async def _open_store(settings: Settings, service: Service, changed: asyncio.Event) -> SqlConfigStore:
    seal = HeadSeal(read_key_file(settings, "audit_seal_key_file"))
    database = await open_database(
        settings, service, name="provider_config", migrations=MIGRATIONS, append_only=APPEND_ONLY
    )
    store = SqlConfigStore(database, seal, changed=changed.set)
    if not await store.carries_our_seal():
        raise wrong_seal(settings, "audit_seal_key_file")
    return store
