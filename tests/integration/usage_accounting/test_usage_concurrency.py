from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

import pytest

from libs.core.errors import GatehouseError
from libs.storage.database import Database
from services.usage_accounting.domain.lapse_reservations import lapse_reservations
from services.usage_accounting.domain.quota import QuotaMetric
from tests.integration.usage_accounting.ledger_world import (
    Time,
    World,
    ask,
    assert_held_equals_holds,
    counts,
    reasons,
)


@pytest.fixture
async def replicas(usage_url: str, stopped_time: Time) -> AsyncIterator[list[World]]:
    """Two processes' worth of stores on one database."""
    async with Database.open(usage_url, name="usage-1") as one, Database.open(usage_url, name="usage-2") as two:
        yield [World(one, stopped_time), World(two, stopped_time)]


async def test_of_500_calls_at_once_exactly_those_the_budget_pays_for_are_admitted(
    world: World, usage_database: Database
) -> None:
    await world.quota(10 * 500, QuotaMetric.COST)
    results = await asyncio.gather(*(world.reserve(ask(100, 200)) for _ in range(500)))
    admitted = [reason for result in results for reason in reasons(result)].count("ok")
    assert admitted == 10
    assert await world.use() == (0, 5000)
    await assert_held_equals_holds(usage_database)


async def test_two_replicas_share_one_budget(replicas: list[World]) -> None:
    one, two = replicas
    await one.quota(10 * 300)
    results = await asyncio.gather(*(replicas[number % 2].reserve(ask(100, 200)) for number in range(500)))
    assert [reason for result in results for reason in reasons(result)].count("ok") == 10
    assert await two.use() == (0, 3000)


async def test_replicas_reserve_the_same_attempts_once(replicas: list[World]) -> None:
    one, two = replicas
    await one.quota(10**9)
    requests = [ask(10, 0) for _ in range(50)]
    calls = [world.reserve(request) for request in requests for world in replicas]
    results = await asyncio.gather(*calls)
    assert results[0::2] == results[1::2]
    assert await two.use() == (0, 500)


async def test_replicas_lapse_each_reservation_once(replicas: list[World]) -> None:
    one, two = replicas
    await one.quota(10**9)
    await one.reserve(*(ask(1, 0) for _ in range(200)))
    one.time.advance(3600 * 10**6)
    lapsed = await asyncio.gather(*(lapse_reservations(world.store) for world in replicas for _ in range(4)))
    assert sum(lapsed) == 200
    assert await two.use() == (200, 0)


async def test_everything_at_once_on_two_replicas_ends_in_balance(replicas: list[World]) -> None:
    seed = 4711
    chance = random.Random(seed)
    one, two = replicas
    await one.quota(10**5, name="tenants/acme/quotas/a")
    await one.quota(10**5, QuotaMetric.COST, name="tenants/acme/quotas/b")
    used = {"tokens": 0}

    async def call() -> None:
        request = ask(chance.randrange(1, 300), chance.randrange(300), lapse_after_us=3600 * 10**6)
        actual = counts(request.input_tokens_estimate, chance.randrange(request.output_tokens_limit + 1))
        first, second = chance.sample(replicas, 2)
        (granted,) = await first.reserve(request)
        if isinstance(granted, GatehouseError):
            return
        if chance.random() < 0.3:
            await second.release(request.key)
            return
        settled = await asyncio.gather(*(world.settle(request.key, actual) for world in (first, second)))
        assert {getattr(receipt, "cost", None) for receipt in settled} == {
            actual.input_tokens + 2 * actual.output_tokens
        }
        assert [getattr(receipt, "already_settled", None) for receipt in settled].count(True) == 1
        used["tokens"] += actual.total

    await asyncio.gather(*(call() for _ in range(200)))
    for world in replicas:
        await assert_held_equals_holds(world.database)
    assert await two.use("tenants/acme/quotas/a") == (used["tokens"], 0), f"seed {seed}"
    assert sum(event.tokens.total for event in await one.events()) == used["tokens"], f"seed {seed}"
