"""Which targets to leave alone for a while, as seen by this router."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from services.router.domain.errors import ProviderError, Reason

HealthKey = tuple[str, str, str]
"""(provider's resource name, model id, key's resource name): one tenant's trouble must not cool another's target."""

# Failures of the provider itself; a caller's mistakes and refusals say nothing about health.
_FAULTS = frozenset(
    {
        Reason.PROVIDER_TIMEOUT,
        Reason.PROVIDER_OVERLOADED,
        Reason.PROVIDER_ERROR,
        Reason.PROVIDER_UNREACHABLE,
        Reason.PROVIDER_BAD_RESPONSE,
    }
)
_MAX_TRACKED = 100_000


@dataclass(slots=True)
class _State:
    failures: int = 0
    cooling_until: float = 0.0


class TargetHealth:
    """A breaker for each target: after `threshold` faults in a row it cools down for `cooldown_s`.

    A provider's own hint (`Retry-After`) cools the target for that long at once. A cooldown is never shortened by a
    later, shorter one. When it ends one success closes the breaker, one more fault opens it again.
    """

    def __init__(self, *, threshold: int = 5, cooldown_s: float = 5.0, longest_hint_s: float = 300.0) -> None:
        self._threshold = threshold
        self._cooldown_s = cooldown_s
        self._longest_hint_s = longest_hint_s
        self._states: OrderedDict[HealthKey, _State] = OrderedDict()

    def cooling_until(self, key: HealthKey) -> float:
        """Monotonic seconds until which the target is left alone; 0 when it is not."""
        state = self._states.get(key)
        return state.cooling_until if state is not None else 0.0

    def succeeded(self, key: HealthKey) -> None:
        """The target answered."""
        if self._states:
            self._states.pop(key, None)

    def failed(self, key: HealthKey, error: ProviderError, now: float) -> None:
        """The target failed at monotonic second `now`."""
        if error.reason is Reason.PROVIDER_RATE_LIMITED and error.retry_after_s:
            self._cool(key, now + min(error.retry_after_s, self._longest_hint_s))
        elif error.reason in _FAULTS:
            state = self._state(key)
            state.failures += 1
            if state.failures >= self._threshold:
                self._cool(key, now + min(error.retry_after_s or self._cooldown_s, self._longest_hint_s))

    def _cool(self, key: HealthKey, until: float) -> None:
        state = self._state(key)
        state.cooling_until = max(state.cooling_until, until)

    def _state(self, key: HealthKey) -> _State:
        state = self._states.get(key)
        if state is None:
            state = self._states[key] = _State()
            if len(self._states) > _MAX_TRACKED:
                self._states.popitem(last=False)
        return state
