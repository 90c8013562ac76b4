"""Puts the service together: the only file that names concrete classes."""

from __future__ import annotations

import asyncio
import uuid
from datetime import timedelta
from functools import partial
from importlib.metadata import version
from types import MappingProxyType

from gatehouse.providerconfig.v1.audit_service_pb2_grpc import add_AuditServiceServicer_to_server
from gatehouse.providerconfig.v1.model_service_pb2_grpc import add_ModelServiceServicer_to_server
from gatehouse.providerconfig.v1.preference_service_pb2_grpc import (
    add_PreferenceServiceServicer_to_server,
    add_ProfileServiceServicer_to_server,
)
from gatehouse.providerconfig.v1.provider_service_pb2_grpc import add_ProviderServiceServicer_to_server
from gatehouse.providerconfig.v1.route_service_pb2_grpc import add_RouteServiceServicer_to_server
from gatehouse.providerconfig.v1.snapshot_service_pb2_grpc import add_SnapshotServiceServicer_to_server

from libs.catalogue.model_catalogue import ModelCatalogue
from libs.core.audit_authors import Occasion
from libs.core.audit_log import append_all
from libs.core.audit_seal import HeadSeal
from libs.core.clock import Clock, SystemClock
from libs.core.endpoints import EndpointRules
from libs.plugins.loading import installed_plugins
from libs.plugins.telling import tell
from libs.rpc.channels import open_channel
from libs.rpc.databases import open_database, wrong_seal
from libs.rpc.denial_recorder import DenialRecorder
from libs.rpc.name_lookup import NameLookup
from libs.rpc.recurring import Recurring
from libs.rpc.service import Service
from libs.rpc.settings import read_key_file
from services.provider_config.api.audit_service import AuditServicer
from services.provider_config.api.convert_snapshots import CONTENT_FORMAT, SnapshotMessages
from services.provider_config.api.model_service import ModelServicer
from services.provider_config.api.preference_service import PreferenceServicer
from services.provider_config.api.profile_service import ProfileServicer
from services.provider_config.api.provider_options import option_problems
from services.provider_config.api.provider_service import ProviderServicer
from services.provider_config.api.route_service import RouteServicer
from services.provider_config.api.snapshot_service import SnapshotServicer
from services.provider_config.clients.addresses import ResolvedAddresses
from services.provider_config.clients.key_vault import KeyVaultClient
from services.provider_config.clients.router import RouterClient
from services.provider_config.domain.checked_choices import CheckedChoices
from services.provider_config.domain.ports import ConfigStore
from services.provider_config.domain.probe_provider import Probing
from services.provider_config.domain.provider_reach import ReachChecks
from services.provider_config.domain.provider_rules import ProviderRules
from services.provider_config.domain.provider_types import PROVIDER_TYPES, ProviderTypes
from services.provider_config.domain.snapshot_feed import SnapshotFeed
from services.provider_config.domain.sync_models import ModelSync
from services.provider_config.settings import Settings
from services.provider_config.storage.store import APPEND_ONLY, MIGRATIONS, SqlConfigStore

NAME = "provider-config"
DOMAIN = "providerconfig.gatehouse"

_FLUSH_S = 1.0
# What this version puts into snapshots: which fields, and whose prices.
_CONTENT = f"{CONTENT_FORMAT} {version('genai-prices')}"
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
    await store.write(lambda transaction: transaction.compose(_CONTENT))
    denials = DenialRecorder(lambda events: store.write(partial(append_all, events)), clock, new_uid=_new_uid)
    service.denied = denials.record
    feed = SnapshotFeed(store, changed=changed, clock=clock)
    feed.start()
    service.on_close("snapshot feed", feed.close)
    # Routers would keep their streams open, and with them the process, for the whole grace time.
    service.on_stop(feed.close)

    keys = _keys(settings, service)
    endpoints = EndpointRules(allow_loopback=settings.allow_loopback_endpoints, allowed=settings.allowed_endpoints)
    types = await _provider_types(service)
    rules = ProviderRules(endpoint_problem=endpoints.url_problem, option_problems=option_problems, types=types)
    lookup = NameLookup()
    service.on_close("name lookup", lookup.close)
    reach = ReachChecks(store=store, keys=keys, addresses=ResolvedAddresses(endpoints, lookup))
    probing = _probing(settings, service, store, clock)
    service.add(
        add_ProviderServiceServicer_to_server, ProviderServicer(store, reach, probing, clock=clock, rules=rules)
    )
    # Reading the catalogue takes a quarter of a second: now, not at the first call.
    catalogue = await asyncio.to_thread(ModelCatalogue, clock)
    sync = ModelSync(probing=probing, catalogue=catalogue, new_uid=_new_uid, types=types)
    models = ModelServicer(store, sync, clock=clock, catalogue=catalogue, types=types)
    service.add(add_ModelServiceServicer_to_server, models)
    service.add(add_RouteServiceServicer_to_server, RouteServicer(store, clock=clock))
    choices = CheckedChoices(store=store, keys=keys)
    service.add(add_PreferenceServiceServicer_to_server, PreferenceServicer(store, choices, clock=clock))
    service.add(add_ProfileServiceServicer_to_server, ProfileServicer(store, choices, clock=clock))
    service.add(add_SnapshotServiceServicer_to_server, SnapshotServicer(feed, SnapshotMessages(catalogue)))
    service.add(
        add_AuditServiceServicer_to_server,
        AuditServicer(store, occasion=lambda: Occasion(now=clock.now(), uid=_new_uid())),
    )

    # Added last and so closed first: what calls leave behind is stored while the database is still open.
    service.on_close("denials", Recurring("store denials", denials.store, interval_s=_FLUSH_S, last=True).close)


def _keys(settings: Settings, service: Service) -> KeyVaultClient:
    channel = open_channel(settings.key_vault_target, settings)
    service.on_close("key-vault channel", channel.close)
    return KeyVaultClient(channel, timeout_s=settings.key_vault_timeout_s)


def _probing(settings: Settings, service: Service, store: ConfigStore, clock: Clock) -> Probing:
    channel = open_channel(settings.router_target, settings)
    service.on_close("router channel", channel.close)
    return Probing(
        store=store,
        router=RouterClient(channel),
        clock=clock,
        timeout=timedelta(seconds=settings.probe_timeout_s),
        floor=timedelta(seconds=settings.probe_floor_s),
    )


async def _provider_types(service: Service) -> ProviderTypes:
    """The built-in types and those of the plugins."""
    found = await asyncio.to_thread(installed_plugins, PROVIDER_TYPES)
    tell(found, service.telemetry)
    return MappingProxyType({**PROVIDER_TYPES, **{each.plugin.type.id: each.plugin.type for each in found.loaded}})


def _new_uid() -> str:
    return str(uuid.uuid4())


async def _open_store(settings: Settings, service: Service, changed: asyncio.Event) -> SqlConfigStore:
    seal = HeadSeal(read_key_file(settings, "audit_seal_key_file"))
    database = await open_database(
        settings, service, name="provider_config", migrations=MIGRATIONS, append_only=APPEND_ONLY
    )
    store = SqlConfigStore(database, seal, changed=changed.set)
    if not await store.carries_our_seal():
        raise wrong_seal(settings, "audit_seal_key_file")
    return store
