"""Sums that leave 64 bits: a provider may report what it likes, and nobody else's accounting may suffer from it."""

from __future__ import annotations

import pytest

from libs.core.money import NanoUsd
from services.usage_accounting.domain.attempt import AttemptKey
from services.usage_accounting.domain.lapse_reservations import lapse_reservations
from services.usage_accounting.domain.quota import QuotaMetric
from services.usage_accounting.domain.read_usage import get_usage_stats
from services.usage_accounting.domain.reports import StatsQuery
from services.usage_accounting.domain.settle_usage import settle_usage
from services.usage_accounting.domain.usage_event import Receipt
from tests.integration.usage_accounting.ledger_world import HOUR, World, ask, attempt, counts, pico, reasons

DEAREST = pico(10**12, 10**12)
ABSURD = counts(*[10**9] * 5)
COST = 5 * 10**18
MOST = 2**63 - 1


async def settle(world: World, *keys: AttemptKey) -> list[object]:
    return list(
        await settle_usage(
            world.store,
            world.calendar,
            [world.settlement(key, ABSURD if key.tenant == "acme" else counts(1)) for key in keys],
        )
    )


@pytest.mark.parametrize("together", [True, False])
async def test_sums_stop_at_the_most_they_hold_and_others_are_settled(world: World, together: bool) -> None:
    await world.quota(MOST, QuotaMetric.COST)
    await world.quota(100, name="tenants/other/quotas/q")
    keys = [attempt(), attempt("other"), attempt(), attempt("other"), attempt()]
    price = {"acme": DEAREST, "other": pico(1000, 1000)}
    await world.reserve(*(ask(1, 1, key=key, price=price[key.tenant]) for key in keys))
    results = await settle(world, *keys) if together else [(await settle(world, key))[0] for key in keys]
    assert results == [Receipt(NanoUsd(COST if key.tenant == "acme" else 1), already_settled=False) for key in keys]
    assert await world.use() == (MOST, 0)
    assert await world.use("tenants/other/quotas/q") == (2, 0)
    (row,) = (await get_usage_stats(world.store, StatsQuery(tenant="acme"))).rows
    assert (row.cost_nano_usd, row.attempts, row.tokens.input_tokens) == (MOST, 3, 3 * 10**9)
    assert reasons(await world.reserve(ask(1, 1))) == ["QUOTA_EXCEEDED"]


async def test_corrections_of_sums_that_stopped_stay_within_bounds(world: World) -> None:
    requests = [ask(10**9, 10**9, price=DEAREST) for _ in range(12)]
    await world.reserve(*requests)
    world.time.advance(HOUR)
    assert await lapse_reservations(world.store) == len(requests)
    for request in requests:
        assert isinstance(await world.settle(request.key, counts(0)), Receipt)
    (row,) = (await get_usage_stats(world.store, StatsQuery(tenant="acme"))).rows
    assert (row.cost_nano_usd, row.attempts) == (-MOST, len(requests))


async def test_what_is_under_way_may_be_more_than_a_new_quota_can_hold(world: World) -> None:
    await world.reserve(*(ask(10**9, 10**9, price=DEAREST) for _ in range(6)))
    await world.quota(MOST, QuotaMetric.COST)
    assert await world.use() == (0, MOST)
