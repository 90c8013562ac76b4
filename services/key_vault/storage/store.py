"""The port `KeyStore` over a Database."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection

from libs.storage.database import Database
from services.key_vault.domain.ports import KeyTransaction
from services.key_vault.storage.keys import KeyRepository
from services.key_vault.storage.requests import RequestRepository

T = TypeVar("T")

MIGRATIONS = Path(__file__).parent / "migrations"


@dataclass(frozen=True, slots=True)
class SqlTransaction:
    """The repositories of one transaction."""

    keys: KeyRepository
    requests: RequestRepository


class SqlKeyStore:
    """Keys in SQLite or PostgreSQL. The database belongs to whoever opened it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def write(self, work: Callable[[KeyTransaction], T]) -> T:
        """See `KeyStore`."""
        return await self._database.write(lambda connection: work(_transaction(connection, locking=True)))

    async def read(self, work: Callable[[KeyTransaction], T]) -> T:
        """See `KeyStore`."""
        return await self._database.read(lambda connection: work(_transaction(connection, locking=False)))


def _transaction(connection: Connection, *, locking: bool) -> SqlTransaction:
    return SqlTransaction(KeyRepository(connection, locking=locking), RequestRepository(connection))
