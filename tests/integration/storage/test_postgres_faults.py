"""PostgreSQL when something breaks: restarts under load, deadlocks, locks, a server that is not there."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Connection, select, text, update

from libs.core.errors import Unavailable
from libs.storage import group_commit
from libs.storage.database import Database
from libs.storage.errors import StatementFailed
from tests.databases import PostgresServer
from tests.integration.storage.conftest import create_tables
from tests.integration.storage.notes import add, count, names, notes

pytestmark = pytest.mark.postgres


@pytest.fixture
def url(postgres_url: str) -> str:
    create_tables(postgres_url)
    return postgres_url


@pytest.fixture
def restartable(postgres_server: PostgresServer) -> Iterator[PostgresServer]:
    """The server, running again after the test."""
    yield postgres_server
    postgres_server.stop()
    postgres_server.start()


def _grow(name: str, wait: Callable[[], object] = lambda: None) -> Callable[[Connection], int]:
    """A work that counts a note's size up, having read it under a row lock."""

    def work(connection: Connection) -> int:
        size: int = connection.scalars(select(notes.c.size).where(notes.c.name == name).with_for_update()).one()
        wait()
        connection.execute(update(notes).where(notes.c.name == name).values(size=size + 1))
        return size + 1

    return work


@pytest.mark.parametrize("immediately", [False, True])
async def test_a_restart_under_load_loses_nothing_and_heals(
    url: str, restartable: PostgresServer, immediately: bool
) -> None:
    confirmed: list[str] = []
    reasons: set[str] = set()
    running = True

    async def write_on(database: Database, writer: int) -> None:
        number = 0
        while running:
            number += 1
            try:
                confirmed.append(await database.write(add(f"{writer}-{number}")))
                await database.read(count)
            except Unavailable as error:
                reasons.add(error.reason)
                await asyncio.sleep(0.01)

    async with Database.open(url, name="notes") as database:
        writers = [asyncio.create_task(write_on(database, writer)) for writer in range(8)]
        await asyncio.sleep(0.3)
        before = len(confirmed)
        await asyncio.to_thread(restartable.stop, immediately=immediately)
        await asyncio.sleep(0.3)
        with pytest.raises(Unavailable):
            await database.ping()
        await asyncio.to_thread(restartable.start)
        healed = len(confirmed)
        async with asyncio.timeout(10):
            while len(confirmed) < healed + 50:
                await asyncio.sleep(0.01)
            await database.ping()
        running = False
        await asyncio.gather(*writers)
        assert before > 0
        assert reasons == {"DATABASE_UNAVAILABLE"}
        assert set(confirmed) - set(await database.read(names)) == set()


async def test_connections_that_died_while_idle_are_not_noticed_by_callers(
    url: str, restartable: PostgresServer
) -> None:
    async with Database.open(url, name="notes", read_threads=1) as database:
        await database.write(add("a"))
        await database.read(count)
        await asyncio.to_thread(restartable.stop)
        await asyncio.to_thread(restartable.start)
        assert await database.write(add("b")) == "b"
        assert await database.read(names) == ["a", "b"]


async def test_a_connection_lost_in_mid_batch_runs_the_batch_again(url: str) -> None:
    def cut(connection: Connection) -> None:
        pid = connection.connection.driver_connection.info.backend_pid  # type: ignore[union-attr]
        with psycopg.connect(url, autocommit=True) as other:
            if not cuts:
                cuts.append(pid)
                other.execute("SELECT pg_terminate_backend(%s)", (pid,))
        connection.execute(select(1)).one()

    cuts: list[int] = []
    async with Database.open(url, name="notes") as database:
        await database.write(add("warm"))
        gate = threading.Event()
        blocker = asyncio.create_task(database.write(lambda _connection: gate.wait(10)))
        await asyncio.sleep(0.02)
        waiting = [asyncio.create_task(database.write(work)) for work in (add("a"), cut, add("b"))]
        await asyncio.sleep(0)
        gate.set()
        await asyncio.gather(blocker, *waiting)
        assert await database.read(names) == ["a", "b", "warm"]


async def test_a_write_whose_commit_was_cut_is_not_run_again_and_says_that_its_outcome_is_unknown(url: str) -> None:
    runs: list[str] = []

    def work(connection: Connection) -> None:
        runs.append(add("a")(connection))

    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute(
            "CREATE FUNCTION cut() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(5); RETURN NULL; END $$"
        )
        admin.execute(
            "CREATE CONSTRAINT TRIGGER cut AFTER INSERT ON notes DEFERRABLE INITIALLY DEFERRED "
            "FOR EACH ROW EXECUTE FUNCTION cut()"
        )
    async with Database.open(url, name="notes") as database:
        await database.write(count)
        with pytest.raises(Unavailable) as caught:
            await database.write(work)
    assert len(runs) == 1
    assert (caught.value.reason, caught.value.metadata["outcome"]) == ("DATABASE_UNAVAILABLE", "unknown")


