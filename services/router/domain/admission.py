"""The door to a target: an attempt goes through it before it is sent, and says on its way out how it went."""

from __future__ import annotations

import time

from services.router.domain.errors import ProviderError
from services.router.domain.health import TargetHealth, Visit
from services.router.domain.limits import ProviderLimiter, Ticket
from services.router.domain.routing.causes import Cause
from services.router.domain.routing.route_plan import Obstacle, Target
from services.router.domain.routing.usability import paused


class Passage:
    """An attempt inside. Ends by exactly one of the last four methods; `tokens` are what it used, all of them."""

    __slots__ = ("_admission", "_ticket", "_visit")

    def __init__(self, admission: Admission, visit: Visit, ticket: Ticket | None) -> None:
        self._admission = admission
        self._visit = visit
        self._ticket = ticket

    def first_content(self, after_s: float) -> None:
        """A stream's first content came `after_s` seconds after the attempt was sent."""
        self._admission.health.first_content(self._visit, after_s, time.monotonic())

    def succeeded(self, tokens: int, *, whole_s: float | None) -> None:
        """The target served; `whole_s` is how long a whole answer took, None for a stream."""
        now = time.monotonic()
        self._admission.health.succeeded(self._visit, now, whole_s=whole_s)
        self._count(tokens, now)

    def failed(self, error: ProviderError, tokens: int) -> None:
        """The target failed."""
        now = time.monotonic()
        self._admission.health.failed(self._visit, error, now)
        self._count(tokens, now)

    def left(self, tokens: int) -> None:
        """The attempt ended without saying anything of its target."""
        self._admission.health.left(self._visit)
        self._count(tokens, time.monotonic())

    def withdrawn(self) -> None:
        """The attempt was never sent."""
        self._admission.health.left(self._visit)
        if self._ticket is not None:
            self._admission.limits.withdraw(self._ticket, time.monotonic())

    def _count(self, tokens: int, now: float) -> None:
        if self._ticket is not None:
            self._admission.limits.end(self._ticket, tokens, now)


class Admission:
    """Lets attempts in by the health of their targets and the limits of their providers, as of now.

    A plan looked at the same things, but other calls went in since. Nothing here waits.
    """

    def __init__(self, health: TargetHealth, limits: ProviderLimiter) -> None:
        self.health = health
        self.limits = limits

    def enter(self, target: Target, tokens: int, *, although_resting: bool) -> Passage | Obstacle:
        """Let an attempt in that takes `tokens` at most, or say what stands in its way.

        `although_resting` lets it in where a target rests for a reason that its owner may have mended.
        """
        now, provider = time.monotonic(), target.provider
        pause = self.health.pause(target.health_key, now)
        if pause is not None and not (pause.mendable and although_resting):
            return paused(pause)
        ticket = None
        if (limits := provider.limits) is not None:
            exceeded = self.limits.exceeded(provider, limits, tokens, now)
            if exceeded is not None:
                return Obstacle(Cause.RATE_LIMITED, exceeded.words, exceeded.values)
            ticket = self.limits.begin(provider, tokens, now)
        return Passage(self, self.health.enter(target.health_key, now), ticket)
