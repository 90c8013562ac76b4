"""Which target served a session last, so that its next call meets the same provider's prompt cache."""

from __future__ import annotations

from collections import OrderedDict

from services.router.domain.health import HealthKey

_MAX_SESSIONS = 50_000


class SessionAffinity:
    """Remembers the sessions served last, at most 50,000. For use from one event loop.

    Sessions are kept as 64-bit hashes of the user and the session's name: two that meet would at worst suggest a target
    that the caller may use anyway.
    """

    def __init__(self, *, most: int = _MAX_SESSIONS) -> None:
        self._most = most
        self._targets: OrderedDict[int, HealthKey] = OrderedDict()

    def last(self, tenant: str, user: str, session: str) -> HealthKey | None:
        """The target that served the session last."""
        return self._targets.get(hash((tenant, user, session)))

    def served(self, tenant: str, user: str, session: str, target: HealthKey) -> None:
        """`target` served the session now."""
        key = hash((tenant, user, session))
        self._targets[key] = target
        self._targets.move_to_end(key)
        if len(self._targets) > self._most:
            self._targets.popitem(last=False)
