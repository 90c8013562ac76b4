"""Audit events are stored with what they record, in chains that many writers extend; SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, func, insert, select, text
from sqlalchemy import event as engine_events

from libs.core.audit import AuditEvent, AuditFilter, AuditHead, AuditOutcome, ChainedEvent
from libs.core.errors import FailedPrecondition, PermissionDenied
from libs.storage.audit_chain import append, heads, list_events
from libs.storage.audit_verification import verify
from libs.storage.database import Database
from libs.storage.engines import backend_for
from libs.storage.migrations import differences, upgrade
from tests.integration.storage.audit_log import (
    add,
    database_owner,
    listed,
    metadata,
    numbered,
    tables,
    things,
    write_migrations,
)
from tests.unit.core.audit_chains import OTHER_SEAL, SCOPE, SEAL, TIME, chain, event

_ALL = AuditFilter()


@pytest.fixture
def url(database_url: str, tmp_path: Path) -> str:
    """The URL of a database with an empty audit log."""
    upgrade(database_url, write_migrations(tmp_path))
    return database_url


@pytest.fixture
async def log(url: str) -> AsyncIterator[Database]:
    async with Database.open(url, name="audit") as opened:
        yield opened


def _page(wanted: AuditFilter = _ALL, **bounds: Any) -> Callable[[Connection], list[ChainedEvent]]:
    return lambda connection: list_events(connection, tables, SCOPE, wanted, **({"limit": 100} | bounds))


def _sequences(page: list[ChainedEvent]) -> list[int]:
    return [each.sequence for each in page]


def test_the_migrated_tables_are_those_of_the_code(url: str) -> None:
    assert differences(url, metadata) == []


async def test_appended_events_make_the_chain_that_anyone_can_compute(log: Database) -> None:
    events = numbered(3)
    expected = chain(events)
    assert tuple(await log.write(add(*events))) == expected.events
    assert await log.read(_page(newest_first=False)) == list(expected.events)
    assert await log.read(lambda connection: heads(connection, tables, seal=SEAL)) == [expected.head_at(3)]


async def test_an_event_comes_back_as_it_was(log: Database) -> None:
    special = event(
        actor="tenants/acme/users/ünï 'quoted\" \\ %s :name",
        roles=("a,b", 'c"d', "é", "😀"),
        address="[fe80::1%eth0]:443",
        target="",
        outcome=AuditOutcome.DENIED,
        reason="NOT_ALLOWED",
        details={"empty": "", "lines": "a\tb\r\n\u2028", "json": '{"a":[1]}'},
    )
    await log.write(add(special))
    (found,) = await log.read(_page())
    assert found.event == special


async def test_the_longest_event_fits_in_its_row(log: Database) -> None:
    longest = event(
        scope="tenants/" + "t" * 63,
        actor="😀" * 512,
        roles=tuple(f"{number:02d}" + "😀" * 62 for number in range(16)),
        address="😀" * 128,
        action="😀" * 64,
        target="😀" * 512,
        reason="😀" * 128,
        request_id="😀" * 128,
        details={f"k{number:062d}": "😀" * 1024 for number in range(32)},
    )
    await log.write(add(longest))
    result = await log.read(lambda connection: verify(connection, tables, longest.scope, seal=SEAL))
    assert (result.is_intact, result.checked) == (True, 1)


async def test_an_event_is_stored_with_the_change_it_records_or_not_at_all(log: Database) -> None:
    def refused(connection: Connection) -> None:
        add(event())(connection)
        raise PermissionDenied("PERMISSION_DENIED", "no")

    with pytest.raises(PermissionDenied):
        await log.write(refused)
    assert await log.read(listed()) == []
    assert [each.sequence for each in await log.write(add(event()))] == [1]


async def test_a_failed_work_leaves_no_gap_between_those_committed_with_it(log: Database) -> None:
    def refused(connection: Connection) -> None:
        add(event())(connection)
        raise PermissionDenied("PERMISSION_DENIED", "no")

    await asyncio.gather(
        *(log.write(refused if number % 3 else add(event())) for number in range(30)), return_exceptions=True
    )
    assert await log.read(listed()) == list(range(10, 0, -1))
    assert (await log.read(lambda connection: verify(connection, tables, SCOPE, seal=SEAL))).is_intact


async def test_each_scope_has_a_chain_of_its_own(log: Database) -> None:
    await log.write(add(event(), event(scope="platform"), event(), event(scope="tenants/acme2")))
    assert await log.read(listed()) == [2, 1]
    assert await log.read(listed(scope="platform")) == [1]
    assert await log.read(listed(scope="tenants/nobody")) == []


async def test_pages_follow_each_other_in_both_directions(log: Database) -> None:
    await log.write(add(*numbered(7)))
    assert _sequences(await log.read(_page(limit=3))) == [7, 6, 5]
    assert _sequences(await log.read(_page(limit=3, before_sequence=5))) == [4, 3, 2]
    assert _sequences(await log.read(_page(limit=3, newest_first=False))) == [1, 2, 3]
    assert _sequences(await log.read(_page(limit=3, newest_first=False, after_sequence=3))) == [4, 5, 6]
    assert _sequences(await log.read(_page(after_sequence=2, before_sequence=5))) == [4, 3]


_FILTERED = [
    event(),
    event(actor="platform/users/root", time=TIME + timedelta(seconds=1)),
    event(action="DeleteKey", time=TIME + timedelta(seconds=2)),
    event(target="tenants/acme/keys/other", time=TIME + timedelta(seconds=3)),
    event(outcome=AuditOutcome.DENIED, reason="NO", time=TIME + timedelta(seconds=4)),
]


@pytest.mark.parametrize(
    ("wanted", "sequences"),
    [
        (AuditFilter(), [5, 4, 3, 2, 1]),
        (AuditFilter(actor="platform/users/root"), [2]),
        (AuditFilter(actor="platform/users/roo"), []),
        (AuditFilter(action="DeleteKey"), [3]),
        (AuditFilter(target="tenants/acme/keys/other"), [4]),
        (AuditFilter(outcome=AuditOutcome.DENIED), [5]),
        (AuditFilter(outcome=AuditOutcome.SUCCEEDED), [4, 3, 2, 1]),
        (AuditFilter(since=TIME + timedelta(seconds=3)), [5, 4]),
        (AuditFilter(until=TIME + timedelta(seconds=3)), [3, 2, 1]),
        (AuditFilter(since=TIME + timedelta(microseconds=1), until=TIME + timedelta(seconds=2)), [2]),
        (AuditFilter(actor="platform/users/root", action="DeleteKey"), []),
        (AuditFilter(actor="tenants/acme/users/ann", outcome=AuditOutcome.DENIED), [5]),
    ],
)
async def test_a_filter_lets_through_what_equals_all_it_names(
    log: Database, wanted: AuditFilter, sequences: list[int]
) -> None:
    await log.write(add(*_FILTERED))
    assert await log.read(listed(wanted)) == sequences


@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize(
    "wanted",
    [AuditFilter(), AuditFilter(actor="tenants/acme/users/ann"), AuditFilter(target="tenants/acme/keys/openai")],
)
async def test_the_order_of_a_page_comes_from_an_index(log: Database, wanted: AuditFilter, newest_first: bool) -> None:
    def plan(connection: Connection) -> str:
        explain = "EXPLAIN QUERY PLAN " if connection.dialect.name == "sqlite" else "EXPLAIN "

        def explained(_c: Connection, _cursor: object, statement: str, parameters: Any, _x: object, _m: bool) -> Any:
            return explain + statement, parameters

        if connection.dialect.name == "postgresql":
            # A handful of rows is read at once whatever the indexes are; the choice for many is wanted.
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
            connection.exec_driver_sql("SET LOCAL enable_bitmapscan = off")
        rows: list[str] = []
        engine_events.listen(connection, "before_cursor_execute", explained, retval=True)
        try:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("libs.storage.audit_chain.chained_event", lambda row: rows.append(str(tuple(row))))
                list_events(connection, tables, SCOPE, wanted, after_sequence=10, limit=100, newest_first=newest_first)
        finally:
            engine_events.remove(connection, "before_cursor_execute", explained)
        return "\n".join(rows)

    found = await log.read(plan)
    assert "ORDER BY" not in found
    assert "Sort" not in found
    assert "SEARCH" in found or "Index Scan" in found


@pytest.mark.postgres
@pytest.mark.parametrize("before", [0, 3])
def test_a_replica_waits_for_the_one_that_appends_to_the_same_chain(
    postgres_url: str, tmp_path: Path, before: int
) -> None:
    upgrade(postgres_url, write_migrations(tmp_path))
    one, two = backend_for(postgres_url).writer(), backend_for(postgres_url).writer()
    with one.begin() as connection:
        add(*numbered(before))(connection)

    def append_on_two() -> list[ChainedEvent]:
        with two.begin() as connection:
            return add(event())(connection)

    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with ThreadPoolExecutor(1) as threads:
        with one.connect() as connection, connection.begin() as transaction:
            (first,) = add(event())(connection)
            second = threads.submit(append_on_two)
            with one.connect() as watcher:
                while not second.done() and not watcher.execute(text(waiting)).scalar_one():
                    watcher.rollback()
            assert not second.done()
            transaction.commit()
        (chained,) = second.result(timeout=10)
    assert (first.sequence, chained.sequence, chained.previous_hash) == (before + 1, before + 2, first.hash)
    one.dispose()
    two.dispose()


async def test_no_event_is_lost_when_replicas_write_to_one_new_chain_at_once(url: str) -> None:
    async with Database.open(url, name="one") as one, Database.open(url, name="two") as two:
        writes = [(one, two)[number % 2].write(add(each)) for number, each in enumerate(numbered(120))]
        written = [chained for (chained,) in await asyncio.gather(*writes)]
        assert sorted(each.sequence for each in written) == list(range(1, 121))
        stored = await one.read(_page(newest_first=False, limit=1000))
        assert stored == sorted(written, key=lambda each: each.sequence)
        assert (await two.read(lambda connection: verify(connection, tables, SCOPE, seal=SEAL))).is_intact


async def test_no_event_is_lost_when_replicas_write_to_many_chains_at_once(url: str) -> None:
    scopes = ["platform", *(f"tenants/t{number}" for number in range(9))]

    def alone(each: AuditEvent) -> Callable[[Connection], list[ChainedEvent]]:
        def work(connection: Connection) -> list[ChainedEvent]:
            if connection.dialect.name == "postgresql":
                connection.execute(select(func.pg_advisory_xact_lock(42)))
            connection.execute(insert(things).values(name=each.request_id))
            return add(each)(connection)

        return work

    events = [each for group in zip(*(numbered(30, scope) for scope in scopes), strict=True) for each in group]
    async with Database.open(url, name="one") as one, Database.open(url, name="two") as two:
        await asyncio.gather(*((one, two)[number // 3 % 2].write(alone(each)) for number, each in enumerate(events)))
        for scope in scopes:
            result = await one.read(functools.partial(verify, tables=tables, scope=scope, seal=SEAL))
            assert (result.is_intact, result.checked) == (True, 30)
        assert await one.read(lambda connection: connection.scalar(select(func.count()).select_from(things))) == 300


async def _refusal(log: Database, seal: Any = SEAL) -> str:
    def change(connection: Connection) -> None:
        connection.execute(insert(things).values(name="changed"))
        append(connection, tables, event(), seal=seal)

    before = await log.read(listed())
    with pytest.raises(FailedPrecondition) as caught:
        await log.write(change)
    assert caught.value.metadata == {"scope": SCOPE}
    assert caught.value.__context__ is None
    assert await log.read(lambda connection: connection.scalars(select(things.c.name)).all()) == []
    assert await log.read(listed()) == before
    return caught.value.reason


@pytest.mark.parametrize(
    "statements",
    [
        ["UPDATE audit_heads SET sequence = 2"],
        ["UPDATE audit_heads SET hash = (SELECT previous_hash FROM audit_events WHERE sequence = 3)"],
        ["UPDATE audit_heads SET mac = 'é'"],
        # The head of another chain, moved here with its seal.
        ["DELETE FROM audit_heads WHERE scope = 'tenants/acme'", "UPDATE audit_heads SET scope = 'tenants/acme'"],
        # A new chain would begin where the old one stands.
        ["DELETE FROM audit_heads"],
    ],
)
async def test_nothing_is_done_that_would_seal_a_forged_head(url: str, log: Database, statements: list[str]) -> None:
    await log.write(add(event(scope="platform"), *numbered(3)))
    with database_owner(url) as connection:
        for statement in statements:
            connection.execute(text(statement))
    assert await _refusal(log) == "AUDIT_LOG_DAMAGED"


async def test_a_head_put_back_with_its_seal_cannot_be_continued(url: str, log: Database) -> None:
    await log.write(add(*numbered(3)))
    earlier = SEAL.seal(chain(numbered(3)).head_at(2))
    with database_owner(url) as connection:
        connection.execute(tables.heads.update().values(sequence=2, hash=earlier.head.hash, mac=earlier.mac))
    assert await _refusal(log) == "AUDIT_LOG_DAMAGED"


async def test_a_refusal_with_the_triggers_in_place_is_the_same(url: str, log: Database) -> None:
    await log.write(add(*numbered(3)))
    earlier = SEAL.seal(chain(numbered(3)).head_at(2))
    await log.write(
        lambda connection: (
            connection.execute(
                tables.heads.update().values(sequence=2, hash=earlier.head.hash, mac=earlier.mac)
            ).rowcount
        )
    )
    assert await _refusal(log) == "AUDIT_LOG_DAMAGED"


async def test_a_replica_with_another_sealing_key_is_refused(log: Database) -> None:
    await log.write(add(event()))
    assert await _refusal(log, OTHER_SEAL) == "AUDIT_LOG_DAMAGED"
    assert [each.sequence for each in await log.write(add(event()))] == [2]


async def test_a_row_that_is_no_event_is_not_listed_as_one(url: str, log: Database) -> None:
    await log.write(add(*numbered(3)))
    with database_owner(url) as connection:
        connection.execute(text("UPDATE audit_events SET outcome = 'maybe' WHERE sequence = 2"))
    with pytest.raises(FailedPrecondition) as caught:
        await log.read(listed())
    assert caught.value.reason == "AUDIT_LOG_DAMAGED"
    assert _sequences(await log.read(_page(after_sequence=2))) == [3]


async def test_the_heads_of_all_chains_are_found(log: Database) -> None:
    scopes = ["platform", "tenants/a", "tenants/b"]
    for scope in scopes:
        await log.write(add(event(scope=scope)))
    every = await log.read(lambda connection: heads(connection, tables, seal=SEAL))
    assert [head.scope for head in every] == scopes


@pytest.mark.parametrize("change", ["sequence = 'x'", "sequence = 7", "mac = ''"])
async def test_a_broken_head_does_not_keep_the_others_from_being_anchored(
    sqlite_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, change: str
) -> None:
    upgrade(sqlite_url, write_migrations(tmp_path))
    async with Database.open(sqlite_url, name="audit") as log:
        (first,) = await log.write(add(event(scope="platform")))
        await log.write(add(event()))
        with database_owner(sqlite_url) as connection:
            connection.execute(text(f"UPDATE audit_heads SET {change} WHERE scope = 'tenants/acme'"))
        found = await log.read(lambda connection: heads(connection, tables, seal=SEAL))
        assert found == [AuditHead(scope="platform", sequence=1, hash=first.hash)]
        assert "verify the audit log" in caplog.text
        assert await _refusal(log) == "AUDIT_LOG_DAMAGED"


async def test_a_changed_field_is_not_overlooked_by_comparison(log: Database) -> None:
    (stored,) = await log.write(add(event()))
    assert (await log.read(_page()))[0] != replace(stored, event=event(details={}))
