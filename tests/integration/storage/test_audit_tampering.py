"""Whatever somebody does to a stored chain who may do anything to the database, its verification finds it."""

from __future__ import annotations

import itertools
import tracemalloc
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, delete, insert, select, text, update

from libs.core.audit import AuditEvent, AuditHead, ChainedEvent, chain_hash
from libs.core.audit_seal import HeadSeal
from libs.core.audit_verification import ChainProblem, ChainVerification
from libs.core.errors import FailedPrecondition
from libs.storage import audit_verification
from libs.storage.audit_tables import event_values
from libs.storage.audit_verification import PagedVerification, verify
from libs.storage.database import Database
from libs.storage.engines import backend_for
from libs.storage.migrations import upgrade
from tests.integration.storage.audit_log import add, drop_triggers, numbered, tables, write_migrations
from tests.unit.core.audit_chains import OTHER_SEAL, SCOPE, SEAL, chain, event

_EVENTS = [*numbered(4), event(request_id="r-5", roles=("a", "b"), details={"a": "é", "b": "2"})]
_WHOLE = chain(_EVENTS)
_LAST = len(_EVENTS)
_events, _heads = tables.events, tables.heads


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def whole_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a database whose log holds `_WHOLE`, beside another chain; it stays as it is."""
    directory = tmp_path_factory.mktemp("audit")
    server = request.getfixturevalue("postgres_server") if request.param == "postgres" else None
    url = server.create_database() if server is not None else f"sqlite:///{directory}/log.db"
    upgrade(url, write_migrations(directory))
    engine = backend_for(url).writer()
    with engine.begin() as connection:
        add(*_EVENTS, *numbered(3, "platform"))(connection)
    engine.dispose()
    yield url
    if server is not None:
        server.drop_database(url)


@pytest.fixture
def owner(whole_url: str) -> Iterator[Connection]:
    """The database's owner, with the triggers out of the way; what is done here is undone after the test."""
    engine = backend_for(whole_url).migrator(lock_wait_s=5)
    with engine.connect() as connection, connection.begin() as transaction:
        drop_triggers(connection)
        yield connection
        transaction.rollback()
    engine.dispose()


@pytest.fixture
async def log(database_url: str, tmp_path: Path) -> AsyncIterator[Database]:
    """A log whose chain is `_WHOLE`, as a service has it open."""
    upgrade(database_url, write_migrations(tmp_path))
    async with Database.open(database_url, name="audit") as opened:
        await opened.write(add(*_EVENTS))
        yield opened


