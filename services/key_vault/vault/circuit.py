"""Spares callers the wait for a Vault that just failed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from libs.core.clock import Clock
from libs.core.errors import Unavailable
from services.key_vault.domain.errors import Reason
from services.key_vault.vault.answers import again

T = TypeVar("T")

PROBE_INTERVAL_S = 1.0


class Circuit:
    """After a failure everybody gets that failure at once, but for one call each second that finds out.

    What a call found out counts from when it began: one that waited in vain through an outage and gives up when
    Vault is long back says nothing against those that began later and went well. For use from one event loop.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failure: Unavailable | None = None
        self._known_at = float("-inf")
        self._next_probe = 0.0

    @property
    def is_open(self) -> bool:
        """Whether calls are answered without being tried."""
        return self._failure is not None

    async def run(self, call: Callable[[], Awaitable[T]]) -> T:
        """What `call` gives, or the last failure at once.

        Whatever it raises but Unavailable says nothing about Vault, nor does `OVERLOADED`: our own queue is full.
        """
        began = self.begin()
        try:
            result = await call()
        except Unavailable as error:
            if error.reason != Reason.OVERLOADED:
                self.failed(error, began)
            raise
        self.succeeded(began)
        return result

    def begin(self) -> float:
        """When the call that may now be tried began. Raises the last failure when it may not."""
        now = self._clock.monotonic()
        failure = self._failure
        if failure is None:
            return now
        if now >= self._next_probe:
            self._next_probe = now + PROBE_INTERVAL_S
            return now
        raise again(failure)

    def failed(self, failure: Unavailable, began: float) -> None:
        """Take note that a call failed."""
        if began >= self._known_at:
            self._known_at = began
            self._failure = again(failure)
            self._next_probe = self._clock.monotonic() + PROBE_INTERVAL_S

    def succeeded(self, began: float) -> None:
        """Take note that Vault did what a call wanted."""
        if began >= self._known_at:
            self._known_at = began
            self._failure = None
