from __future__ import annotations

import random
from dataclasses import replace

import pytest
from sqlalchemy import Connection, func, select

from libs.core.errors import InvalidArgument
from libs.storage.database import Database
from services.usage_accounting.domain.attempt import Outcome
from services.usage_accounting.domain.lapse_reservations import lapse_reservations
from services.usage_accounting.domain.read_usage import get_usage_stats, list_usage_records
from services.usage_accounting.domain.reports import Grouping, RecordFilter, StatsQuery
from services.usage_accounting.storage.tables import TOKENS, ledger_events, usage_hourly
from tests.integration.usage_accounting.ledger_world import DIMENSIONS, HOUR, NOON, PRICE, World, ask, attempt, counts


async def use(world: World, tokens: int, **values: object) -> None:
    """A settled attempt; `values` are dimensions, `start_us`, `outcome`, `fallback`, `price`, `tenant`."""
    start_us = values.pop("start_us", NOON)
    outcome = values.pop("outcome", Outcome.SUCCEEDED)
    fallback = values.pop("fallback", False)
    price = values.pop("price", PRICE)
    key = attempt(str(values.pop("tenant", "acme")))
    dimensions = DIMENSIONS._replace(**values)  # type: ignore[arg-type]
    await world.reserve(ask(tokens, 0, key=key, price=price, dimensions=dimensions))  # type: ignore[arg-type]
    await world.settle(key, counts(tokens), start_us=start_us, outcome=outcome, fallback=fallback)  # type: ignore[arg-type]


async def test_records_come_newest_first_page_by_page(world: World) -> None:
    for tokens, minute in ((1, 0), (2, 2), (3, 1), (4, 1)):
        await use(world, tokens, start_us=NOON + minute)
    seen = []
    after = None
    while found := await list_usage_records(world.store, RecordFilter(tenant="acme", after=after), limit=3):
        seen += [record.event.tokens.total for record in found]
        after = found[-1].cursor
    assert seen == [2, 4, 3, 1]


async def test_records_are_those_asked_for(world: World) -> None:
    await use(world, 1)
    await use(world, 2, user="bob")
    await use(world, 4, start_us=NOON + HOUR)
    await use(world, 8, tenant="other")
    operation_id = (await world.events())[0].key.operation_id

    async def found(**values: object) -> int:
        query = RecordFilter(tenant="acme", **values)  # type: ignore[arg-type]
        return sum(record.event.tokens.total for record in await list_usage_records(world.store, query, limit=10))

    assert await found() == 7
    assert await found(user="bob") == 2
    assert await found(start_us=NOON, end_us=NOON + HOUR) == 3
    assert await found(start_us=NOON + 1) == 4
    assert await found(operation_id=operation_id) == 1
    assert await found(operation_id=operation_id, user="bob") == 0


async def test_the_events_of_one_call_come_newest_first_page_by_page(world: World) -> None:
    keys = [attempt() for _ in range(2)]
    keys += [keys[0]._replace(attempt=2), keys[0]._replace(attempt=3), keys[0]._replace(tenant="other")]
    await world.reserve(*(ask(1, 0, key=key) for key in keys))
    for key, minute in zip(keys, (0, 9, 2, 1, 9), strict=True):
        await world.settle(key, counts(1), start_us=NOON + minute)
    query = RecordFilter(tenant="acme", operation_id=keys[0].operation_id)
    first = await list_usage_records(world.store, query, limit=2)
    rest = await list_usage_records(world.store, replace(query, after=first[-1].cursor), limit=2)
    assert [record.event.key.attempt for record in (*first, *rest)] == [2, 3, 1]
    within = replace(query, start_us=NOON + 1, end_us=NOON + 2)
    assert [each.event.key.attempt for each in await list_usage_records(world.store, within, limit=9)] == [3]


async def test_sums_are_ordered_by_cost_then_tokens(world: World) -> None:
    await use(world, 10, model="cheap")
    await use(world, 30, model="dear")
    await use(world, 40, model="unpriced", price=None)
    await use(world, 50, model="also-unpriced", price=None)
    stats = await get_usage_stats(world.store, StatsQuery(tenant="acme", group_by=(Grouping.MODEL, Grouping.USER)))
    assert [row.group for row in stats.rows] == [
        ("dear", "alice"),
        ("cheap", "alice"),
        ("also-unpriced", "alice"),
        ("unpriced", "alice"),
    ]
    assert (stats.total.group, stats.total.attempts, stats.total.tokens.total) == ((), 4, 130)
    assert (stats.total.cost_nano_usd, stats.total.unpriced_attempts) == (40, 2)