@pytest.fixture(params=[1, 2, 1000])
def page(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many events are read at once: the borders between pages must not hide anything."""
    size: int = request.param
    monkeypatch.setattr(audit_verification, "PAGE", size)
    return size


def _found(owner: Connection, anchors: Sequence[AuditHead] = ()) -> tuple[int, ChainProblem] | None:
    found = verify(owner, tables, SCOPE, seal=SEAL, anchors=anchors).chain_break
    return None if found is None else (found.sequence, found.problem)


def _change(owner: Connection, at: int, **values: Any) -> None:
    """Overwrite columns of event `at`."""
    owner.execute(update(_events).where(_events.c.scope == SCOPE, _events.c.sequence == at).values(values))


def _move(owner: Connection, *moves: tuple[int, int]) -> None:
    """Give events other sequences, one after the other."""
    for at, to in moves:
        _change(owner, at, sequence=to)


def _remove(owner: Connection, *sequences: int) -> None:
    owner.execute(delete(_events).where(_events.c.scope == SCOPE, _events.c.sequence.in_(sequences)))


def _insert(owner: Connection, *chained: ChainedEvent) -> None:
    owner.execute(insert(_events), [event_values(each) for each in chained])


def _set_head(owner: Connection, sequence: int, hash_: str, seal: HeadSeal) -> None:
    mac = seal.seal(AuditHead(scope=SCOPE, sequence=sequence, hash=hash_)).mac
    owner.execute(update(_heads).where(_heads.c.scope == SCOPE).values(sequence=sequence, hash=hash_, mac=mac))


def _linked(after: ChainedEvent, new: AuditEvent) -> ChainedEvent:
    sequence = after.sequence + 1
    return ChainedEvent(
        sequence=sequence, previous_hash=after.hash, hash=chain_hash(after.hash, sequence, new), event=new
    )


def test_a_chain_as_it_was_written_is_whole(owner: Connection, page: int) -> None:
    anchors = [_WHOLE.head_at(sequence) for sequence in range(1, _LAST + 1)]
    assert verify(owner, tables, SCOPE, seal=SEAL, anchors=anchors) == ChainVerification(
        scope=SCOPE,
        checked=_LAST,
        first_time=_EVENTS[0].time,
        last_time=_EVENTS[-1].time,
        head=_WHOLE.head_at(_LAST),
        chain_break=None,
    )


def test_a_chain_that_never_began_is_whole(owner: Connection) -> None:
    result = verify(owner, tables, "tenants/new", seal=SEAL)
    assert (result.is_intact, result.checked, result.head) == (True, 0, None)


_CHANGES: list[tuple[str, Any]] = [
    ("event_id", "0b7d6f3c-6f1e-4b0e-9a53-0d3f5a1c2b4f"),
    ("event_id", ""),
    ("time", _EVENTS[0].time.replace(microsecond=678902)),
    ("actor", "tenants/acme/users/bob"),
    ("actor", "tenants/acme/users/ann\n"),
    ("roles", []),
    ("roles", ["tenant_admin", "x"]),
    ("roles", ["z", "a"]),
    ("roles", {}),
    ("roles", [1]),
    ("address", "10.0.0.8"),
    ("action", "DeleteKey"),
    ("target", "tenants/acme/keys/openai2"),
    ("target", ""),
    ("outcome", "denied"),
    ("outcome", "Succeeded"),
    ("reason", "NO"),
    ("request_id", "r-9"),
    ("details", {}),
    ("details", {"version": "4"}),
    ("details", {"version": 3}),
    ("details", {"Version": "3"}),
    ("details", []),
    ("previous_hash", "0" * 64),
    ("previous_hash", ""),
    ("hash", "0" * 64),
    ("hash", ""),
]


@pytest.mark.parametrize("at", [1, 3, 5])
@pytest.mark.parametrize(("column", "value"), _CHANGES)
def test_a_changed_column_is_found(owner: Connection, at: int, column: str, value: Any) -> None:
    _change(owner, at, **{column: value})
    assert _found(owner) == (at, ChainProblem.ALTERED)


def test_every_column_is_changed_by_some_test() -> None:
    assert {column for column, _ in _CHANGES} | {"scope", "sequence"} == set(_events.c.keys())


@pytest.mark.parametrize("column", ["event_id", "actor", "address", "action", "target", "request_id", "hash"])
def test_a_flipped_bit_of_a_text_is_found(owner: Connection, column: str) -> None:
    stored = owner.execute(
        select(_events.c[column]).where(_events.c.scope == SCOPE, _events.c.sequence == 3)
    ).scalar_one()
    for index, bit in itertools.product(range(len(stored)), range(7)):
        flipped = stored[:index] + chr(ord(stored[index]) ^ 1 << bit) + stored[index + 1 :]
        if "\0" not in flipped:
            _change(owner, 3, **{column: flipped})
            assert _found(owner) == (3, ChainProblem.ALTERED)


@pytest.mark.parametrize(
    ("column", "stored"),
    [
        ("roles", '["a", "b"]'),
        ("roles", '["a","b"] '),
        ("roles", '["\\u0061","b"]'),
        ("roles", "null"),
        ("details", '{"a":"é", "b":"2"}'),
        ("details", '{"b":"2","a":"é"}'),
        ("details", '{"a":"x","a":"é","b":"2"}'),
        ("details", '{"a":"\\u00e9","b":"2"}'),
        ("details", '{"a":"é","b":"2"'),
        ("details", "[" * 600 + "]" * 600),
        ("time", -1),
        ("time", 2**63 - 1),
    ],
)
def test_what_no_event_holds_or_is_written_otherwise_is_found(owner: Connection, column: str, stored: object) -> None:
    owner.execute(text(f"UPDATE audit_events SET {column} = :stored WHERE sequence = 5"), {"stored": stored})
    assert _found(owner) == (5, ChainProblem.ALTERED)


def test_a_chain_moved_elsewhere_is_found(owner: Connection) -> None:
    owner.execute(text("UPDATE audit_events SET scope = 'tenants/other' WHERE scope = 'tenants/acme'"))
    assert _found(owner) == (1, ChainProblem.TRUNCATED)
    owner.execute(text("UPDATE audit_events SET scope = 'tenants/acme' WHERE scope = 'platform'"))
    assert _found(owner) == (1, ChainProblem.REORDERED)


@pytest.mark.parametrize("at", [1, 2, 3, 4])
def test_a_deleted_event_is_found(owner: Connection, page: int, at: int) -> None:
    _remove(owner, at)
    assert _found(owner) == (at, ChainProblem.MISSING)


def test_a_deleted_event_whose_gap_was_closed_is_found(owner: Connection, page: int) -> None:
    _remove(owner, 2)
    _move(owner, (3, 2), (4, 3), (5, 4))
    assert _found(owner) == (2, ChainProblem.REORDERED)


def test_an_event_given_to_another_chain_is_found(owner: Connection) -> None:
    _change(owner, 3, scope="tenants/other")
    assert _found(owner) == (3, ChainProblem.MISSING)


def test_an_inserted_event_is_found(owner: Connection, page: int) -> None:
    _move(owner, (5, 6), (4, 5), (3, 4))
    _insert(owner, _linked(_WHOLE.events[1], event(action="Forged")))
    assert _found(owner) == (4, ChainProblem.REORDERED)


@pytest.mark.parametrize("sequence", [0, -1])
def test_an_event_before_the_first_is_found(owner: Connection, page: int, sequence: int) -> None:
    _insert(owner, replace(_WHOLE.events[0], sequence=sequence))
    assert _found(owner) == (sequence, ChainProblem.REORDERED)


def test_an_event_put_at_the_end_is_found(owner: Connection, page: int) -> None:
    forged = _linked(_WHOLE.events[-1], event(action="Forged"))
    _insert(owner, forged)
    assert _found(owner) == (6, ChainProblem.HEAD_FORGED)
    _set_head(owner, 6, forged.hash, OTHER_SEAL)
    assert _found(owner) == (6, ChainProblem.HEAD_FORGED)


def test_two_swapped_events_are_found(owner: Connection, page: int) -> None:
    _move(owner, (2, 99), (4, 2), (99, 4))
    assert _found(owner) == (2, ChainProblem.REORDERED)


def test_an_event_rewritten_with_its_hash_is_found_at_the_next(owner: Connection, page: int) -> None:
    _remove(owner, 3)
    _insert(owner, _linked(_WHOLE.events[1], event(action="Forged")))
    assert _found(owner) == (4, ChainProblem.REORDERED)


def test_a_rewritten_chain_is_found_by_the_seal_and_with_a_stolen_key_by_an_anchor(
    owner: Connection, page: int
) -> None:
    rewritten = chain([_EVENTS[0], event(action="Forged"), *_EVENTS[2:]])
    _remove(owner, 1, 2, 3, 4, 5)
    _insert(owner, *rewritten.events)
    assert _found(owner) == (5, ChainProblem.HEAD_FORGED)
    _set_head(owner, 5, rewritten.events[-1].hash, OTHER_SEAL)
    assert _found(owner) == (5, ChainProblem.HEAD_FORGED)
    _set_head(owner, 5, rewritten.events[-1].hash, SEAL)
    assert _found(owner) is None
    assert _found(owner, [_WHOLE.head_at(1)]) is None
    assert _found(owner, [_WHOLE.head_at(1), _WHOLE.head_at(3)]) == (3, ChainProblem.ANCHOR_MISMATCH)


@pytest.mark.parametrize("left", [0, 1, 4])
def test_a_chain_cut_off_is_found_by_its_head(owner: Connection, page: int, left: int) -> None:
    _remove(owner, *range(left + 1, 6))
    assert _found(owner) == (left + 1, ChainProblem.TRUNCATED)


def test_a_chain_cut_off_with_its_head_moved_is_found(owner: Connection, page: int) -> None:
    _remove(owner, 4, 5)
    _set_head(owner, 3, _WHOLE.events[2].hash, OTHER_SEAL)
    assert _found(owner) == (3, ChainProblem.HEAD_FORGED)


def test_a_chain_put_back_with_the_head_of_that_time_is_found_by_an_anchor(owner: Connection, page: int) -> None:
    _remove(owner, 4, 5)
    _set_head(owner, 3, _WHOLE.events[2].hash, SEAL)
    assert _found(owner) is None
    assert _found(owner, [_WHOLE.head_at(3)]) is None
    assert _found(owner, [_WHOLE.head_at(4)]) == (4, ChainProblem.TRUNCATED)
    # Also once the chain has grown beyond the anchor again.
    add(*numbered(3))(owner)
    assert _found(owner, [_WHOLE.head_at(4)]) == (4, ChainProblem.ANCHOR_MISMATCH)


def test_a_chain_removed_with_its_head_is_found_by_an_anchor(owner: Connection) -> None:
    _remove(owner, 1, 2, 3, 4, 5)
    owner.execute(delete(_heads).where(_heads.c.scope == SCOPE))
    assert _found(owner) is None
    assert _found(owner, [_WHOLE.head_at(2)]) == (1, ChainProblem.TRUNCATED)


@pytest.mark.parametrize(
    "values", [{"mac": ""}, {"mac": "é"}, {"mac": "0" * 64}, {"hash": ""}, {"sequence": 4}, {"sequence": 6}]
)
def test_a_forged_head_is_found(owner: Connection, values: dict[str, Any]) -> None:
    owner.execute(update(_heads).where(_heads.c.scope == SCOPE).values(values))
    assert _found(owner) == (5, ChainProblem.HEAD_FORGED)


def test_a_head_that_is_gone_is_found(owner: Connection) -> None:
    owner.execute(delete(_heads).where(_heads.c.scope == SCOPE))
    assert _found(owner) == (5, ChainProblem.HEAD_FORGED)


@pytest.mark.parametrize(("sequence", "hash_"), [(4, _WHOLE.events[3].hash), (5, "ab" * 32)])
def test_a_sealed_head_that_is_not_that_of_the_last_event_is_found(
    owner: Connection, sequence: int, hash_: str
) -> None:
    _set_head(owner, sequence, hash_, SEAL)
    assert _found(owner) == (5, ChainProblem.HEAD_FORGED)


def test_the_head_of_another_chain_is_found(owner: Connection) -> None:
    owner.execute(delete(_heads).where(_heads.c.scope == SCOPE))
    owner.execute(update(_heads).values(scope=SCOPE))
    assert _found(owner) == (5, ChainProblem.HEAD_FORGED)


def _drop_primary_keys(owner: Connection) -> None:
    """So that two rows may have one sequence, or one scope."""
    for table in ("audit_events", "audit_heads"):
        if owner.dialect.name == "postgresql":
            owner.exec_driver_sql(f"ALTER TABLE {table} DROP CONSTRAINT {table}_pkey")
        else:
            owner.exec_driver_sql(f"CREATE TABLE loose AS SELECT * FROM {table}")
            owner.exec_driver_sql(f"DROP TABLE {table}")
            owner.exec_driver_sql(f"ALTER TABLE loose RENAME TO {table}")


@pytest.mark.parametrize("sequence", range(1, 6))
def test_a_repeated_event_is_found_wherever_a_page_ends(owner: Connection, page: int, sequence: int) -> None:
    _drop_primary_keys(owner)
    _insert(owner, _WHOLE.events[sequence - 1])
    result = verify(owner, tables, SCOPE, seal=SEAL)
    assert result.chain_break is not None
    assert result.chain_break.problem is ChainProblem.REORDERED


def test_a_second_head_is_found(owner: Connection) -> None:
    _drop_primary_keys(owner)
    owner.execute(text("INSERT INTO audit_heads SELECT * FROM audit_heads WHERE scope = 'tenants/acme'"))
    assert _found(owner) == (5, ChainProblem.HEAD_FORGED)
    with pytest.raises(FailedPrecondition):
        add(event())(owner)


@pytest.mark.parametrize("whole_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("actor = CAST(actor AS BLOB)", ChainProblem.ALTERED),
        ("actor = CAST(x'61ff62' AS TEXT)", ChainProblem.ALTERED),
        ("actor = actor || char(0)", ChainProblem.ALTERED),
        ("details = CAST(details AS BLOB)", ChainProblem.ALTERED),
        ("time = 'x'", ChainProblem.ALTERED),
        ("time = time + 0.5", ChainProblem.ALTERED),
        ("time = CAST(x'ff' AS TEXT)", ChainProblem.ALTERED),
        ("sequence = 2.5", ChainProblem.ALTERED),
        ("sequence = 'x'", ChainProblem.MISSING),
        ("sequence = CAST(x'ff' AS TEXT)", ChainProblem.MISSING),
    ],
)
def test_a_value_of_another_type_is_found_where_columns_take_any(
    owner: Connection, change: str, problem: ChainProblem
) -> None:
    owner.execute(text(f"UPDATE audit_events SET {change} WHERE scope = 'tenants/acme' AND sequence = 3"))
    assert _found(owner) == (3, problem)


@pytest.mark.parametrize("whole_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    "change",
    [
        "sequence = 'x'",
        "sequence = 5.5",
        "hash = CAST(hash AS BLOB)",
        "mac = CAST(mac AS BLOB)",
        "mac = CAST(x'ff' AS TEXT)",
    ],
)
def test_a_head_of_another_type_is_found_where_columns_take_any(owner: Connection, change: str) -> None:
    owner.execute(text(f"UPDATE audit_heads SET {change} WHERE scope = 'tenants/acme'"))
    assert _found(owner) == (5, ChainProblem.HEAD_FORGED)


async def test_a_chain_that_grows_while_it_is_verified_page_by_page_is_whole(
    log: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_verification, "PAGE", 7)
    verification = PagedVerification(tables, SCOPE, seal=SEAL, anchors=[_WHOLE.head_at(2)])
    await log.write(add(*numbered(15)))
    pages = 1
    while (result := await log.read(verification.advance)) is None:
        pages += 1
        if pages < 10:
            await log.write(add(*numbered(8)))
    assert (result.is_intact, result.checked) == (True, _LAST + 15 + 8 * 8)


async def test_a_page_that_failed_can_be_verified_again(log: Database, page: int) -> None:
    verification = PagedVerification(tables, SCOPE, seal=SEAL)
    failures = 0

    def unlucky(connection: Connection) -> ChainVerification | None:
        nonlocal failures
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(verification, "_page", _fail)
            try:
                return verification.advance(connection)
            except ConnectionError:
                failures += 1
        return verification.advance(connection)

    while (result := await log.read(unlucky)) is None:
        pass
    assert (result.is_intact, result.checked) == (True, _LAST)
    assert failures == (_LAST // page) + 1


def _fail(_connection: Connection) -> None:
    raise ConnectionError


async def test_a_long_chain_takes_time_but_no_memory(database_url: str, tmp_path: Path) -> None:
    whole = chain(numbered(20_000))

    def fill(connection: Connection) -> None:
        assert whole.head is not None
        _insert(connection, *whole.events)
        head = {"scope": SCOPE, "sequence": 20_000, "hash": whole.head.head.hash, "mac": whole.head.mac}
        connection.execute(insert(_heads).values(head))

    def measured(connection: Connection) -> tuple[ChainVerification, int]:
        tracemalloc.start()
        try:
            result = verify(connection, tables, SCOPE, seal=SEAL, anchors=[whole.head_at(19_999)])
            return result, tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    upgrade(database_url, write_migrations(tmp_path))
    async with Database.open(database_url, name="audit") as log:
        await log.write(fill)
        result, peak = await log.read(measured)
    assert (result.is_intact, result.checked) == (True, 20_000)
    assert peak < 10_000_000
