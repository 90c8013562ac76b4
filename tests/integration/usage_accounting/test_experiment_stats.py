"""Sums of experiments: written with each event, exact on both databases, whatever became of the reservation."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
from sqlalchemy import Connection, func, select

from libs.core.errors import InvalidArgument
from libs.core.money import NanoUsd, TokenCounts
from libs.storage.database import Database
from services.usage_accounting.domain.attempt import AttemptKey, Outcome
from services.usage_accounting.domain.confidence import Moments
from services.usage_accounting.domain.experiments import ArmAttempt, ArmStats, ArmSums, ExperimentQuery
from services.usage_accounting.domain.lapse_reservations import lapse_reservations
from services.usage_accounting.domain.read_usage import get_experiment_stats
from services.usage_accounting.domain.release_usage import NOT_SENT
from services.usage_accounting.domain.settle_usage import settle_usage
from services.usage_accounting.domain.usage_event import UsageEvent
from services.usage_accounting.storage.tables import experiment_hourly
from tests.integration.usage_accounting.ledger_world import (
    DIMENSIONS,
    HOUR,
    MINUTE,
    NOON,
    PRICE,
    World,
    ask,
    attempt,
    counts,
    reasons,
)

EXPERIMENT = "tenants/acme/routes/chat/experiments/models"
IN_A = DIMENSIONS._replace(rule="experiment", experiment=EXPERIMENT, arm="a")
IN_B = IN_A._replace(arm="b")
COUNTED = (Outcome.SUCCEEDED, Outcome.FAILED, Outcome.INTERRUPTED)
WEEK = 7 * 24 * HOUR
DEAREST = NanoUsd(5 * 10**18)
"""Five buckets of 10**9 tokens at the highest price."""


def of(values: Sequence[int]) -> Moments:
    return Moments(len(values), sum(values), sum(value**2 for value in values))


async def sums(world: World, *, start_us: int | None = None, end_us: int | None = None) -> Sequence[ArmSums]:
    query = ExperimentQuery(tenant="acme", experiment=EXPERIMENT, start_us=start_us, end_us=end_us)
    return await world.store.read(lambda transaction: transaction.experiments.sums(query))


async def stats(world: World, start_us: int | None = None, end_us: int | None = None) -> dict[str, ArmStats]:
    query = ExperimentQuery(tenant="acme", experiment=EXPERIMENT, start_us=start_us, end_us=end_us)
    return {arm.arm: arm for arm in await get_experiment_stats(world.store, query)}


async def rows(database: Database) -> int:
    def count(connection: Connection) -> int:
        return connection.scalar(select(func.count()).select_from(experiment_hourly)) or 0

    return await database.read(count)


def seconds(span_us: float) -> float:
    return span_us / 1_000_000


async def test_arms_are_compared_by_what_was_settled(world: World) -> None:
    ended = [(IN_A, 1000, 200), (IN_A, 2000, None), (IN_B, 9000, 700)]
    requests = [ask(100, 100, dimensions=dimensions) for dimensions, _, _ in ended]
    failed = ask(100, 100, dimensions=IN_A, price=None)
    await world.reserve(*requests, failed)
    settlements = [
        world.settlement(request.key, counts(10, 20))._replace(duration_us=duration, first_content_us=first)
        for request, (_, duration, first) in zip(requests, ended, strict=True)
    ]
    settlements.append(world.settlement(failed.key, counts(5), outcome=Outcome.FAILED)._replace(first_content_us=400))
    assert reasons(await settle_usage(world.store, world.calendar, settlements)) == ["ok"] * 4
    arms = await stats(world)
    assert list(arms) == ["a", "b"]
    a, b = arms["a"], arms["b"]
    assert (a.calls, a.succeeded, a.unpriced_calls, a.tokens) == (3, 2, 1, counts(25, 40))
    assert (a.total_cost_nano_usd, b.total_cost_nano_usd) == (100, 50)
    assert a.success_rate.value == pytest.approx(2 / 3)
    # The failed attempt's duration is none of the arm's, its first content is.
    assert a.duration_s is not None
    assert a.duration_s.value == pytest.approx(seconds(1500))
    assert a.first_content_s is not None
    assert a.first_content_s.value == pytest.approx(seconds(300))
    assert a.cost_nano_usd == (50.0, 50.0, 50.0)
    assert (b.calls, b.duration_s, b.cost_nano_usd) == (1, (seconds(9000), None, None), (50.0, None, None))


async def test_an_attempt_without_experiment_writes_no_row(world: World, usage_database: Database) -> None:
    request = ask(1, 1)
    await world.reserve(request)
    await world.settle(request.key, counts(1, 1))
    assert await rows(usage_database) == 0


@pytest.mark.parametrize("outcome", [Outcome.CANCELLED, Outcome.UNKNOWN])
async def test_what_the_caller_broke_off_does_not_count(world: World, outcome: Outcome) -> None:
    request = ask(1, 1, dimensions=IN_A)
    await world.reserve(request)
    await world.settle(request.key, counts(1, 1), outcome=outcome)
    assert await stats(world) == {}


async def test_what_is_under_way_or_released_or_lapsed_does_not_count(world: World) -> None:
    released, lapsed = ask(1, 1, dimensions=IN_A), ask(1, 1, dimensions=IN_A)
    await world.reserve(released, lapsed)
    await world.release(released.key)
    world.time.advance(HOUR)
    await lapse_reservations(world.store)
    await world.reserve(ask(1, 1, dimensions=IN_A))
    assert await stats(world) == {}
    await world.release(lapsed.key)
    assert await stats(world) == {}


@pytest.mark.parametrize("outcome", list(Outcome))
async def test_a_late_settlement_counts_as_one_in_time(
    world: World, usage_database: Database, outcome: Outcome
) -> None:
    in_time, late = ask(100, 200, dimensions=IN_A), ask(100, 200, dimensions=IN_B)
    await world.reserve(in_time, late)

    async def settle(key: AttemptKey) -> None:
        # It began in the hour after the one it was reserved in.
        settlement = world.settlement(key, counts(10, 20, 1, 2, 3), outcome=outcome, start_us=NOON + HOUR)
        results = await settle_usage(world.store, world.calendar, [settlement._replace(first_content_us=77)] * 2)
        assert reasons(results) == ["ok", "ok"]

    await settle(in_time.key)
    world.time.advance(2 * HOUR)
    assert await lapse_reservations(world.store) == 1
    await settle(late.key)
    found = await sums(world, start_us=NOON + HOUR, end_us=NOON + 2 * HOUR)
    assert [arm.arm for arm in found] == (["a", "b"] if outcome in COUNTED else [])
    assert {replace(arm, arm="") for arm in found[:1]} == {replace(arm, arm="") for arm in found[1:]}
    assert await rows(usage_database) == len(found)


async def test_a_repeated_settlement_counts_once(world: World) -> None:
    request = ask(1, 1, dimensions=IN_A)
    await world.reserve(request)
    for _ in range(3):
        await world.settle(request.key, counts(1, 1))
    assert (await stats(world))["a"].calls == 1


async def test_a_settlement_that_is_undone_counts_nothing(world: World, usage_database: Database) -> None:
    request = ask(1, 1, dimensions=IN_A)
    await world.reserve(request)
    # Too long for a column of three digits: neither the event nor the sums are written.
    settlement = world.settlement(request.key, counts(1, 1))._replace(duration_us=2**50)
    with pytest.raises(ValueError, match="3 digits"):
        await settle_usage(world.store, world.calendar, [settlement])
    assert (await world.events(), await rows(usage_database)) == ([], 0)


async def test_experiments_and_tenants_are_apart(world: World) -> None:
    other = IN_A._replace(experiment=EXPERIMENT + "-2")
    stranger = IN_A._replace(experiment=EXPERIMENT.replace("acme", "other"))
    requests = [
        ask(1, 1, dimensions=IN_A),
        ask(1, 1, dimensions=other),
        ask(1, 1, dimensions=stranger, key=attempt("other")),
    ]
    await world.reserve(*requests)
    for request in requests:
        await world.settle(request.key, counts(1, 1))
    assert [(arm.arm, arm.calls) for arm in await sums(world)] == [("a", 1)]


async def test_a_period_is_widened_to_whole_hours(world: World) -> None:
    for hour in range(4):
        request = ask(1, 1, dimensions=IN_A)
        await world.reserve(request)
        await world.settle(request.key, counts(10**hour), start_us=NOON + hour * HOUR + HOUR // 2)

    async def tokens(start_us: int | None, end_us: int | None) -> int:
        return sum(arm.tokens.total for arm in (await stats(world, start_us, end_us)).values())

    assert await tokens(NOON + HOUR, NOON + 2 * HOUR) == 10
    assert await tokens(NOON + HOUR + 1, NOON + 2 * HOUR + 1) == 110
    # Until now, the current hour included.
    assert await tokens(None, None) == 1
    world.time.advance(1000 * HOUR)
    assert await tokens(None, None) == 1111
    assert await tokens(None, NOON + HOUR) == 1
    with pytest.raises(InvalidArgument, match="start_time"):
        await tokens(NOON, NOON)


async def test_sums_are_exact_far_above_64_bits(world: World) -> None:
    seed = 4_128
    chance = random.Random(seed)
    attempts = [
        ArmAttempt(
            "acme",
            EXPERIMENT,
            chance.choice("ab"),
            NOON + chance.randrange(3) * HOUR,
            chance.random() < 0.7,
            chance.choice((WEEK, WEEK - chance.randrange(1000), chance.randrange(WEEK))),
            chance.choice((None, WEEK, 0)),
            chance.choice((None, DEAREST, NanoUsd(chance.randrange(DEAREST)))),
            TokenCounts(input_tokens=10**9),
        )
        for _ in range(500)
    ]
    for start in range(0, len(attempts), 50):
        part = attempts[start : start + 50]
        await world.store.write(lambda transaction, part=part: transaction.experiments.add(part))  # type: ignore[misc]
    found = await sums(world)
    assert [arm.arm for arm in found] == ["a", "b"]
    for arm in found:
        own = [each for each in attempts if each.arm == arm.arm]
        assert arm.calls == len(own), f"seed {seed}"
        assert arm.durations_us == of([each.duration_us for each in own if each.has_succeeded])
        assert arm.first_contents_us == of([each.first_content_us for each in own if each.first_content_us is not None])
        assert arm.costs_nano_usd == of([each.cost for each in own if each.cost is not None])
        assert arm.costs_nano_usd.squares > 2**127
        assert arm.tokens.total == len(own) * 10**9


async def test_sums_agree_with_the_ledger(world: World) -> None:
    seed = 20_261_128
    chance = random.Random(seed)
    expected: dict[str, list[int]] = {}
    for _ in range(60):
        dimensions = chance.choice((IN_A, IN_B, DIMENSIONS))
        request = ask(100, 100, dimensions=dimensions, price=chance.choice((PRICE, None)))
        await world.reserve(request)
        world.time.advance(chance.randrange(20) * MINUTE)
        await lapse_reservations(world.store)
        fate = chance.choice(("settle", "settle", "release", "leave"))
        outcome = chance.choice(list(Outcome))
        if fate == "settle":
            await world.settle(request.key, counts(chance.randrange(100), 5), outcome=outcome)
        elif fate == "release":
            await world.release(request.key)
    by_attempt: dict[AttemptKey, list[UsageEvent]] = {}
    for event in await world.events():
        by_attempt.setdefault(event.key, []).append(event)
    for events in by_attempt.values():
        last = events[-1]
        if last.dimensions.arm and last.outcome in COUNTED and last.error_reason != NOT_SENT:
            total = sum(event.tokens.total for event in events)
            expected.setdefault(last.dimensions.arm, []).append(total)
    found = await sums(world)
    assert {arm.arm: (arm.calls, arm.tokens.total) for arm in found} == {
        arm: (len(tokens), sum(tokens)) for arm, tokens in expected.items()
    }, f"seed {seed}"
