from __future__ import annotations

import uuid

import pytest

from libs.core.errors import Aborted, AlreadyExists, InvalidArgument, NotFound
from libs.core.resource_names import QuotaName
from libs.storage.database import Database
from services.usage_accounting.domain import manage_quotas
from services.usage_accounting.domain.ports import Request
from services.usage_accounting.domain.quota import (
    MOST_PER_TENANT,
    NewQuota,
    Quota,
    QuotaChange,
    QuotaMetric,
    QuotaWindow,
)
from tests.integration.usage_accounting.ledger_world import (
    HOUR,
    NOON,
    World,
    ask,
    assert_held_equals_holds,
    at,
    counts,
    reasons,
)

NAME = QuotaName.parse("tenants/acme/quotas/q")


async def use_up(world: World, tokens: int, *, start: str) -> None:
    """A settled attempt of another time."""
    request = ask(tokens, 0)
    await world.reserve(request)
    await world.settle(request.key, counts(tokens), start_us=at(start))


async def create(world: World, request_id: str, *, limit: int = 5, digest: bytes = b"d", dry: bool = False) -> Quota:
    new = NewQuota(
        name=NAME,
        display_name="",
        metric=QuotaMetric.TOKENS,
        window=QuotaWindow.DAY,
        time_zone="UTC",
        limit=limit,
    )
    request = Request("acme/alice", "CreateQuota", request_id, digest) if request_id else None
    return await manage_quotas.create_quota(
        world.store, world.calendar, new, uid=str(uuid.uuid4()), request=request, validate_only=dry
    )


async def test_a_quota_counts_what_its_window_has_seen_before_it_existed(world: World) -> None:
    await use_up(world, 1, start="2026-02-28T23:59:59+00:00")
    await use_up(world, 2, start="2026-03-01T00:00:00+00:00")
    await use_up(world, 4, start="2026-03-09T23:59:59+00:00")
    await use_up(world, 8, start="2026-03-10T00:00:00+00:00")
    await use_up(world, 16, start="2026-03-10T12:00:00+00:00")
    await world.quota(1000, name="tenants/acme/quotas/day")
    await world.quota(1000, window=QuotaWindow.MONTH, name="tenants/acme/quotas/month")
    await world.quota(10**6, QuotaMetric.COST, QuotaWindow.MONTH, name="tenants/acme/quotas/cost")
    await world.quota(1000, name="tenants/other/quotas/day")
    assert await world.use("tenants/acme/quotas/day") == (24, 0)
    assert await world.use("tenants/acme/quotas/month") == (30, 0)
    assert await world.use("tenants/acme/quotas/cost") == (30, 0)
    assert await world.use("tenants/other/quotas/day") == (0, 0)


@pytest.mark.parametrize(("zone", "midnight"), [("Asia/Kolkata", "18:30"), ("Asia/Kathmandu", "18:15")])
async def test_a_day_that_begins_within_a_utc_hour_counts_from_its_exact_start(
    world: World, zone: str, midnight: str
) -> None:
    hour, minute = midnight.split(":")
    before = f"2026-03-09T{hour}:{int(minute) - 1:02}:59+00:00"
    await use_up(world, 1, start=before)
    await use_up(world, 2, start=f"2026-03-09T{midnight}:00+00:00")
    await use_up(world, 4, start="2026-03-09T18:59:59+00:00")
    await use_up(world, 8, start="2026-03-09T19:00:00+00:00")
    await world.quota(1000, time_zone=zone)
    assert await world.use() == (14, 0)


async def test_a_quota_holds_for_calls_under_way_when_it_is_created(world: World, usage_database: Database) -> None:
    settled, released = ask(10, 20), ask(1, 2)
    await world.reserve(settled, released)
    await world.quota(1000)
    await world.quota(1000, QuotaMetric.COST, name="tenants/acme/quotas/cost")
    assert await world.use() == (0, 33)
    assert await world.use("tenants/acme/quotas/cost") == (0, 55)
    await assert_held_equals_holds(usage_database)
    await world.settle(settled.key, counts(10, 10))
    await world.release(released.key)
    assert await world.use() == (20, 0)
    assert await world.use("tenants/acme/quotas/cost") == (30, 0)
    await assert_held_equals_holds(usage_database)


async def test_a_new_quota_is_already_exhausted_by_what_was_used(world: World) -> None:
    await use_up(world, 100, start="2026-03-10T11:00:00+00:00")
    await world.quota(100)
    assert reasons(await world.reserve(ask(1, 0))) == ["QUOTA_EXCEEDED"]


