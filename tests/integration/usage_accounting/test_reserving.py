from __future__ import annotations

import pytest

from libs.core.errors import AlreadyExists, FailedPrecondition, ResourceExhausted
from libs.storage.database import Database
from services.usage_accounting.domain.quota import QuotaMetric, QuotaWindow
from services.usage_accounting.domain.reservation import Grant
from tests.integration.usage_accounting.ledger_world import (
    DIMENSIONS,
    MINUTE,
    NOON,
    PRICE,
    World,
    ask,
    assert_held_equals_holds,
    at,
    attempt,
    counts,
    pico,
    reasons,
)


async def test_without_quotas_everything_is_granted_at_the_pinned_price(world: World) -> None:
    assert await world.reserve(ask(10, 20), ask(10, 20, price=None)) == [
        Grant(PRICE, NOON + 10 * MINUTE),
        Grant(None, NOON + 10 * MINUTE),
    ]


async def test_a_grant_holds_the_upper_bound_of_every_quota(world: World, usage_database: Database) -> None:
    await world.quota(1000, name="tenants/acme/quotas/tokens")
    await world.quota(10**6, QuotaMetric.COST, QuotaWindow.MONTH, name="tenants/acme/quotas/cost")
    dear_cache = pico(1_000, 2_000, cache_write=5_000, reasoning=9_000)
    assert reasons(await world.reserve(ask(10, 20, price=dear_cache))) == ["ok"]
    assert await world.use("tenants/acme/quotas/tokens") == (0, 30)
    assert await world.use("tenants/acme/quotas/cost") == (0, 10 * 5 + 20 * 9)
    await assert_held_equals_holds(usage_database)


async def test_items_of_a_batch_see_what_those_before_them_hold(world: World, usage_database: Database) -> None:
    await world.quota(100)
    results = await world.reserve(ask(60, 0), ask(50, 0), ask(40, 0), ask(1, 0))
    assert reasons(results) == ["ok", "QUOTA_EXCEEDED", "ok", "QUOTA_EXCEEDED"]
    assert await world.use() == (0, 100)
    await assert_held_equals_holds(usage_database)


async def test_a_refusal_names_every_exceeded_quota_and_when_to_come_back(world: World) -> None:
    await world.quota(100, name="tenants/acme/quotas/daily", time_zone="Europe/Berlin")
    await world.quota(90, window=QuotaWindow.MONTH, name="tenants/acme/quotas/monthly")
    await world.quota(1000, name="tenants/acme/quotas/roomy")
    await world.reserve(ask(30, 40))
    (refusal,) = await world.reserve(ask(0, 31))
    assert isinstance(refusal, ResourceExhausted)
    assert [each.subject for each in refusal.quota_violations] == [
        "tenants/acme/quotas/daily",
        "tenants/acme/quotas/monthly",
    ]
    assert refusal.metadata == {
        "quota": "tenants/acme/quotas/monthly",
        "limit": "90",
        "used": "0",
        "held": "70",
        "reset_time": "2026-04-01T00:00:00Z",
    }
    assert refusal.retry_delay_s == (at("2026-04-01T00:00:00+00:00") - NOON) / 1e6
    assert await world.use("tenants/acme/quotas/roomy") == (0, 70)


async def test_what_fits_exactly_is_granted(world: World) -> None:
    await world.quota(100)
    assert reasons(await world.reserve(ask(100, 0), ask(0, 1))) == ["ok", "QUOTA_EXCEEDED"]


async def test_a_limit_of_zero_refuses_also_what_costs_nothing(world: World) -> None:
    await world.quota(0)
    assert reasons(await world.reserve(ask(0, 0))) == ["QUOTA_EXCEEDED"]


async def test_the_largest_limit_there_is_does_not_overflow(world: World) -> None:
    await world.quota(2**63 - 1, QuotaMetric.COST)
    assert reasons(await world.reserve(ask(10**9, 10**9, price=pico(10**12, 10**12)))) == ["ok"]


async def test_other_tenants_have_their_own_quotas(world: World) -> None:
    await world.quota(10)
    results = await world.reserve(ask(11, 0, key=attempt("other")), ask(11, 0))
    assert reasons(results) == ["ok", "QUOTA_EXCEEDED"]


async def test_a_cost_quota_needs_a_price(world: World) -> None:
    await world.quota(0, name="tenants/acme/quotas/a-tokens")
    await world.quota(10**9, QuotaMetric.COST)
    (refusal,) = await world.reserve(ask(1, 1, price=None))
    assert isinstance(refusal, FailedPrecondition)
    assert refusal.reason == "PRICE_UNKNOWN"
    assert refusal.metadata["model"] == "tenants/acme/providers/openai/models/gpt"


async def test_the_same_attempt_again_gets_the_same_grant_and_holds_once(world: World) -> None:
    await world.quota(100)
    request = ask(60, 0)
    first = await world.reserve(request, request)
    world.time.advance(MINUTE)
    assert await world.reserve(request) == [first[0]] == [first[1]]
    assert await world.use() == (0, 60)


@pytest.mark.parametrize(
    "change",
    [
        {"input_tokens_estimate": 2},
        {"output_tokens_limit": 2},
        {"price": pico(1, 1)},
        {"lapse_after_us": MINUTE},
        {"dimensions": DIMENSIONS._replace(model="other")},
    ],
)
async def test_an_attempt_cannot_be_reserved_again_with_other_values(world: World, change: dict[str, object]) -> None:
    request = ask(1, 1)
    await world.reserve(request)
    (refusal,) = await world.reserve(request._replace(**change))  # type: ignore[arg-type]
    assert isinstance(refusal, AlreadyExists)
    assert refusal.reason == "RESERVATION_EXISTS"


async def test_an_attempt_in_the_ledger_cannot_be_reserved_again(world: World) -> None:
    request = ask(1, 1)
    await world.reserve(request)
    await world.settle(request.key, counts(1, 1))
    assert reasons(await world.reserve(request)) == ["RESERVATION_EXISTS"]


async def test_a_new_window_begins_with_the_next_day_of_the_zone(world: World) -> None:
    await world.quota(100, time_zone="Asia/Kolkata")
    world.time.set(at("2026-03-10T18:29:59+00:00"))
    assert reasons(await world.reserve(ask(100, 0), ask(1, 0))) == ["ok", "QUOTA_EXCEEDED"]
    world.time.set(at("2026-03-10T18:30:00+00:00"))
    assert reasons(await world.reserve(ask(100, 0), ask(1, 0))) == ["ok", "QUOTA_EXCEEDED"]


async def test_a_batch_of_256_is_one_transaction(world: World, usage_database: Database) -> None:
    await world.quota(200)
    results = await world.reserve(*(ask(1, 0) for _ in range(256)))
    assert reasons(results) == ["ok"] * 200 + ["QUOTA_EXCEEDED"] * 56
    await assert_held_equals_holds(usage_database)
