"""What can be asked of the ledger, and the sums it answers with."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from libs.core.money import TokenCounts
from services.usage_accounting.domain.usage_event import Cursor, UsageRecord

HOUR_US = 3_600_000_000
MOST_ROWS = 1000
DEFAULT_PERIOD_US = 30 * 24 * HOUR_US


class Grouping(enum.IntEnum):
    """What to sum by. The numbers are those of the API."""

    PROVIDER = 1
    MODEL = 2
    USER = 3
    TASK = 4
    KEY = 5
    RULE = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordFilter:
    """Which events; None does not filter. Attempts that began from `start_us` to before `end_us`."""

    tenant: str
    user: str | None = None
    operation_id: str | None = None
    start_us: int | None = None
    end_us: int | None = None
    after: Cursor | None = None

    def admits(self, record: UsageRecord) -> bool:
        """Whether `record` is one of those asked for."""
        event = record.event
        return (
            event.key.tenant == self.tenant
            and (self.user is None or event.dimensions.user == self.user)
            and (self.operation_id is None or event.key.operation_id == self.operation_id)
            and (self.start_us is None or event.start_us >= self.start_us)
            and (self.end_us is None or event.start_us < self.end_us)
            and (self.after is None or record.cursor < self.after)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StatsQuery:
    """Which sums. None: from 30 days before the end, until now. Both are widened to whole hours (UTC)."""

    tenant: str
    user: str | None = None
    start_us: int | None = None
    end_us: int | None = None
    group_by: tuple[Grouping, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StatsRow:
    """A sum. `cost_nano_usd` is that of priced attempts; durations are those of `timed_attempts`."""

    group: tuple[str, ...]
    attempts: int
    succeeded: int
    fallbacks: int
    tokens: TokenCounts
    cost_nano_usd: int
    unpriced_attempts: int
    timed_attempts: int
    duration_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """The rows asked for, at most 1000, and the sum of all there are."""

    rows: tuple[StatsRow, ...]
    total: StatsRow
