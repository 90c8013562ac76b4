"""What a Database promises, on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from sqlalchemy import Connection, insert, select, text, update
from sqlalchemy.exc import IntegrityError

from libs.core.errors import AlreadyExists, Internal, NotFound, Unavailable
from libs.storage.conflicts import on_duplicate
from libs.storage.database import Database
from libs.storage.errors import Conflict, ConstraintKind, StatementFailed
from tests.integration.storage.notes import add, count, names, notes, remarks


async def _together(database: Database, *works: Callable[[Connection], object]) -> list[object]:
    """Run `works` in one batch: the writer is held up until all of them wait. Exceptions are results."""
    gate = threading.Event()
    blocker = asyncio.create_task(database.write(lambda _connection: gate.wait(10)))
    await asyncio.sleep(0.02)
    waiting = [asyncio.create_task(database.write(work)) for work in works]
    await asyncio.sleep(0)
    gate.set()
    await blocker
    return list(await asyncio.gather(*waiting, return_exceptions=True))


def _chain(error: BaseException | None) -> list[BaseException]:
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found


async def test_a_read_sees_every_write_that_returned_before(database: Database) -> None:
    for number in range(20):
        await database.write(add(f"n{number:02}"))
        assert await database.read(count) == number + 1


async def test_a_work_returns_its_value(database: Database) -> None:
    assert await database.write(add("a")) == "a"


async def test_a_lone_work_that_raises_leaves_nothing(database: Database) -> None:
    def work(connection: Connection) -> None:
        add("a")(connection)
        raise NotFound("NOTE_NOT_FOUND", "no such note")

    with pytest.raises(NotFound, match="no such note"):
        await database.write(work)
    assert await database.read(names) == []
    await database.write(add("a"))


async def test_in_a_batch_only_the_work_that_raises_loses_its_changes(database: Database) -> None:
    def broken(connection: Connection) -> None:
        add("lost")(connection)
        raise NotFound("NOTE_NOT_FOUND", "no such note")

    outcomes = await _together(database, add("a"), broken, add("b"), add("a"), add("c"))
    assert [type(outcome) for outcome in outcomes] == [str, NotFound, str, Conflict, str]
    assert await database.read(names) == ["a", "b", "c"]


async def test_waiting_works_share_one_transaction(database: Database) -> None:
    transactions: list[object] = []

    def work(connection: Connection) -> None:
        transactions.append(connection.get_transaction())

    await _together(database, *[work] * 10)
    assert len(set(map(id, transactions))) == 1


async def test_a_work_sees_what_the_works_before_it_did(database: Database) -> None:
    assert await _together(database, add("a"), count, add("b"), count) == ["a", 1, "b", 2]


async def test_works_run_in_the_order_of_the_calls(database: Database) -> None:
    order: list[int] = []
    await asyncio.gather(*(database.write(lambda _c, n=n: order.append(n)) for n in range(300)))  # type: ignore[misc]
    assert order == list(range(300))


async def test_no_update_is_lost_among_many_writers(database: Database) -> None:
    await database.write(add("counter"))

    def increment(connection: Connection) -> None:
        size = connection.scalars(select(notes.c.size)).one()
        connection.execute(update(notes).values(size=size + 1))

    await asyncio.gather(*(database.write(increment) for _ in range(200)))
    assert await database.read(lambda connection: connection.scalars(select(notes.c.size)).one()) == 200


@pytest.mark.parametrize("in_batch", [False, True])
async def test_a_failed_statement_that_a_work_swallows_is_never_reported_as_stored_unless_it_is(
    database: Database, in_batch: bool
) -> None:
    await database.write(add("taken"))

    def careless(connection: Connection) -> None:
        add("careless")(connection)
        with contextlib.suppress(Exception):
            add("taken")(connection)

    works = [careless, add("other")] if in_batch else [careless]
    outcomes = await _together(database, *works)
    stored = "careless" in await database.read(names)
    # SQLite undoes the statement only, PostgreSQL everything: both are fine, a wrong report is not.
    assert (outcomes[0] is None) is stored
    assert stored or isinstance(outcomes[0], StatementFailed)
    if in_batch:
        assert outcomes[1] == "other"


@pytest.mark.parametrize("end", ["commit", "rollback"])
@pytest.mark.parametrize("in_batch", [False, True])
async def test_a_work_that_ends_the_transaction_itself_fails_alone_and_leaves_nothing(
    database: Database, end: str, in_batch: bool
) -> None:
    def work(connection: Connection) -> None:
        add("half")(connection)
        getattr(connection, end)()

    works = [add("a"), work, add("b")] if in_batch else [work]
    outcomes = await _together(database, *works)
    assert [type(outcome) for outcome in outcomes] == ([str, StatementFailed, str] if in_batch else [StatementFailed])
    await database.write(add("c"))
    assert await database.read(names) == (["a", "b", "c"] if in_batch else ["c"])


async def test_a_duplicate_becomes_the_error_the_repository_names(database: Database) -> None:
    def work(connection: Connection) -> None:
        with on_duplicate(AlreadyExists("NOTE_EXISTS", "the note exists")):
            add("sk-canary")(connection)

    await database.write(work)
    with pytest.raises(AlreadyExists) as caught:
        await database.write(work)
    assert all("canary" not in repr(error) for error in _chain(caught.value))


@pytest.mark.parametrize("explicitly", [False, True])
async def test_an_error_raised_from_a_drivers_error_arrives_without_it(database: Database, explicitly: bool) -> None:
    def work(connection: Connection) -> None:
        try:
            add("sk-canary")(connection)
        except IntegrityError as violation:
            if explicitly:
                raise AlreadyExists("NOTE_EXISTS", "the note exists") from violation
            raise AlreadyExists("NOTE_EXISTS", "the note exists")  # noqa: B904 - the slip under test

    await database.write(work)
    with pytest.raises(AlreadyExists) as caught:
        await database.write(work)
    assert len(_chain(caught.value)) == 1


async def test_another_violation_is_no_duplicate(database: Database) -> None:
    def work(connection: Connection) -> None:
        with on_duplicate(AlreadyExists("NOTE_EXISTS", "the note exists")):
            add("a", size=-1)(connection)

    with pytest.raises(Conflict) as caught:
        await database.write(work)
    assert caught.value.kind is ConstraintKind.CHECK


async def test_a_work_goes_on_after_a_duplicate_in_a_nested_transaction(database: Database) -> None:
    await database.write(add("a"))

    def work(connection: Connection) -> str:
        try:
            with on_duplicate(AlreadyExists("NOTE_EXISTS", "the note exists")), connection.begin_nested():
                add("a")(connection)
        except AlreadyExists:
            return add("b")(connection)
        return "a"

    assert await _together(database, work, add("c")) == ["b", "c"]
    assert await database.read(names) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("work", "kind"),
    [
        (add("sk-canary"), ConstraintKind.UNIQUE),
        (lambda c: c.execute(insert(notes).values(name="sk-canary2", size=-1)), ConstraintKind.CHECK),
        (lambda c: c.execute(insert(remarks).values(note="sk-canary-none")), ConstraintKind.FOREIGN_KEY),
        (lambda c: c.execute(insert(notes).values(name="sk-canary3", size=None)), ConstraintKind.NOT_NULL),
    ],
)
async def test_a_conflict_tells_its_kind_and_no_value(
    database: Database, work: Callable[[Connection], object], kind: ConstraintKind, caplog: pytest.LogCaptureFixture
) -> None:
    await database.write(add("sk-canary"))
    with pytest.raises(Conflict) as caught:
        await database.write(work)
    assert caught.value.kind is kind
    assert all("canary" not in repr(error) for error in _chain(caught.value))
    assert "canary" not in caplog.text


async def test_a_refused_statement_shows_neither_values_nor_the_drivers_text(database: Database) -> None:
    def work(connection: Connection) -> None:
        connection.execute(text("SELECT nothing FROM notes WHERE name = :name"), {"name": "sk-canary"})

    for run in (database.write, database.read):
        with pytest.raises(StatementFailed, match="SELECT nothing") as caught:
            await run(work)
        assert all("canary" not in repr(error) for error in _chain(caught.value))


async def test_a_value_that_does_not_fit_its_column_fails_without_being_quoted(database: Database) -> None:
    with pytest.raises(StatementFailed, match="ColumnValueError") as caught:
        await database.write(add("a", size="sk-canary"))  # type: ignore[arg-type]
    assert all("canary" not in repr(error) for error in _chain(caught.value))


async def test_a_read_cannot_write(database: Database) -> None:
    with pytest.raises(StatementFailed):
        await database.read(add("a"))
    assert await database.read(names) == []


async def test_a_read_keeps_its_snapshot_while_others_write(database: Database) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def work(connection: Connection) -> tuple[int, int]:
        before = count(connection)
        begun.set()
        go_on.wait(10)
        return before, count(connection)

    reading = asyncio.create_task(database.read(work))
    await asyncio.to_thread(begun.wait, 10)
    await database.write(add("a"))
    go_on.set()
    assert await reading == (0, 0)
    assert await database.read(count) == 1


async def test_a_cancelled_caller_does_not_disturb_the_others(database: Database) -> None:
    gate = threading.Event()
    blocker = asyncio.create_task(database.write(lambda _connection: gate.wait(10)))
    await asyncio.sleep(0.02)
    tasks = [asyncio.create_task(database.write(add(name))) for name in "abc"]
    await asyncio.sleep(0)
    tasks[1].cancel()
    blocker.cancel()
    gate.set()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [outcomes[0], outcomes[2]] == ["a", "c"]
    assert isinstance(outcomes[1], asyncio.CancelledError)
    assert await database.read(names) == ["a", "c"]


async def test_a_caller_cancelled_while_its_work_runs_does_not_disturb_the_batch(database: Database) -> None:
    gate, running, go_on = threading.Event(), threading.Event(), threading.Event()

    def slow(_connection: Connection) -> None:
        running.set()
        go_on.wait(10)

    blocker = asyncio.create_task(database.write(lambda _connection: gate.wait(10)))
    await asyncio.sleep(0.02)
    tasks = [asyncio.create_task(database.write(work)) for work in (add("a"), slow, add("b"))]
    await asyncio.sleep(0)
    gate.set()
    await asyncio.to_thread(running.wait, 10)
    tasks[1].cancel()
    await asyncio.sleep(0)
    go_on.set()
    async with asyncio.timeout(10):
        await asyncio.wait([blocker, *tasks])
    assert [tasks[0].result(), tasks[1].cancelled(), tasks[2].result()] == ["a", True, "b"]


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, GeneratorExit, asyncio.CancelledError, StopIteration])
@pytest.mark.parametrize("reading", [False, True])
async def test_no_exception_of_a_work_can_stop_a_thread_or_the_event_loop(
    database: Database, error: type[BaseException], reading: bool
) -> None:
    def work(_connection: Connection) -> None:
        raise error

    for _ in range(5):
        with pytest.raises(RuntimeError if error is StopIteration else Internal):
            await (database.read(work) if reading else database.write(work))
    assert await database.write(add("a")) == "a"
    assert await database.read(count) == 1


async def test_closing_finishes_what_was_queued(notes_url: str) -> None:
    database = Database.open(notes_url, name="notes")
    writes = [asyncio.create_task(database.write(add(f"n{number:03}"))) for number in range(200)]
    await asyncio.sleep(0)
    await database.close()
    assert len(await asyncio.gather(*writes)) == 200
    await database.close()
    with pytest.raises(Unavailable):
        await database.write(add("late"))
    with pytest.raises(Unavailable):
        await database.read(count)
    async with Database.open(notes_url, name="notes") as reopened:
        assert await reopened.read(count) == 200


async def test_more_works_than_the_bound_are_refused_and_the_rest_succeed(notes_url: str) -> None:
    async with Database.open(notes_url, name="notes", max_waiting=10) as database:
        outcomes = await asyncio.gather(
            *(database.write(add(f"n{number:03}")) for number in range(30)), return_exceptions=True
        )
        refused = [outcome for outcome in outcomes if isinstance(outcome, Unavailable)]
        assert len(refused) == 20
        assert {error.reason for error in refused} == {"DATABASE_OVERLOADED"}
        assert await database.read(count) == 10
        assert await database.write(add("later")) == "later"


async def test_ping_answers(database: Database) -> None:
    await database.ping()


async def test_columns_hold_their_values(database: Database) -> None:
    row = {
        "name": "a",
        "size": 2**63 - 1,
        "time": datetime(2026, 7, 1, 12, 30, 0, 123_456, UTC),
        "labels": {"team": "\u00e9\u0000", "list": [1, 2.5, None]},
        "cost_nano_usd": -(2**63),
    }
    await database.write(lambda connection: connection.execute(insert(notes).values(row)).rowcount)
    assert await database.read(lambda connection: dict(connection.execute(select(notes)).mappings().one())) == row


async def test_times_compare_in_the_database(database: Database) -> None:
    noon = datetime(2026, 7, 1, 12, tzinfo=UTC)
    await database.write(add("a"))
    await database.write(lambda connection: connection.execute(update(notes).values(time=noon)).rowcount)

    def found(connection: Connection) -> list[str]:
        return list(connection.scalars(select(notes.c.name).where(notes.c.time <= noon)))

    assert await database.read(found) == ["a"]


async def test_row_ids_count_up_by_themselves(database: Database) -> None:
    def work(connection: Connection) -> list[int]:
        return [connection.execute(insert(remarks).returning(remarks.c.id)).scalar_one() for _ in range(3)]

    assert await database.write(work) == [1, 2, 3]
