"""The token of one Vault identity: got by one login for all its sessions, renewed before it ends."""

from __future__ import annotations

import math
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from libs.core.clock import Clock
from libs.core.errors import Unavailable
from libs.telemetry import names
from libs.telemetry.logs import get_logger
from services.key_vault.vault.answers import Login, again

_log = get_logger(__name__)
# Each token draws its own moment: replicas that started together must not renew together.
_RENEWED_AFTER = (1 / 2, 2 / 3)
# Of the lease, between two attempts to renew: as often as it matters, and not every second for an hour.
_RETRY_AFTER = 1 / 60
_YOUNG_S = 60.0
# Readiness asks ten times a second as long as something is wrong; Vault need not be.
_LOGIN_PAUSE_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldToken:
    """A token and its times: its lease in seconds (0: for ever), the others on the monotonic clock."""

    value: str = field(repr=False)
    lease_s: int
    renewable: bool
    since: float
    renew_at: float
    ends_at: float


class SharedToken:
    """For use by many threads: whoever finds that there is no token logs in, the others wait for that one login.

    `log_in` and `renew` come from the session that calls, and may raise Unavailable; so may all methods.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._held: HeldToken | None = None
        self._failure: Unavailable | None = None
        self._failed_at = -math.inf

    def current(self, log_in: Callable[[], Login]) -> HeldToken:
        """The token; a new one when there is none or it has ended."""
        held = self._held
        if held is None or self._clock.monotonic() >= held.ends_at:
            return self.exchange(held, log_in)
        return held

    def exchange(self, refused: HeldToken | None, log_in: Callable[[], Login]) -> HeldToken:
        """Another token than `refused`: the one that somebody else got meanwhile, or a new one.

        A login that just failed is not tried again for half a second: its failure is everybody's.
        """
        with self._lock:
            if self._held is None or (refused is not None and self._held.value == refused.value):
                self._held = None
                self._held = self._hold(self._login(log_in))
            return self._held

    def is_young(self, held: HeldToken) -> bool:
        """Whether the login was within the last minute: what `held` may not do, a newer one may not do either."""
        return self._clock.monotonic() - held.since < _YOUNG_S

    def keep_alive(self, log_in: Callable[[], Login], renew: Callable[[HeldToken], Login | None]) -> None:
        """Renew the token when it is due, or get another when it cannot be renewed; get the first one.

        `renew` returns None for a token that Vault does not renew. As long as the token is good, a failure is only
        logged, and tried again soon. Calls go on with the token meanwhile.
        """
        held = self.current(log_in)
        if self._clock.monotonic() < held.renew_at:
            return
        with self._lock:
            if self._held is not held:
                return
            try:
                self._held = self._prolonged(held, log_in, renew)
            except Unavailable as error:
                _log.warning(names.EVENT_DEPENDENCY_LOST, dependency="renewal of the Vault token", reason=error.reason)
                now = self._clock.monotonic()
                self._held = replace(held, renew_at=now + held.lease_s * _RETRY_AFTER)

    def _prolonged(
        self, held: HeldToken, log_in: Callable[[], Login], renew: Callable[[HeldToken], Login | None]
    ) -> HeldToken:
        renewed = renew(held) if held.renewable else None
        # Shorter than it was: its greatest age is near, and renewing would go on in ever smaller steps.
        if renewed is None or renewed.lease_s < held.lease_s:
            return self._hold(self._login(log_in))
        return replace(self._hold(renewed), value=held.value, since=held.since)

    def _login(self, log_in: Callable[[], Login]) -> Login:
        failure = self._failure
        if failure is not None and self._clock.monotonic() - self._failed_at < _LOGIN_PAUSE_S:
            raise again(failure)
        try:
            login = log_in()
        except Unavailable as error:
            self._failure, self._failed_at = again(error), self._clock.monotonic()
            raise
        self._failure = None
        return login

    def _hold(self, login: Login) -> HeldToken:
        now = self._clock.monotonic()
        lease_s = login.lease_s or math.inf
        return HeldToken(
            value=login.token,
            lease_s=login.lease_s,
            renewable=login.renewable,
            since=now,
            renew_at=now + lease_s * random.uniform(*_RENEWED_AFTER),  # noqa: S311 - spreads load, guards nothing
            ends_at=now + lease_s,
        )
