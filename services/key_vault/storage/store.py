"""The port `KeyStore` over a Database: one writer at a time, also among replicas."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection

from libs.core.audit import AuditHead
from libs.core.audit_seal import HeadSeal
from libs.core.audit_verification import ChainVerification
from libs.storage.audit_chain import carries_seal
from libs.storage.audit_repository import AuditRepository
from libs.storage.audit_verification import verify_in_pages
from libs.storage.database import Database
from services.key_vault.domain.ports import KeyTransaction
from services.key_vault.storage.keys import KeyRepository
from services.key_vault.storage.requests import RequestRepository
from services.key_vault.storage.rewraps import RewrapRepository
from services.key_vault.storage.statuses import KeyStatusRepository
from services.key_vault.storage.tables import audit_log
from services.key_vault.storage.uses import KeyUseRepository

T = TypeVar("T")

MIGRATIONS = Path(__file__).parent / "migrations"
APPEND_ONLY = frozenset({audit_log.events.name})
"""The tables of which the service's own role may read and add rows only."""

_LOCK_KEY = int.from_bytes(hashlib.sha256(b"gatehouse key vault").digest()[:8], signed=True)
_POSTGRES_LOCK = f"SELECT pg_advisory_xact_lock({_LOCK_KEY})"


@dataclass(frozen=True, slots=True)
class SqlTransaction:
    """The repositories of one transaction."""

    keys: KeyRepository
    requests: RequestRepository
    audit: AuditRepository
    statuses: KeyStatusRepository
    uses: KeyUseRepository
    rewraps: RewrapRepository


class SqlKeyStore:
    """Keys in SQLite or PostgreSQL. The database belongs to whoever opened it; `seal` is put on heads of audit chains.

    What is written is rare beside what is read, so it is written by one at a time: works that are committed together
    take their row locks in no common order, and replicas that locked row by row would meet in deadlocks. What a work
    has read stays as it is until its transaction ends. SQLite has one writer anyway; one lock gives PostgreSQL the same
    rule. Readers do not wait for it.
    """

    def __init__(self, database: Database, seal: HeadSeal) -> None:
        self._database = database
        self._seal = seal

    async def write(self, work: Callable[[KeyTransaction], T]) -> T:
        """See `KeyStore`."""

        def run(connection: Connection) -> T:
            if connection.dialect.name == "postgresql":
                connection.exec_driver_sql(_POSTGRES_LOCK).close()
            return work(self._transaction(connection))

        return await self._database.write(run)

    async def read(self, work: Callable[[KeyTransaction], T]) -> T:
        """See `KeyStore`."""
        return await self._database.read(lambda connection: work(self._transaction(connection)))

    async def verify_audit(self, scope: str, anchors: Sequence[AuditHead]) -> ChainVerification:
        """See `KeyStore`."""
        return await verify_in_pages(self._database, audit_log, scope, seal=self._seal, anchors=anchors)

    async def carries_our_seal(self) -> bool:
        """Whether any audit chain carries the seal of this process, or there is none yet. Raises Unavailable."""
        return await self._database.read(lambda connection: carries_seal(connection, audit_log, seal=self._seal))

    def _transaction(self, connection: Connection) -> SqlTransaction:
        return SqlTransaction(
            keys=KeyRepository(connection),
            requests=RequestRepository(connection),
            audit=AuditRepository(connection, audit_log, self._seal),
            statuses=KeyStatusRepository(connection),
            uses=KeyUseRepository(connection),
            rewraps=RewrapRepository(connection),
        )