async def test_sums_tell_the_rules_of_selection_apart(world: World) -> None:
    await use(world, 1)
    await use(world, 10, rule="platform")
    await use(world, 20, rule="platform")
    by_rule = StatsQuery(tenant="acme", group_by=(Grouping.RULE, Grouping.TASK))
    rows = (await get_usage_stats(world.store, by_rule)).rows
    assert [(row.group, row.attempts, row.tokens.total) for row in rows] == [
        (("platform", "chat"), 2, 30),
        (("route", "chat"), 1, 1),
    ]


async def test_sums_count_outcomes_fallbacks_and_durations(world: World) -> None:
    await use(world, 1)
    await use(world, 1, outcome=Outcome.FAILED)
    await use(world, 1, fallback=True)
    (row,) = (await get_usage_stats(world.store, StatsQuery(tenant="acme"))).rows
    assert (row.attempts, row.succeeded, row.fallbacks) == (3, 2, 1)
    assert (row.timed_attempts, row.duration_us) == (3, 1_500_000)


async def test_sums_without_anything_are_zero(world: World) -> None:
    stats = await get_usage_stats(world.store, StatsQuery(tenant="acme", group_by=(Grouping.KEY,)))
    assert (stats.rows, stats.total.attempts, stats.total.cost_nano_usd) == ((), 0, 0)


async def test_a_period_is_widened_to_whole_hours(world: World) -> None:
    for hour in range(4):
        await use(world, 10**hour, start_us=NOON + hour * HOUR + HOUR // 2)

    async def tokens(start_us: int | None, end_us: int | None) -> int:
        query = StatsQuery(tenant="acme", start_us=start_us, end_us=end_us)
        return (await get_usage_stats(world.store, query)).total.tokens.total

    assert await tokens(NOON + HOUR, NOON + 2 * HOUR) == 10
    assert await tokens(NOON + HOUR + 1, NOON + 2 * HOUR + 1) == 110
    assert await tokens(NOON, None) == 1
    world.time.advance(4 * HOUR)
    assert await tokens(None, None) == 1111
    world.time.advance(30 * 24 * HOUR)
    assert await tokens(None, None) == 0
    with pytest.raises(InvalidArgument):
        await tokens(NOON, NOON)


async def test_a_users_sums_are_theirs_alone(world: World) -> None:
    await use(world, 1)
    await use(world, 2, user="bob")
    stats = await get_usage_stats(world.store, StatsQuery(tenant="acme", user="bob", group_by=(Grouping.USER,)))
    assert [row.group for row in stats.rows] == [("bob",)]
    assert stats.total.tokens.total == 2


async def test_a_correction_counts_as_no_attempt(world: World) -> None:
    request = ask(100, 100)
    await world.reserve(request)
    world.time.advance(HOUR)
    await lapse_reservations(world.store)
    (lapsed,) = (await get_usage_stats(world.store, StatsQuery(tenant="acme"))).rows
    assert (lapsed.attempts, lapsed.succeeded, lapsed.timed_attempts, lapsed.tokens.total) == (1, 0, 0, 200)
    await world.settle(request.key, counts(10, 10))
    (row,) = (await get_usage_stats(world.store, StatsQuery(tenant="acme"))).rows
    assert (row.attempts, row.succeeded, row.timed_attempts, row.tokens.total) == (1, 1, 1, 20)
    assert (row.cost_nano_usd, row.unpriced_attempts) == (30, 0)


async def test_the_sums_are_those_of_the_ledger(world: World, usage_database: Database) -> None:
    seed = 20_260_310
    chance = random.Random(seed)
    for _ in range(60):
        await use(
            world,
            chance.randrange(1000),
            start_us=NOON + chance.randrange(5 * HOUR),
            user=chance.choice(["alice", "bob"]),
            price=chance.choice([PRICE, None]),
        )

    def sums(connection: Connection) -> list[tuple[int, ...]]:
        names = (*TOKENS, "cost_nano_usd")
        return [
            tuple(map(int, connection.execute(select(*(func.sum(table.c[name]) for name in names))).one()))
            for table in (ledger_events, usage_hourly)
        ]

    ledger, hourly = await usage_database.read(sums)
    assert ledger == hourly, f"seed {seed}"
