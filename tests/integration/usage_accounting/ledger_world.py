"""What the accounting tests share: requests in one line each, a clock moved by hand, and the invariant."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from sqlalchemy import Connection, select

from libs.core.errors import GatehouseError
from libs.core.money import PicoUsdPerToken, TokenCounts, TokenPrices
from libs.core.resource_names import QuotaName
from libs.storage.database import Database
from services.usage_accounting.domain import manage_quotas
from services.usage_accounting.domain.attempt import AttemptKey, Dimensions, Outcome, TokenSource
from services.usage_accounting.domain.ports import Transaction, UsageStore
from services.usage_accounting.domain.quota import (
    NewQuota,
    Quota,
    QuotaMetric,
    QuotaState,
    QuotaWindow,
    WindowKey,
)
from services.usage_accounting.domain.release_usage import release_usage
from services.usage_accounting.domain.reports import RecordFilter
from services.usage_accounting.domain.reservation import Grant, ReservationRequest
from services.usage_accounting.domain.reserve_usage import reserve_usage
from services.usage_accounting.domain.settle_usage import settle_usage
from services.usage_accounting.domain.usage_event import Receipt, Settlement, UsageEvent
from services.usage_accounting.domain.windows import WindowCalendar
from services.usage_accounting.storage.encoding import holds_of
from services.usage_accounting.storage.store import StoredUsage
from services.usage_accounting.storage.tables import quota_windows, reservations

T = TypeVar("T")

HOUR = 3_600_000_000
DAY = 24 * HOUR
MINUTE = 60_000_000


def at(text: str) -> int:
    """Microseconds since 1970 of an ISO time."""
    return (datetime.fromisoformat(text) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


NOON = at("2026-03-10T12:00:00+00:00")


class Time:
    """The time the store decides by, on both databases."""

    def __init__(self, set_database_clock: Callable[[int], None]) -> None:
        self._set_database_clock = set_database_clock
        self.us = NOON
        self.set(NOON)

    def set(self, now_us: int) -> None:
        self.us = now_us
        self._set_database_clock(now_us)

    def advance(self, span_us: int) -> None:
        self.set(self.us + span_us)

    def now(self) -> datetime:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=self.us)

    def monotonic(self) -> float:
        return self.us / 1e6


class NoPrices:
    """A catalogue that knows nothing."""

    def find(self, provider_type: str, provider_model_id: str, *, input_tokens: int) -> TokenPrices | None:
        return None


def pico(input_price: int, output_price: int, **others: int) -> TokenPrices:
    """A price per token; cache buckets as input, reasoning as output, unless given."""
    values = {
        "input": input_price,
        "cache_read": input_price,
        "cache_write": input_price,
        "output": output_price,
        "reasoning": output_price,
    } | others
    return TokenPrices(**{bucket: PicoUsdPerToken(value) for bucket, value in values.items()})


PRICE = pico(1_000, 2_000)  # 1 and 2 nano-USD per token
DIMENSIONS = Dimensions(
    user="alice",
    provider="tenants/acme/providers/openai",
    provider_type="openai",
    model="gpt",
    provider_model_id="gpt-wire",
    key="tenants/acme/keys/k",
    task="chat",
    plan="pro",
    request_id="",
    labels="{}",
    rule="route",
    experiment="",
    arm="",
)


def attempt(tenant: str = "acme", *, operation_id: str | None = None, number: int = 1) -> AttemptKey:
    return AttemptKey(tenant, operation_id or str(uuid.uuid4()), number)


def ask(
    input_tokens: int = 0,
    output_tokens: int = 0,
    *,
    key: AttemptKey | None = None,
    price: TokenPrices | None = PRICE,
    lapse_after_us: int = 10 * MINUTE,
    dimensions: Dimensions = DIMENSIONS,
) -> ReservationRequest:
    return ReservationRequest(key or attempt(), dimensions, input_tokens, output_tokens, price, lapse_after_us)


def counts(*tokens: int) -> TokenCounts:
    """Input, output, cache read, cache write, reasoning."""
    uncached, output, cache_read, cache_write, reasoning = (*tokens, 0, 0, 0, 0, 0)[:5]
    return TokenCounts(
        input_tokens=uncached,
        output_tokens=output,
        cache_read_tokens=cache_read,
        cache_write_tokens=cache_write,
        reasoning_tokens=reasoning,
    )


class World:
    """A store on a migrated database, and everything one does to it."""

    def __init__(self, database: Database, time: Time) -> None:
        self.database = database
        self.store: UsageStore = StoredUsage(database, time)
        self.time = time
        self.calendar = WindowCalendar()

    async def quota(
        self,
        limit: int,
        metric: QuotaMetric = QuotaMetric.TOKENS,
        window: QuotaWindow = QuotaWindow.DAY,
        *,
        name: str = "tenants/acme/quotas/q",
        time_zone: str = "UTC",
    ) -> Quota:
        new = NewQuota(
            name=QuotaName.parse(name),
            display_name="",
            metric=metric,
            window=window,
            time_zone=time_zone,
            limit=limit,
        )
        return await manage_quotas.create_quota(self.store, self.calendar, new, uid=str(uuid.uuid4()))

    async def state(self, name: str = "tenants/acme/quotas/q") -> QuotaState:
        return await manage_quotas.quota_state(self.store, self.calendar, QuotaName.parse(name))

    async def use(self, name: str = "tenants/acme/quotas/q") -> tuple[int, int]:
        """What is used and held of a quota now."""
        use = (await self.state(name)).use
        return use.used, use.held

    async def reserve(self, *requests: ReservationRequest) -> list[Grant | GatehouseError]:
        return await reserve_usage(self.store, NoPrices(), self.calendar, requests)

    async def settle(
        self,
        key: AttemptKey,
        tokens: TokenCounts,
        *,
        outcome: Outcome = Outcome.SUCCEEDED,
        start_us: int | None = None,
        fallback: bool = False,
    ) -> Receipt | GatehouseError:
        settlement = self.settlement(key, tokens, outcome=outcome, start_us=start_us, fallback=fallback)
        (result,) = await settle_usage(self.store, self.calendar, [settlement])
        return result

    def settlement(
        self,
        key: AttemptKey,
        tokens: TokenCounts,
        *,
        outcome: Outcome = Outcome.SUCCEEDED,
        start_us: int | None = None,
        fallback: bool = False,
    ) -> Settlement:
        start = self.time.us if start_us is None else start_us
        return Settlement(key, outcome, tokens, TokenSource.REPORTED, "stop", "", start, 500_000, None, fallback)

    async def release(self, *keys: AttemptKey) -> list[bool]:
        return await release_usage(self.store, keys)

    async def events(self, tenant: str = "acme") -> list[UsageEvent]:
        """All events, oldest first."""

        def work(transaction: Transaction) -> list[UsageEvent]:
            found = transaction.ledger.records(RecordFilter(tenant=tenant), limit=10_000)
            return [record.event for record in sorted(found)]

        return await self.store.read(work)


def held_equals_holds(connection: Connection) -> tuple[dict[WindowKey, int], dict[WindowKey, int]]:
    """What windows say is held, and the sum of what live reservations hold: the same, always, on any snapshot."""
    windows = {WindowKey(row.quota_uid, row.start_us): row.held for row in connection.execute(select(quota_windows))}
    sums: dict[WindowKey, int] = {}
    for text in connection.scalars(select(reservations.c.holds)):
        for hold in holds_of(text):
            sums[hold.window] = sums.get(hold.window, 0) + hold.amount
    # A deleted quota is still named by reservations made before.
    return windows, {key: sums.get(key, 0) for key in windows}


async def assert_held_equals_holds(database: Database) -> None:
    held, sums = await database.read(held_equals_holds)
    assert held == sums


def grants(results: Sequence[Grant | GatehouseError]) -> list[Grant]:
    return [result for result in results if isinstance(result, Grant)]


def reasons(results: Sequence[object]) -> list[str]:
    """`ok`, or the reason of each refusal."""
    return [result.reason if isinstance(result, GatehouseError) else "ok" for result in results]
