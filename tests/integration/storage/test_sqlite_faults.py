"""SQLite when something breaks: crashes, a full disk, locks, wrong files."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
from sqlalchemy import Connection, event

from libs.core.errors import Unavailable
from libs.storage.database import Database
from libs.storage.engines import SqliteBackend
from libs.storage.errors import DatabaseUnusable
from tests.integration.storage.conftest import create_tables
from tests.integration.storage.notes import add, count, names


@pytest.fixture
def url(sqlite_url: str) -> str:
    create_tables(sqlite_url)
    return sqlite_url


def _path(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///"))


def _modes(folder: Path) -> dict[str, int]:
    return {file.name: stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}


@pytest.mark.parametrize("round_", range(3))
def test_every_write_that_returned_is_there_after_kill_9(url: str, round_: int) -> None:
    writer = subprocess.Popen(
        [sys.executable, "-m", "tests.integration.storage.crash_writer", url], stdout=subprocess.PIPE
    )
    assert writer.stdout is not None
    # Read enough to be in the middle of the writing, at a different point each time.
    reported = [writer.stdout.readline() for _ in range(40 + 57 * round_)]
    writer.kill()
    reported += writer.stdout.readlines()
    writer.stdout.close()
    writer.wait()
    confirmed = {line.decode().strip() for line in reported if line.endswith(b"\n")}
    connection = sqlite3.connect(_path(url))
    stored = {name for (name,) in connection.execute("SELECT name FROM notes")}
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()
    assert len(confirmed) >= 40
    assert confirmed - stored == set()


async def test_the_files_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "notes.db"
    path.touch(mode=0o644)
    url = f"sqlite:///{path}"
    create_tables(url)
    async with Database.open(url, name="notes") as database:
        await database.write(add("a"))
        modes = _modes(tmp_path)
    assert modes == {"notes.db": 0o600, "notes.db-wal": 0o600, "notes.db-shm": 0o600}


async def test_closing_tidies_the_write_ahead_log_away(url: str) -> None:
    async with Database.open(url, name="notes") as database:
        await database.write(add("a"))
        await database.read(count)
    assert list(_modes(_path(url).parent)) == [_path(url).name]


async def test_writers_are_durable_and_enforce_foreign_keys(url: str) -> None:
    def settings(connection: Connection) -> list[object]:
        pragmas = ("journal_mode", "synchronous", "foreign_keys", "query_only")
        return [connection.exec_driver_sql(f"PRAGMA {pragma}").scalar_one() for pragma in pragmas]

    full = 2
    async with Database.open(url, name="notes") as database:
        assert await database.write(settings) == ["wal", full, 1, 0]
        assert (await database.read(settings))[3] == 1


@pytest.fixture
def small_disk(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Limits how many pages of 4 KiB the file of the next connections may have."""

    def limit(pages: int) -> None:
        make = SqliteBackend.writer

        def writer(self: SqliteBackend) -> object:
            engine = make(self)
            event.listen(engine, "connect", lambda raw, _: raw.execute(f"PRAGMA max_page_count={pages}"))
            return engine

        monkeypatch.setattr(SqliteBackend, "writer", writer)

    return limit


async def test_a_full_disk_is_unavailable_and_keeps_what_was_confirmed(
    url: str, small_disk: Callable[[int], None]
) -> None:
    small_disk(20)
    async with Database.open(url, name="notes") as database:
        outcomes = await asyncio.gather(
            *(database.write(add(f"{number:03}" + "x" * 90)) for number in range(1500)), return_exceptions=True
        )
        failed = [outcome for outcome in outcomes if not isinstance(outcome, str)]
        assert {getattr(error, "reason", error) for error in failed} == {"DATABASE_FULL"}
        assert sorted(outcome for outcome in outcomes if isinstance(outcome, str)) == await database.read(names)


async def test_a_work_that_hides_a_full_disk_is_not_reported_as_stored(
    url: str, small_disk: Callable[[int], None]
) -> None:
    small_disk(12)

    def work(connection: Connection) -> str:
        for number in range(3000):
            try:
                add(f"{number:04}" + "x" * 90)(connection)
            except Exception:  # noqa: BLE001 - the slip under test
                return "stored"
        return "room enough"

    async with Database.open(url, name="notes") as database:
        try:
            outcome = await database.write(work)
        except Exception as error:  # noqa: BLE001 - which one does not matter here
            outcome = type(error).__name__
        stored = await database.read(count)
        assert (outcome == "stored") is (stored > 0)


async def test_a_lock_held_by_another_process_is_unavailable_and_passes(url: str) -> None:
    other = sqlite3.connect(_path(url), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    async with Database.open(url, name="notes", lock_wait_s=0.05) as database:
        with pytest.raises(Unavailable) as caught:
            await database.write(add("a"))
        assert caught.value.reason == "DATABASE_BUSY"
        assert await database.read(count) == 0
        other.execute("ROLLBACK")
        other.close()
        assert await database.write(add("a")) == "a"


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.db").write_bytes(b"something else " * 100)
    with pytest.raises(DatabaseUnusable, match=r"notes\.db: SQLITE_NOTADB"):
        Database.open(f"sqlite:///{tmp_path}/notes.db", name="notes")


async def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnusable, match=r"missing/notes\.db: No such file"):
        Database.open(f"sqlite:///{tmp_path}/missing/notes.db", name="notes")


async def test_a_database_damaged_while_open_is_unavailable(url: str) -> None:
    async with Database.open(url, name="notes") as database:
        for file in _path(url).parent.iterdir():
            os.truncate(file, 0)
        _path(url).write_bytes(b"something else " * 1000)
        with pytest.raises(Unavailable):
            await database.write(add("a"))
        with pytest.raises(Unavailable):
            await database.ping()


async def test_a_path_is_percent_decoded_as_in_any_url(tmp_path: Path) -> None:
    path = tmp_path / "a b%20c.db"
    url = f"sqlite:///{quote(str(path))}"
    create_tables(url)
    async with Database.open(url, name="notes") as database:
        await database.write(add("a"))
    assert list(_modes(tmp_path)) == [path.name]
