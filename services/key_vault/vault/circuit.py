"""Spares callers the wait for a Vault that just failed."""

from __future__ import annotations

from libs.core.clock import Clock
from libs.core.errors import Unavailable

PROBE_INTERVAL_S = 1.0


class Circuit:
    """After a failure everybody gets that failure at once, but for one call each second that finds out.

    For use from one event loop.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failure: Unavailable | None = None
        self._next_probe = 0.0

    def guard(self) -> None:
        """Return when the call may be tried. Raises the last failure otherwise."""
        failure = self._failure
        if failure is None:
            return
        now = self._clock.monotonic()
        if now >= self._next_probe:
            self._next_probe = now + PROBE_INTERVAL_S
            return
        # An exception of its own for each: a raised one collects its callers' tracebacks.
        raise Unavailable(failure.reason, failure.message, retry_delay_s=failure.retry_delay_s)

    def failed(self, failure: Unavailable) -> None:
        """Take note that a call failed."""
        self._failure = failure
        self._next_probe = self._clock.monotonic() + PROBE_INTERVAL_S

    def succeeded(self) -> None:
        """Take note that Vault answered."""
        self._failure = None
