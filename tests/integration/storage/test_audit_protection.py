"""A protected table only grows, whoever asks; SQLite and PostgreSQL."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Column, Connection, Integer, MetaData, String, Table, insert, select, text
from sqlalchemy.exc import IntegrityError, ProgrammingError

from libs.storage.audit_protection import protect
from libs.storage.database import Database
from libs.storage.engines import backend_for
from libs.storage.errors import Conflict, ConstraintKind
from libs.storage.migrations import differences, upgrade
from tests.integration.storage.audit_log import add, listed, metadata, numbered, tables, write_migrations
from tests.unit.core.audit_chains import event

# Quotes, a percent sign and a placeholder: the name must not leave its place in a statement.
_NAME = """it's "100%" %s :x"""
_records = Table(
    _NAME,
    MetaData(),
    Column("scope", String(20), primary_key=True),
    Column("no", Integer, primary_key=True, autoincrement=False),
    Column("said", String(20), nullable=False),
    sqlite_with_rowid=False,
)


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    """The owner (on PostgreSQL a superuser) of a database with a protected table of two rows."""
    backend = backend_for(database_url)
    backend.prepare()
    engine = backend.migrator(lock_wait_s=5)
    with engine.connect() as connected, connected.begin() as transaction:
        _records.metadata.create_all(connected)
        protect(connected, _NAME)
        connected.execute(insert(_records), [{"scope": "a", "no": number, "said": "yes"} for number in (1, 2)])
        yield connected
        transaction.rollback()
    engine.dispose()


_TABLE = '"' + _NAME.replace('"', '""') + '"'


def _refused(connection: Connection, statement: str) -> bool:
    """Whether `statement` is refused as a change and changes nothing."""
    before = connection.execute(select(_records)).all()
    driver = connection.connection.driver_connection
    assert driver is not None
    with pytest.raises((sqlite3.IntegrityError, psycopg.IntegrityError), match="append-only"):  # noqa: SIM117 - nested
        with connection.begin_nested():
            driver.execute(statement)
    return connection.execute(select(_records)).all() == before


@pytest.mark.parametrize(
    "statement",
    [
        f"UPDATE {_TABLE} SET said = 'no'",
        f"UPDATE {_TABLE} SET said = said WHERE no = 2",
        f"DELETE FROM {_TABLE} WHERE no = 1",
        f"DELETE FROM {_TABLE}",
        f"INSERT INTO {_TABLE} VALUES ('a', 1, 'no') ON CONFLICT (scope, no) DO UPDATE SET said = 'no'",
    ],
)
def test_a_row_is_neither_changed_nor_removed(connection: Connection, statement: str) -> None:
    assert _refused(connection, statement)


def test_a_table_is_not_emptied(connection: Connection) -> None:
    postgres = connection.dialect.name == "postgresql"
    assert _refused(connection, f"TRUNCATE {_TABLE}" if postgres else f"DELETE FROM {_TABLE} WHERE 1")


def test_rows_can_be_added(connection: Connection) -> None:
    connection.execute(insert(_records).values(scope="a", no=3, said="yes"))
    connection.execute(insert(_records).values(scope="b", no=1, said="yes"))
    assert len(connection.execute(select(_records)).all()) == 4


def test_protecting_a_table_again_changes_nothing(connection: Connection) -> None:
    protect(connection, _NAME)
    assert _refused(connection, f"DELETE FROM {_TABLE}")


@pytest.mark.parametrize("verb", ["INSERT OR REPLACE", "REPLACE", "INSERT OR IGNORE"])
def test_a_row_is_not_replaced_on_sqlite(sqlite_url: str, verb: str) -> None:
    backend = backend_for(sqlite_url)
    backend.prepare()
    engine = backend.migrator(lock_wait_s=5)
    with engine.begin() as connection:
        _records.metadata.create_all(connection)
        protect(connection, _NAME)
        connection.execute(insert(_records).values(scope="a", no=1, said="yes"))
        assert _refused(connection, f"{verb} INTO {_TABLE} VALUES ('a', 1, 'no')")
    engine.dispose()


async def test_the_audit_log_of_a_service_is_protected_and_its_heads_move(database_url: str, tmp_path: Path) -> None:
    upgrade(database_url, write_migrations(tmp_path))
    assert differences(database_url, metadata) == []
    async with Database.open(database_url, name="audit") as log:
        await log.write(add(*numbered(3)))
        for change in (
            tables.events.update().values(action="Forged"),
            tables.events.update().values(action="Forged").where(tables.events.c.sequence == 3),
            tables.events.delete(),
        ):
            with pytest.raises(Conflict) as caught:
                await log.write(lambda connection, change=change: connection.execute(change).rowcount)  # type: ignore[misc]
            assert caught.value.kind is ConstraintKind.OTHER
        await log.write(add(event()))
        assert await log.read(listed()) == [4, 3, 2, 1]


@pytest.mark.postgres
def test_the_owner_has_no_right_to_change_rows_and_giving_it_back_does_not_help(postgres_url: str) -> None:
    engine = backend_for(postgres_url).migrator(lock_wait_s=5)
    with engine.connect() as connection, connection.begin() as transaction:
        connection.execute(text("CREATE ROLE plain_owner"))
        connection.execute(text("GRANT CREATE ON SCHEMA public TO plain_owner"))
        connection.execute(text("SET LOCAL ROLE plain_owner"))
        connection.execute(text("CREATE TABLE records (no integer PRIMARY KEY)"))
        connection.execute(text("GRANT ALL ON records TO PUBLIC"))
        protect(connection, "records")
        connection.execute(text("INSERT INTO records VALUES (1)"))
        for verb in ("UPDATE records SET no = 2", "DELETE FROM records", "TRUNCATE records"):
            with pytest.raises(ProgrammingError, match="permission denied"), connection.begin_nested():
                connection.execute(text(verb))
        connection.execute(text("GRANT ALL ON records TO plain_owner"))
        for verb in ("UPDATE records SET no = 2", "DELETE FROM records", "TRUNCATE records"):
            with pytest.raises(IntegrityError, match="records is append-only"), connection.begin_nested():
                connection.execute(text(verb))
        transaction.rollback()
    engine.dispose()
