"""`UsageStore` over a database: one writer at a time, also among replicas."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TypeVar

from sqlalchemy import Connection

from libs.core.clock import Clock
from libs.storage.database import Database
from services.usage_accounting.domain.ports import Transaction
from services.usage_accounting.storage.experiments import StoredExperiments
from services.usage_accounting.storage.ledger import StoredLedger
from services.usage_accounting.storage.quotas import StoredQuotas, StoredRequests, StoredWindows
from services.usage_accounting.storage.reservations import StoredReservations

T = TypeVar("T")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LOCK_KEY = int.from_bytes(hashlib.sha256(b"gatehouse usage ledger").digest()[:8], signed=True)
_POSTGRES_NOW = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
_POSTGRES_LOCK = f"SELECT pg_advisory_xact_lock({_LOCK_KEY})"


class StoredTransaction:
    """`Transaction` on one connection."""

    def __init__(self, connection: Connection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock
        self.reservations = StoredReservations(connection)
        self.ledger = StoredLedger(connection)
        self.experiments = StoredExperiments(connection)
        self.quotas = StoredQuotas(connection)
        self.windows = StoredWindows(connection)
        self.requests = StoredRequests(connection)

    @cached_property
    def now_us(self) -> int:
        """The database's clock, which replicas share; an SQLite file has one machine's clock only."""
        if self._connection.dialect.name == "postgresql":
            now_us: int = self._connection.exec_driver_sql(_POSTGRES_NOW).scalar_one()
            return now_us
        return (self._clock.now() - _EPOCH) // _MICROSECOND

    def wait_for_turn(self) -> None:
        """Wait until no other replica writes; until this transaction ends none does.

        Works that are committed together take their row locks in no common order, so that replicas which locked row
        by row would meet in deadlocks. SQLite has one writer anyway; one lock gives PostgreSQL the same rule, and
        events become visible in the order of their sequence.
        """
        if self._connection.dialect.name == "postgresql":
            self._connection.exec_driver_sql(_POSTGRES_LOCK).close()


class StoredUsage:
    """`UsageStore` over `database`; `clock` tells the time where the database has none."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def write(self, work: Callable[[Transaction], T]) -> T:
        """Run `work` alone and durably."""

        def run(connection: Connection) -> T:
            transaction = StoredTransaction(connection, self._clock)
            transaction.wait_for_turn()
            return work(transaction)

        return await self._database.write(run)

    async def read(self, work: Callable[[Transaction], T]) -> T:
        """Run `work` on a snapshot."""
        return await self._database.read(lambda connection: work(StoredTransaction(connection, self._clock)))
