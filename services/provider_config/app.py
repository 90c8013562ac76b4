"""Puts the service together: the only file that names concrete classes."""

from __future__ import annotations

import asyncio
from pathlib import Path

from gatehouse.providerconfig.v1.model_service_pb2_grpc import add_ModelServiceServicer_to_server
from gatehouse.providerconfig.v1.provider_service_pb2_grpc import add_ProviderServiceServicer_to_server
from gatehouse.providerconfig.v1.snapshot_service_pb2_grpc import add_SnapshotServiceServicer_to_server

from libs.core.clock import SystemClock
from libs.identity.caller import Caller
from libs.rpc import context
from libs.rpc.service import Service
from libs.storage.database import Database
from libs.storage.migrations import upgrade
from services.provider_config.api.model_service import ModelServicer
from services.provider_config.api.provider_service import ProviderServicer
from services.provider_config.api.snapshot_service import SnapshotServicer
from services.provider_config.domain.snapshot_feed import SnapshotFeed
from services.provider_config.settings import Settings
from services.provider_config.storage.store import SqlConfigStore

NAME = "provider-config"
DOMAIN = "providerconfig.gatehouse"
MIGRATIONS = Path(__file__).parent / "storage" / "migrations"

# A stream of snapshots lives as long as its connection; the router opens the next one.
LONGEST_S = {"/gatehouse.providerconfig.v1.SnapshotService/WatchSnapshots": 24 * 3600.0}


async def compose(settings: Settings, service: Service) -> None:
    """Open the database and add the servicers. Raises Unavailable when the database is down."""
    await asyncio.to_thread(upgrade, settings.database_url, MIGRATIONS)
    database = Database.open(settings.database_url, name="provider_config")
    service.on_close("database", database.close, ready=database.ping)

    changed = asyncio.Event()
    clock = SystemClock()
    store = SqlConfigStore(database, changed=changed.set)
    feed = SnapshotFeed(store, changed=changed, clock=clock)
    feed.start()
    service.on_close("snapshot feed", feed.close)
    # Routers would keep their streams open, and with them the process, for the whole grace time.
    service.on_stop(feed.close)

    service.add(
        add_ProviderServiceServicer_to_server,
        ProviderServicer(store, clock=clock, caller=_caller, allow_loopback=settings.allow_loopback_endpoints),
    )
    service.add(add_ModelServiceServicer_to_server, ModelServicer(store, clock=clock, caller=_caller))
    service.add(add_SnapshotServiceServicer_to_server, SnapshotServicer(feed))


def _caller() -> Caller:
    return context.current().caller
