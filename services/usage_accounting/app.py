"""Puts the service together: the only file that names concrete classes."""

from __future__ import annotations

import asyncio
from pathlib import Path

from gatehouse.usage.v1.ledger_service_pb2_grpc import add_LedgerServiceServicer_to_server
from gatehouse.usage.v1.quota_service_pb2_grpc import add_QuotaServiceServicer_to_server
from gatehouse.usage.v1.usage_service_pb2_grpc import add_UsageServiceServicer_to_server

from libs.catalogue.genai_catalogue import GenaiCatalogue
from libs.core.clock import SystemClock
from libs.identity.caller import Caller
from libs.rpc import context
from libs.rpc.service import Service
from libs.storage.database import Database
from libs.storage.migrations import upgrade
from libs.telemetry import names
from libs.telemetry.logs import get_logger
from services.usage_accounting.api.ledger_service import LedgerServicer
from services.usage_accounting.api.quota_service import QuotaServicer
from services.usage_accounting.api.usage_service import UsageServicer
from services.usage_accounting.domain.lapse_worker import LapseWorker
from services.usage_accounting.domain.windows import WindowCalendar
from services.usage_accounting.settings import Settings
from services.usage_accounting.storage.store import StoredUsage

_log = get_logger(__name__)

NAME = "usage-accounting"
DOMAIN = "usage.gatehouse"
MIGRATIONS = Path(__file__).parent / "storage" / "migrations"


async def compose(settings: Settings, service: Service) -> None:
    """Open the database, start the lapse worker and add the servicers. Raises Unavailable when the database is down."""
    await asyncio.to_thread(upgrade, settings.database_url, MIGRATIONS)
    database = Database.open(settings.database_url, name="usage_accounting")
    service.on_close("database", database.close, ready=database.ping)

    clock = SystemClock()
    calendar = WindowCalendar()
    store = StoredUsage(database, clock)
    worker = LapseWorker(store, interval_s=settings.lapse_check_interval_s, lapsed=_lapsed, failed=_lapse_failed)
    worker.start()
    service.on_close("lapse worker", worker.close)

    service.add(
        add_LedgerServiceServicer_to_server,
        LedgerServicer(store, prices=GenaiCatalogue(clock), calendar=calendar, domain=DOMAIN),
    )
    service.add(add_UsageServiceServicer_to_server, UsageServicer(store, caller=_caller))
    service.add(add_QuotaServiceServicer_to_server, QuotaServicer(store, calendar=calendar, caller=_caller))


def _caller() -> Caller:
    return context.current().caller


def _lapsed(count: int) -> None:
    # Each is a call whose router died or could not reach the ledger in time; its record is an estimate.
    _log.warning(names.EVENT_RESERVATIONS_LAPSED, count=count)


def _lapse_failed(error: Exception) -> None:
    _log.error(names.EVENT_UNCAUGHT, exc_info=error)
