"""The ledger's events: what an attempt used and cost. Written once, never changed."""

from __future__ import annotations

from typing import NamedTuple

from libs.core.money import NanoUsd, TokenCounts, TokenPrices
from services.usage_accounting.domain.attempt import AttemptKey, Dimensions, EventKind, Outcome, TokenSource
from services.usage_accounting.domain.reservation import Hold


class Settlement(NamedTuple):
    """How an attempt ended, as the router tells. `first_content_us` is None when there was no content."""

    key: AttemptKey
    outcome: Outcome
    tokens: TokenCounts
    token_source: TokenSource
    finish_reason: str
    error_reason: str
    start_us: int
    duration_us: int
    first_content_us: int | None
    fallback: bool


class UsageEvent(NamedTuple):
    """One event. `cost` is None when no price is known; `duration_us` when nobody told.

    In a CORRECTION `tokens` and `cost` are the signed difference to the LAPSED event, and `start_us` is that
    event's. `counted` is set in a LAPSED event: the windows it was counted in, for a correction to find.
    """

    kind: EventKind
    key: AttemptKey
    dimensions: Dimensions
    outcome: Outcome
    tokens: TokenCounts
    token_source: TokenSource
    cost: NanoUsd | None
    price: TokenPrices | None
    finish_reason: str
    error_reason: str
    fallback: bool
    start_us: int
    duration_us: int | None
    first_content_us: int | None
    record_us: int
    counted: tuple[Hold, ...] | None


class Recorded(NamedTuple):
    """What the ledger knows of an attempt: its first event, and the correction if there was one."""

    first: UsageEvent
    correction_cost: NanoUsd | None
    is_corrected: bool

    @property
    def cost(self) -> NanoUsd | None:
        """What the attempt cost in the end."""
        if self.first.cost is None:
            return None
        return NanoUsd(self.first.cost + (self.correction_cost or 0))


class Cursor(NamedTuple):
    """The place of an event in a listing, which is in descending order of it."""

    start_us: int
    sequence: int


class UsageRecord(NamedTuple):
    """An event with its place in the ledger."""

    sequence: int
    event: UsageEvent

    @property
    def cursor(self) -> Cursor:
        """Its place in a listing."""
        return Cursor(self.event.start_us, self.sequence)


class Receipt(NamedTuple):
    """An attempt that is in the ledger."""

    cost: NanoUsd | None
    already_settled: bool