async def test_a_work_that_cannot_be_committed_fails_alone(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute("ALTER TABLE notes ADD CONSTRAINT one_size UNIQUE (size) DEFERRABLE INITIALLY DEFERRED")
    async with Database.open(url, name="notes") as database:
        await database.write(add("a", 1))
        gate = threading.Event()
        blocker = asyncio.create_task(database.write(lambda _connection: gate.wait(10)))
        await asyncio.sleep(0.02)
        works = [add("b", 2), add("clash", 1), add("c", 3)]
        waiting = [asyncio.create_task(database.write(work)) for work in works]
        await asyncio.sleep(0)
        gate.set()
        await blocker
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        assert [str(outcome) for outcome in outcomes] == ["b", "a unique constraint was violated: one_size", "c"]
        assert await database.read(names) == ["a", "b", "c"]


async def test_replicas_that_deadlock_both_succeed(url: str) -> None:
    barrier = threading.Barrier(2, timeout=10)
    met: list[int] = []

    def meet() -> None:
        # Only the first time: a re-run has nobody to meet.
        if len(met) < 2:
            met.append(1)
            barrier.wait()

    def both(first: str, second: str) -> Callable[[Connection], None]:
        def work(connection: Connection) -> None:
            _grow(first, meet)(connection)
            _grow(second)(connection)

        return work

    # The server looks for deadlocks after a second (deadlock_timeout); nothing here waits for a lock longer.
    async with Database.open(url, name="one") as one, Database.open(url, name="two") as two:
        await one.write(add("a"))
        await one.write(add("b"))
        await asyncio.gather(one.write(both("a", "b")), two.write(both("b", "a")))
        sizes = await one.read(lambda connection: list(connection.scalars(select(notes.c.size))))
        assert sizes == [2, 2]


async def test_contention_that_does_not_end_is_unavailable(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_commit, "_FIRST_BACKOFF_S", 0.0)
    runs: list[int] = []

    def work(connection: Connection) -> None:
        runs.append(1)
        connection.execute(text("DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '40001'; END $$"))

    async with Database.open(url, name="notes") as database:
        with pytest.raises(Unavailable) as caught:
            await database.write(work)
        assert caught.value.reason == "DATABASE_BUSY"
        assert len(runs) == 6
        assert await database.write(add("a")) == "a"


async def test_two_replicas_lose_no_update(url: str) -> None:
    async with Database.open(url, name="one") as one, Database.open(url, name="two") as two:
        await one.write(add("a"))
        await asyncio.gather(*((one, two)[number % 2].write(_grow("a")) for number in range(100)))
        sizes = await one.read(lambda connection: list(connection.scalars(select(notes.c.size))))
        assert sizes == [100]


async def test_a_row_lock_held_by_another_is_unavailable_for_that_work_only(url: str) -> None:
    async with Database.open(url, name="notes", lock_wait_s=0.1) as database:
        await database.write(add("locked"))
        with psycopg.connect(url) as other:
            other.execute("SELECT * FROM notes FOR UPDATE")
            outcomes = await asyncio.gather(
                database.write(_grow("locked")), database.write(add("free")), return_exceptions=True
            )
        assert isinstance(outcomes[0], Unavailable)
        assert outcomes[0].reason == "DATABASE_BUSY"
        assert outcomes[1] == "free"


async def test_a_server_that_does_not_answer_costs_all_waiting_calls_one_timeout(tmp_path: Path) -> None:
    url = f"postgresql://gatehouse@/notes?host={tmp_path}"
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / ".s.PGSQL.5432"))
        silent.listen()
        async with (
            Database.open(url, name="notes", connect_timeout_s=1, read_threads=1) as database,
            asyncio.timeout(30),
        ):
            calls = [database.write(count) for _ in range(3000)] + [database.read(count) for _ in range(100)]
            outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert {getattr(outcome, "reason", outcome) for outcome in outcomes} == {"DATABASE_UNAVAILABLE"}


@pytest.mark.parametrize("state", ["53100", "57P01", "25006"])
async def test_a_server_in_trouble_is_unavailable(url: str, state: str) -> None:
    def work(connection: Connection) -> None:
        connection.execute(text(f"DO $$ BEGIN RAISE EXCEPTION 'sk-canary' USING ERRCODE = '{state}'; END $$"))

    async with Database.open(url, name="notes") as database:
        with pytest.raises(Unavailable) as caught:
            await database.write(work)
        assert caught.value.reason == ("DATABASE_FULL" if state == "53100" else "DATABASE_UNAVAILABLE")
        assert await database.write(add("a")) == "a"


async def test_a_server_that_is_not_there_is_unavailable_and_its_password_stays_secret(
    caplog: pytest.LogCaptureFixture,
) -> None:
    url = "postgresql://gatehouse:sk-canary@127.0.0.1:1/notes"
    async with Database.open(url, name="notes") as database:
        for call in (database.write(count), database.read(count), database.ping()):
            with pytest.raises(Unavailable) as caught:
                await call
            assert caught.value.reason == "DATABASE_UNAVAILABLE"
            assert "canary" not in repr(caught.value)
            assert caught.value.__context__ is None
    assert "canary" not in caplog.text


async def test_a_value_the_server_refuses_is_not_quoted(url: str) -> None:
    async with Database.open(url, name="notes") as database:
        with pytest.raises(StatementFailed) as caught:
            await database.write(
                lambda connection: connection.execute(text("SELECT CAST(:x AS integer)"), {"x": "sk-canary"}).one()
            )
        assert "canary" not in repr(caught.value)
