"""An attempt that was never sent costs nothing, also when its reservation lapsed before it was released."""

from __future__ import annotations

from libs.core.money import NanoUsd
from libs.core.resource_names import QuotaName
from libs.storage.database import Database
from services.usage_accounting.domain import manage_quotas
from services.usage_accounting.domain.attempt import AttemptKey, EventKind, Outcome
from services.usage_accounting.domain.lapse_reservations import lapse_reservations
from services.usage_accounting.domain.ports import Transaction
from services.usage_accounting.domain.quota import QuotaMetric
from services.usage_accounting.domain.reports import StatsQuery, StatsRow
from services.usage_accounting.domain.reservation import ReservationRequest
from services.usage_accounting.domain.usage_event import Receipt
from tests.integration.usage_accounting.ledger_world import (
    DAY,
    HOUR,
    NOON,
    World,
    ask,
    assert_held_equals_holds,
    attempt,
    counts,
    reasons,
)

TOKENS, COST = "tenants/acme/quotas/tokens", "tenants/acme/quotas/cost"


async def lapsed(world: World, *requests: ReservationRequest) -> None:
    """Reserve and let lapse."""
    assert reasons(await world.reserve(*requests)) == ["ok"] * len(requests)
    world.time.advance(HOUR)
    assert await lapse_reservations(world.store) == len(requests)


async def sums(world: World) -> StatsRow:
    """The hourly sums over the whole tenant."""

    def work(transaction: Transaction) -> StatsRow:
        query = StatsQuery(tenant="acme", user=None, group_by=(), start_us=NOON - DAY, end_us=NOON + DAY)
        (row,) = transaction.ledger.stats(query, limit=1)
        return row

    return await world.store.read(work)


async def test_releasing_a_lapsed_attempt_gives_quota_and_sums_back(world: World, usage_database: Database) -> None:
    await world.quota(1000, name=TOKENS)
    await world.quota(10_000, QuotaMetric.COST, name=COST)
    request = ask(100, 200)
    await lapsed(world, request)
    assert (await world.use(TOKENS), await world.use(COST)) == ((300, 0), (500, 0))
    assert await world.release(request.key) == [True]
    assert (await world.use(TOKENS), await world.use(COST)) == ((0, 0), (0, 0))
    row = await sums(world)
    assert (row.attempts, row.succeeded, row.tokens, row.cost_nano_usd) == (1, 0, counts(), 0)
    assert (row.timed_attempts, row.duration_us) == (0, 0)
    await assert_held_equals_holds(usage_database)


async def test_the_correction_says_that_nothing_was_sent(world: World) -> None:
    request = ask(100, 200)
    await lapsed(world, request)
    await world.release(request.key)
    estimate, correction = await world.events()
    assert (estimate.kind, correction.kind) == (EventKind.LAPSED, EventKind.CORRECTION)
    assert (correction.tokens, correction.cost) == (counts(-100, -200), -500)
    assert (correction.outcome, correction.error_reason) == (Outcome.FAILED, "NOT_SENT")
    assert (correction.key, correction.dimensions) == (estimate.key, estimate.dimensions)
    assert (correction.start_us, correction.record_us) == (NOON, NOON + HOUR)
    assert (correction.duration_us, correction.first_content_us) == (None, None)


async def test_a_second_release_adds_nothing(world: World) -> None:
    await world.quota(1000)
    request = ask(100, 200)
    await lapsed(world, request)
    assert await world.release(request.key, request.key) == [True, False]
    assert await world.release(request.key) == [False]
    assert await world.use() == (0, 0)
    assert len(await world.events()) == 2


async def test_a_settlement_after_that_release_changes_nothing(world: World) -> None:
    await world.quota(1000)
    request = ask(100, 200)
    await lapsed(world, request)
    await world.release(request.key)
    assert await world.settle(request.key, counts(10, 20)) == Receipt(NanoUsd(0), already_settled=True)
    assert await world.use() == (0, 0)
    assert len(await world.events()) == 2


async def test_releasing_what_was_settled_late_keeps_what_it_used(world: World) -> None:
    await world.quota(1000)
    request = ask(100, 200)
    await lapsed(world, request)
    await world.settle(request.key, counts(10, 20))
    assert await world.release(request.key) == [False]
    assert await world.use() == (30, 0)
    assert len(await world.events()) == 2


async def test_a_released_lapsed_attempt_cannot_be_reserved_again(world: World) -> None:
    request = ask(100, 200)
    await lapsed(world, request)
    before = reasons(await world.reserve(request))
    await world.release(request.key)
    assert reasons(await world.reserve(request)) == before != ["ok"]


async def test_a_batch_releases_each_attempt_its_own_way(world: World, usage_database: Database) -> None:
    await world.quota(1000)
    gone, billed = ask(100, 0), ask(10, 0)
    await lapsed(world, gone, billed)
    live, settled = ask(200, 0), ask(50, 0)
    # The next attempt of a call that has lapsed, and the same call of another tenant.
    second = ask(20, 0, key=gone.key._replace(attempt=2))
    stranger = AttemptKey("other", gone.key.operation_id, 1)
    await world.reserve(live, settled, second)
    await world.settle(settled.key, counts(40))
    keys = (attempt(), live.key, stranger, gone.key, settled.key, second.key)
    assert await world.release(*keys) == [False, True, False, True, False, True]
    assert await world.use() == (50, 0)
    assert [event.key for event in await world.events() if event.kind is EventKind.CORRECTION] == [gone.key]
    await assert_held_equals_holds(usage_database)


async def test_a_release_without_price_stays_without_cost(world: World) -> None:
    await world.quota(1000)
    request = ask(100, 200, price=None)
    await lapsed(world, request)
    assert await world.release(request.key) == [True]
    assert [event.cost for event in await world.events()] == [None, None]
    assert await world.use() == (0, 0)


async def test_a_release_reaches_a_quota_created_after_the_lapse(world: World) -> None:
    request = ask(100, 200)
    await lapsed(world, request)
    await world.quota(1000)
    assert await world.use() == (300, 0)
    await world.release(request.key)
    assert await world.use() == (0, 0)


async def test_a_quota_deleted_since_the_lapse_is_not_brought_back(world: World) -> None:
    await world.quota(1000)
    request = ask(100, 200)
    await lapsed(world, request)
    await manage_quotas.delete_quota(world.store, QuotaName.parse("tenants/acme/quotas/q"), etag="")
    assert await world.release(request.key) == [True]
    await world.quota(1000)
    assert await world.use() == (0, 0)
