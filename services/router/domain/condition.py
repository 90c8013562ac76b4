"""What is known of one target, or of one key of a provider: its breaker, its window of calls, its averages."""

from __future__ import annotations

import enum
import math
from typing import NamedTuple

from services.router.domain.errors import Reason

WINDOW_S = 60
"""How far back faults count, to a bucket exact."""

TRIAL_S = 10.0
"""How long a call that tries a target keeps the others out: a whole answer may take minutes, a failure as well."""

_BUCKETS = 12
_BUCKET_S = WINDOW_S // _BUCKETS


class BreakerState(enum.Enum):
    """Whether calls are sent to a target."""

    CLOSED = "CLOSED"
    OPEN = "OPEN"
    HALF_OPEN = "HALF_OPEN"


class Pause(NamedTuple):
    """Why a target is left alone just now.

    `wait_s` is for how long, 0 while another call tries it. `why` is the failure it rests for; None when the provider
    itself failed. `mendable`: its owner may have mended it meanwhile.
    """

    wait_s: float
    why: Reason | None
    mendable: bool


class Condition:
    """What is known of one target, or of one key of a provider."""

    __slots__ = (
        "calls", "failed_at", "faults", "hint_until", "mendable_until", "open_until", "opened", "opened_at", "spoke_at",
        "spoke_s", "tick", "trial", "trial_until", "under_way", "whole_at", "whole_s", "why",
    )  # fmt: skip

    def __init__(self) -> None:
        self.under_way = 0
        # Calls that ended and, of these, faults: by bucket of the window; `tick` counts the buckets of time.
        self.calls = [0] * _BUCKETS
        self.faults = [0] * _BUCKETS
        self.tick = 0
        # When a call last failed in a way that says something of it.
        self.failed_at = -math.inf
        # Moving averages of the time to the first content of streams, and of whole answers, and when they were moved.
        self.spoke_s = self.spoke_at = 0.0
        self.whole_s = self.whole_at = 0.0
        # Deadlines, in seconds of the monotonic clock.
        self.hint_until = 0.0
        self.open_until = 0.0
        self.mendable_until = 0.0
        # Open or half-open, and since when; the call that is trying it, and until when no other does.
        self.opened = False
        self.opened_at = 0.0
        self.trial: object | None = None
        self.trial_until = 0.0
        self.why: Reason | None = None

    def pause(self, now: float) -> Pause | None:
        """Why it is left alone at `now`."""
        if self.hint_until > now:
            until = max(self.hint_until, self.open_until)
            return Pause(until - now, Reason.PROVIDER_RATE_LIMITED, mendable=False)
        if not self.opened:
            return None
        if self.open_until > now:
            return Pause(self.open_until - now, None, mendable=False)
        if self.mendable_until > now:
            return Pause(self.mendable_until - now, self.why, mendable=True)
        return Pause(0.0, self.why, mendable=False) if self.on_trial(now) else None

    def on_trial(self, now: float) -> bool:
        """Whether a call is trying it, for not too long so far."""
        return self.trial is not None and self.trial_until > now

    def begin_trial(self, visit: object, now: float) -> None:
        """`visit` tries it."""
        self.trial = visit
        self.trial_until = now + TRIAL_S

    def state(self, now: float) -> BreakerState:
        """As its owner sees it."""
        if max(self.hint_until, self.open_until, self.mendable_until) > now:
            return BreakerState.OPEN
        return BreakerState.HALF_OPEN if self.opened else BreakerState.CLOSED

    def count(self, now: float, *, fault: bool) -> None:
        """A call ended."""
        self.move(now)
        bucket = self.tick % _BUCKETS
        self.calls[bucket] += 1
        self.faults[bucket] += fault

    def move(self, now: float) -> None:
        """Forget what is older than the window."""
        tick = int(now // _BUCKET_S)
        for gone in range(max(self.tick + 1, tick - _BUCKETS + 1), tick + 1):
            self.calls[gone % _BUCKETS] = self.faults[gone % _BUCKETS] = 0
        self.tick = max(self.tick, tick)

    def open(self, now: float) -> None:
        """No longer closed; a call that begins from now on may close it."""
        self.opened = True
        self.opened_at = now

    def close(self) -> None:
        """It works."""
        self.opened = False
        self.trial = None
        self.open_until = self.mendable_until = 0.0
        self.why = None
        self.calls = [0] * _BUCKETS
        self.faults = [0] * _BUCKETS
