from __future__ import annotations

from libs.core.money import NanoUsd
from libs.core.resource_names import QuotaName
from libs.storage.database import Database
from services.usage_accounting.domain import manage_quotas
from services.usage_accounting.domain.attempt import EventKind, Outcome, TokenSource
from services.usage_accounting.domain.lapse_reservations import lapse_reservations
from services.usage_accounting.domain.quota import QuotaMetric
from services.usage_accounting.domain.settle_usage import settle_usage
from services.usage_accounting.domain.usage_event import Receipt
from tests.integration.usage_accounting.ledger_world import (
    DAY,
    HOUR,
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


def receipt(cost: int | None) -> Receipt:
    """Of an attempt that is settled now."""
    return Receipt(None if cost is None else NanoUsd(cost), already_settled=False)


def again(cost: int) -> Receipt:
    """Of an attempt that was settled before."""
    return Receipt(NanoUsd(cost), already_settled=True)


async def test_settling_moves_what_was_held_to_what_was_used(world: World, usage_database: Database) -> None:
    await world.quota(1000, name="tenants/acme/quotas/tokens")
    await world.quota(10_000, QuotaMetric.COST, name="tenants/acme/quotas/cost")
    request = ask(100, 200)
    await world.reserve(request)
    assert await world.settle(request.key, counts(10, 20)) == receipt(50)
    assert await world.use("tenants/acme/quotas/tokens") == (30, 0)
    assert await world.use("tenants/acme/quotas/cost") == (50, 0)
    await assert_held_equals_holds(usage_database)


async def test_the_event_says_all_there_is_to_say(world: World) -> None:
    request = ask(100, 200)
    await world.reserve(request)
    world.time.advance(MINUTE)
    await world.settle(request.key, counts(1, 2, 3, 4, 5), outcome=Outcome.INTERRUPTED, start_us=NOON, fallback=True)
    (event,) = await world.events()
    assert event.kind is EventKind.SETTLED
    assert (event.key, event.dimensions, event.price) == (request.key, request.dimensions, PRICE)
    assert (event.tokens, event.cost, event.outcome) == (counts(1, 2, 3, 4, 5), 22, Outcome.INTERRUPTED)
    assert (event.start_us, event.duration_us, event.record_us) == (NOON, 500_000, NOON + MINUTE)
    assert (event.fallback, event.finish_reason, event.first_content_us) == (True, "stop", None)


async def test_a_settled_attempt_answers_as_the_first_time(world: World) -> None:
    await world.quota(1000)
    request = ask(100, 200)
    await world.reserve(request)
    await world.settle(request.key, counts(10, 20))
    assert await world.settle(request.key, counts(99, 99)) == again(50)
    assert await world.use() == (30, 0)
    assert len(await world.events()) == 1


async def test_the_same_attempt_twice_in_a_batch_is_settled_once(world: World) -> None:
    await world.quota(1000)
    request = ask(100, 200)
    await world.reserve(request)
    settlement = world.settlement(request.key, counts(10, 20))
    assert await settle_usage(world.store, world.calendar, [settlement, settlement]) == [
        receipt(50),
        again(50),
    ]
    assert await world.use() == (30, 0)


async def test_an_unknown_attempt_is_not_found_and_holds_nobody_up(world: World) -> None:
    request = ask(1, 1)
    await world.reserve(request)
    # The same call and number in another tenant is another attempt.
    stranger = attempt("other", operation_id=request.key.operation_id)
    settlements = [world.settlement(key, counts(1, 1)) for key in (attempt(), stranger, request.key)]
    results = await settle_usage(world.store, world.calendar, settlements)
    assert reasons(results) == ["RESERVATION_NOT_FOUND", "RESERVATION_NOT_FOUND", "ok"]


async def test_more_than_was_reserved_counts_even_over_the_limit(world: World, usage_database: Database) -> None:
    await world.quota(100)
    request = ask(50, 50)
    await world.reserve(request)
    await world.settle(request.key, counts(50, 500))
    assert await world.use() == (550, 0)
    assert reasons(await world.reserve(ask(0, 0))) == ["QUOTA_EXCEEDED"]
    await assert_held_equals_holds(usage_database)


async def test_without_a_price_the_cost_is_unknown_not_zero(world: World) -> None:
    request = ask(1, 1, price=None)
    await world.reserve(request)
    assert await world.settle(request.key, counts(1, 1)) == receipt(None)
    assert (await world.events())[0].cost is None


async def test_usage_counts_in_the_window_it_was_reserved_in(world: World) -> None:
    await world.quota(100)
    world.time.set(at("2026-03-10T23:59:59+00:00"))
    request = ask(100, 0)
    await world.reserve(request)
    world.time.advance(2_000_000)
    assert await world.use() == (0, 0)
    await world.settle(request.key, counts(70))
    assert await world.use() == (0, 0)
    world.time.set(NOON)
    assert await world.use() == (70, 0)


async def test_released_quota_is_free_again_and_leaves_no_event(world: World, usage_database: Database) -> None:
    await world.quota(100)
    request = ask(100, 0)
    await world.reserve(request)
    assert await world.release(request.key, request.key, attempt()) == [True, False, False]
    assert await world.release(request.key) == [False]
    assert await world.use() == (0, 0)
    assert await world.events() == []
    assert reasons([await world.settle(request.key, counts(1))]) == ["RESERVATION_NOT_FOUND"]
    await assert_held_equals_holds(usage_database)


async def test_releasing_a_settled_attempt_changes_nothing(world: World) -> None:
    await world.quota(100)
    request = ask(50, 0)
    await world.reserve(request)
    await world.settle(request.key, counts(40))
    assert await world.release(request.key) == [False]
    assert await world.use() == (40, 0)


async def test_a_quota_deleted_meanwhile_is_not_brought_back(world: World, usage_database: Database) -> None:
    await world.quota(100)
    settled, released = ask(10, 0), ask(10, 0)
    await world.reserve(settled, released)
    name = QuotaName.parse("tenants/acme/quotas/q")
    await manage_quotas.delete_quota(world.store, name, etag="")
    assert await world.settle(settled.key, counts(10)) == receipt(10)
    assert await world.release(released.key) == [True]
    await world.quota(100)
    assert await world.use() == (10, 0)
    await assert_held_equals_holds(usage_database)


async def test_a_lapsed_reservation_is_recorded_as_the_estimate_it_was(world: World, usage_database: Database) -> None:
    await world.quota(1000)
    request = ask(100, 200)
    await world.reserve(request)
    world.time.advance(10 * MINUTE - 1)
    assert await lapse_reservations(world.store) == 0
    world.time.advance(1)
    assert await lapse_reservations(world.store) == 1
    (event,) = await world.events()
    assert (event.kind, event.outcome, event.token_source) == (EventKind.LAPSED, Outcome.UNKNOWN, TokenSource.ESTIMATED)
    assert (event.tokens, event.cost, event.start_us) == (counts(100, 200), 500, NOON)
    assert await world.use() == (300, 0)
    assert await lapse_reservations(world.store) == 0
    await assert_held_equals_holds(usage_database)


async def test_a_late_settlement_corrects_the_estimate(world: World) -> None:
    await world.quota(1000, name="tenants/acme/quotas/tokens")
    await world.quota(10_000, QuotaMetric.COST, name="tenants/acme/quotas/cost")
    request = ask(100, 200)
    await world.reserve(request)
    world.time.advance(HOUR)
    await lapse_reservations(world.store)
    assert await world.settle(request.key, counts(10, 20), start_us=NOON + 1) == receipt(50)
    lapsed, correction = await world.events()
    assert correction.kind is EventKind.CORRECTION
    assert (correction.tokens, correction.cost) == (counts(-90, -180), -450)
    assert (correction.outcome, correction.start_us) == (Outcome.SUCCEEDED, lapsed.start_us)
    assert await world.use("tenants/acme/quotas/tokens") == (30, 0)
    assert await world.use("tenants/acme/quotas/cost") == (50, 0)


async def test_a_corrected_attempt_answers_with_its_final_cost(world: World) -> None:
    request = ask(100, 200)
    await world.reserve(request)
    world.time.advance(HOUR)
    await lapse_reservations(world.store)
    settlement = world.settlement(request.key, counts(10, 20))
    results = await settle_usage(world.store, world.calendar, [settlement, settlement])
    assert results == [receipt(50), again(50)]
    assert await world.settle(request.key, counts(1, 1)) == again(50)
    assert len(await world.events()) == 2


async def test_a_correction_without_price_stays_without_cost(world: World) -> None:
    request = ask(100, 200, price=None)
    await world.reserve(request)
    world.time.advance(HOUR)
    await lapse_reservations(world.store)
    assert await world.settle(request.key, counts(10, 20)) == receipt(None)
    assert [event.cost for event in await world.events()] == [None, None]


async def test_a_correction_reaches_a_quota_created_after_the_lapse(world: World) -> None:
    request = ask(100, 200)
    await world.reserve(request)
    world.time.advance(HOUR)
    await lapse_reservations(world.store)
    await world.quota(1000)
    assert await world.use() == (300, 0)
    await world.settle(request.key, counts(10, 20))
    assert await world.use() == (30, 0)


async def test_a_correction_does_not_reach_a_quota_that_never_counted_the_estimate(world: World) -> None:
    request = ask(100, 200)
    await world.reserve(request)
    world.time.advance(HOUR)
    await lapse_reservations(world.store)
    world.time.advance(DAY)
    await world.quota(1000)
    await world.settle(request.key, counts(10, 20))
    assert await world.use() == (0, 0)


async def test_a_settlement_after_the_lapse_time_but_before_the_lapse_is_exact(world: World) -> None:
    request = ask(100, 200)
    await world.reserve(request)
    world.time.advance(HOUR)
    assert await world.settle(request.key, counts(10, 20)) == receipt(50)
    assert await lapse_reservations(world.store) == 0
    assert [event.kind for event in await world.events()] == [EventKind.SETTLED]


async def test_more_than_a_batch_lapses_batch_by_batch(world: World) -> None:
    await world.reserve(*(ask(1, 0) for _ in range(256)))
    await world.reserve(*(ask(1, 0) for _ in range(44)))
    world.time.advance(HOUR)
    assert [await lapse_reservations(world.store) for _ in range(3)] == [256, 44, 0]


async def test_two_attempts_of_one_call_are_two_events(world: World) -> None:
    first = attempt()
    second = first._replace(attempt=2)
    await world.reserve(ask(1, 1, key=first), ask(1, 1, key=second, price=pico(5, 5)))
    await world.settle(first, counts(0), outcome=Outcome.FAILED)
    await world.settle(second, counts(1, 1), fallback=True)
    assert [(event.key.attempt, event.outcome.name) for event in await world.events()] == [
        (1, "FAILED"),
        (2, "SUCCEEDED"),
    ]
