"""A database with one small table."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from libs.storage.database import Database
from libs.storage.engines import backend_for
from tests.integration.storage.notes import metadata


def create_tables(url: str) -> None:
    backend = backend_for(url)
    backend.prepare()
    engine = backend.migrator(lock_wait_s=5)
    with engine.begin() as connection:
        metadata.create_all(connection)
    engine.dispose()


@pytest.fixture
def notes_url(database_url: str) -> str:
    """The URL of a database that has the tables of `notes.py`; SQLite and PostgreSQL."""
    create_tables(database_url)
    return database_url


@pytest.fixture
async def database(notes_url: str) -> AsyncIterator[Database]:
    async with Database.open(notes_url, name="notes") as opened:
        yield opened
