"""A limit on what a tenant may use in a window of time."""

from __future__ import annotations

import enum
import hashlib
from dataclasses import dataclass, replace
from typing import NamedTuple

from libs.core.resource_names import QuotaName

MAX_LIMIT = 2**63 - 1
MOST_PER_TENANT = 100
"""Every reservation of a tenant is held against all of its quotas."""


class QuotaMetric(enum.IntEnum):
    """What a quota limits. The numbers are stored, and those of the API."""

    TOKENS = 1
    """Tokens of all buckets."""
    COST = 2
    """Nano-USD."""


class QuotaWindow(enum.IntEnum):
    """Over what time. The numbers are stored, and those of the API."""

    DAY = 1
    MONTH = 2


class WindowKey(NamedTuple):
    """One window of one quota."""

    quota_uid: str
    start_us: int


class WindowUse(NamedTuple):
    """What was used and is held in a window, in the quota's unit."""

    used: int
    held: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NewQuota:
    """What a caller asks to create. `time_zone` is an IANA name."""

    name: QuotaName
    display_name: str
    metric: QuotaMetric
    window: QuotaWindow
    time_zone: str
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """A quota as stored. `version` counts its changes from 1; times in microseconds since 1970 UTC."""

    name: QuotaName
    uid: str
    version: int
    display_name: str
    metric: QuotaMetric
    window: QuotaWindow
    time_zone: str
    limit: int
    create_us: int
    update_us: int

    @property
    def etag(self) -> str:
        """What a caller hands back to change only what it has seen."""
        return hashlib.blake2s(f"{self.uid}/{self.version}".encode(), digest_size=8).hexdigest()

    def changed(self, change: QuotaChange, *, now_us: int) -> Quota:
        """The next version."""
        return replace(
            self,
            display_name=self.display_name if change.display_name is None else change.display_name,
            limit=self.limit if change.limit is None else change.limit,
            version=self.version + 1,
            update_us=now_us,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaChange:
    """What to change; None stays as it is."""

    display_name: str | None = None
    limit: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaState:
    """How much of a quota is used in the window that is current."""

    quota: Quota
    use: WindowUse
    start_us: int
    reset_us: int