async def test_an_id_is_taken_once(world: World) -> None:
    await world.quota(1)
    with pytest.raises(AlreadyExists) as raised:
        await world.quota(2)
    assert raised.value.reason == "QUOTA_EXISTS"


async def test_a_repeated_request_gets_its_first_answer(world: World) -> None:
    first = await create(world, "r1")
    await manage_quotas.update_quota(world.store, NAME, QuotaChange(limit=9), etag="")
    assert await create(world, "r1") == first
    with pytest.raises(InvalidArgument) as raised:
        await create(world, "r1", digest=b"other")
    assert raised.value.reason == "REQUEST_ID_REUSED"
    world.time.advance(25 * HOUR)
    with pytest.raises(AlreadyExists):
        await create(world, "r1")


async def test_validating_creates_nothing_but_finds_the_same_faults(world: World) -> None:
    assert (await create(world, "", dry=True)).limit == 5
    with pytest.raises(NotFound):
        await manage_quotas.get_quota(world.store, NAME)
    await create(world, "")
    with pytest.raises(AlreadyExists):
        await create(world, "", dry=True)


async def test_a_tenant_has_at_most_100_quotas(world: World) -> None:
    for number in range(MOST_PER_TENANT):
        await world.quota(1, name=f"tenants/acme/quotas/q{number}")
    with pytest.raises(InvalidArgument, match="100 quotas"):
        await world.quota(1, name="tenants/acme/quotas/one-more")
    await world.quota(1, name="tenants/other/quotas/q")


async def test_a_changed_limit_acts_on_the_next_reservation(world: World) -> None:
    await world.quota(10)
    assert reasons(await world.reserve(ask(10, 0), ask(1, 0))) == ["ok", "QUOTA_EXCEEDED"]
    changed = await manage_quotas.update_quota(world.store, NAME, QuotaChange(limit=11), etag="")
    assert (changed.limit, changed.version, changed.display_name) == (11, 2, "")
    assert reasons(await world.reserve(ask(1, 0), ask(1, 0))) == ["ok", "QUOTA_EXCEEDED"]
    await manage_quotas.update_quota(world.store, NAME, QuotaChange(limit=3), etag="")
    assert await world.use() == (0, 11)


async def test_a_stale_etag_changes_nothing(world: World) -> None:
    seen = await world.quota(10)
    await manage_quotas.update_quota(world.store, NAME, QuotaChange(display_name="a"), etag=seen.etag)
    with pytest.raises(Aborted):
        await manage_quotas.update_quota(world.store, NAME, QuotaChange(limit=0), etag=seen.etag)
    with pytest.raises(Aborted):
        await manage_quotas.delete_quota(world.store, NAME, etag=seen.etag)
    stored = await manage_quotas.get_quota(world.store, NAME)
    assert (stored.display_name, stored.limit, stored.update_us) == ("a", 10, NOON)
    await manage_quotas.delete_quota(world.store, NAME, etag=stored.etag)
    for missing in (
        manage_quotas.get_quota(world.store, NAME),
        manage_quotas.quota_state(world.store, world.calendar, NAME),
        manage_quotas.update_quota(world.store, NAME, QuotaChange(limit=1), etag=""),
        manage_quotas.delete_quota(world.store, NAME, etag=""),
    ):
        with pytest.raises(NotFound) as raised:
            await missing
        assert raised.value.reason == "QUOTA_NOT_FOUND"


async def test_quotas_are_listed_by_id_page_by_page(world: World) -> None:
    for name in ("b", "a.1", "a-1", "c", "a_1"):
        await world.quota(1, name=f"tenants/acme/quotas/{name}")
    await world.quota(1, name="tenants/other/quotas/x")
    first = await manage_quotas.list_quotas(world.store, "acme", after="", limit=3)
    rest = await manage_quotas.list_quotas(world.store, "acme", after=first[-1].name.quota, limit=3)
    assert [quota.name.quota for quota in (*first, *rest)] == ["a-1", "a.1", "a_1", "b", "c"]


async def test_a_state_tells_the_window_it_is_of(world: World) -> None:
    await world.quota(10, window=QuotaWindow.MONTH, time_zone="Europe/Berlin")
    state = await world.state()
    assert state.start_us == at("2026-03-01T00:00:00+01:00")
    assert state.reset_us == at("2026-04-01T00:00:00+02:00")
