"""How long a provider may take."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from services.router.domain.configuration import ProviderTimeouts


@dataclass(frozen=True, slots=True, kw_only=True)
class Timers:
    """How long each phase of an attempt may take, in seconds; the call's own deadline bounds them all.

    `first_event_s` is from the sending of the call to the first byte of the answer's body, for a whole answer to its
    end; `connect_s` is a part of it; `idle_s` is between two reads of a stream; `total_s` is the whole attempt.
    """

    connect_s: float = 5.0
    first_event_s: float = 120.0
    idle_s: float = 60.0
    total_s: float | None = None

    def overridden(self, timeouts: ProviderTimeouts) -> Timers:
        """With a provider's own times where it has some."""
        return Timers(
            connect_s=self.connect_s if timeouts.connect_s is None else timeouts.connect_s,
            first_event_s=self.first_event_s if timeouts.first_event_s is None else timeouts.first_event_s,
            idle_s=self.idle_s if timeouts.idle_s is None else timeouts.idle_s,
            total_s=self.total_s if timeouts.total_s is None else timeouts.total_s,
        )

    def start(self) -> Deadlines:
        """The deadlines of an attempt that begins now."""
        now = asyncio.get_running_loop().time()
        return Deadlines(
            first_event=now + self.first_event_s,
            idle_s=self.idle_s,
            total=None if self.total_s is None else now + self.total_s,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """When the timers of one attempt run out, in seconds of the event loop's clock; `idle_s` begins anew each time."""

    first_event: float
    idle_s: float
    total: float | None = None

    def for_first_event(self) -> tuple[str, float]:
        """The timer that ends the wait for the first byte, and when."""
        return self._earlier("first_event", self.first_event)

    def for_next_event(self) -> tuple[str, float]:
        """The timer that ends a wait that begins now, and when."""
        return self._earlier("idle", asyncio.get_running_loop().time() + self.idle_s)

    def _earlier(self, timer: str, deadline: float) -> tuple[str, float]:
        if self.total is not None and self.total < deadline:
            return "total", self.total
        return timer, deadline
