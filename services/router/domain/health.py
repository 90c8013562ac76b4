"""How targets do in this router's own calls: which to leave alone for a while, how fast and how busy they are.

A target is a provider, one of its models and a key, for one tenant's bad key must not cool another's. Each is

    closed     calls are sent. N faults of the provider within a minute open it, if at least half of the calls failed
    open       none is sent until it has cooled down: as long as the provider asked for, else as the settings say
    half-open  it has cooled down. One call is sent, and another one whenever none came back for 10 s: one that is
               served closes it, one more fault opens it

A deadline is never shortened by a later, shorter one. Besides there are rests that say nothing against the provider:

    a rate limit                                  the target, for the provider's hint; then it is simply closed
    a refused key                                 all of the provider's targets with this key, for 60 s, or until a test
                                                  of a provider finds that the key is taken
    no permission for a model, an unknown model   the target, for 60 s
    no credit left                                the target, for 300 s

The owner may have mended all but the rate limit meanwhile, so a target that rests for one of them is tried all the same
when a call has no other. After its rest it is half-open. Cancelled calls, refused requests and refused contents say
nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from services.router.domain.condition import WINDOW_S, BreakerState, Condition, Pause
from services.router.domain.errors import ProviderError, Reason

HealthKey = tuple[str, str, str]
"""(provider's resource name, model id, key's resource name)"""

# Failures of the provider itself.
_FAULTS = frozenset(
    {
        Reason.PROVIDER_TIMEOUT,
        Reason.PROVIDER_OVERLOADED,
        Reason.PROVIDER_ERROR,
        Reason.PROVIDER_UNREACHABLE,
        Reason.PROVIDER_BAD_RESPONSE,
    }
)
_RESTS_S: Mapping[Reason, float] = MappingProxyType(
    {
        Reason.PROVIDER_KEY_REJECTED: 60.0,
        Reason.PROVIDER_PERMISSION_DENIED: 60.0,
        Reason.PROVIDER_MODEL_NOT_FOUND: 60.0,
        Reason.PROVIDER_BILLING: 300.0,
    }
)
_MAX_TRACKED = 50_000
# How much the newest call weighs in a moving average: about the last ten calls matter.
_NEWEST = 0.2
# An average is no news of how fast a target is when it was not called for so long.
_LATELY_S = 300.0


class Visit:
    """A call under way to a target; ends by exactly one of `TargetHealth.succeeded`, `failed` and `left`."""

    __slots__ = ("began", "conditions", "key")

    def __init__(self, key: HealthKey, began: float, conditions: tuple[Condition, ...]) -> None:
        self.key = key
        self.began = began
        # The target's, and that of its key where there is one.
        self.conditions = conditions


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetReport:
    """How one target does; see `ProviderHealth` in the API. `cooling_s` is what is left, 0 unless it is open."""

    key: HealthKey
    state: BreakerState
    recent_calls: int
    recent_faults: int
    average_first_content_s: float | None
    under_way: int
    cooling_s: float


class TargetHealth:
    """The health of all targets this router has called lately, at most 50,000. For use from one event loop.

    `threshold` faults open a target, among at least `minimum_calls` of which at least `fault_share` failed; then it
    cools for `cooldown_s` or the provider's hint, at most `longest_hint_s`. All times are monotonic seconds.
    """

    def __init__(
        self,
        *,
        threshold: int = 5,
        cooldown_s: float = 5.0,
        longest_hint_s: float = 300.0,
        minimum_calls: int = 1,
        fault_share: float = 0.5,
    ) -> None:
        self._threshold = threshold
        self._cooldown_s = cooldown_s
        self._longest_hint_s = longest_hint_s
        self._minimum_calls = minimum_calls
        self._fault_share = fault_share
        self._conditions: OrderedDict[HealthKey, Condition] = OrderedDict()
        # Of keys that were refused, under the provider, no model, and the key.
        self._keys: OrderedDict[HealthKey, Condition] = OrderedDict()

    def pause(self, key: HealthKey, now: float) -> Pause | None:
        """Why a target is left alone at `now`; None when a call may go there."""
        condition = self._conditions.get(key)
        if condition is None or not (condition.opened or condition.hint_until > now):
            found = None
        else:
            found = condition.pause(now)
        if self._keys and (found is None or found.mendable):
            refused = self._keys.get((key[0], "", key[2]))
            return (refused.pause(now) if refused is not None else None) or found
        return found

    def latency_s(self, key: HealthKey, now: float, *, streaming: bool) -> float | None:
        """The average time to the first content, or to the whole answer; None when it was not called so lately."""
        condition = self._conditions.get(key)
        if condition is None:
            return None
        seconds, moved = (
            (condition.spoke_s, condition.spoke_at) if streaming else (condition.whole_s, condition.whole_at)
        )
        return seconds if moved and now - moved <= _LATELY_S else None

    def tried_lately(self, key: HealthKey, now: float) -> bool:
        """Whether a call is under way to a target, or failed there within the window."""
        condition = self._conditions.get(key)
        return condition is not None and (condition.under_way > 0 or now - condition.failed_at < WINDOW_S)

    def under_way(self, key: HealthKey) -> int:
        """Calls under way to a target."""
        condition = self._conditions.get(key)
        return condition.under_way if condition is not None else 0

    def enter(self, key: HealthKey, now: float) -> Visit:
        """A call goes to a target, which has no `pause` or only a mendable one. The first one tries a half-open one."""
        condition = self._conditions.get(key)
        if condition is None:
            condition = self._conditions[key] = Condition()
            if len(self._conditions) > _MAX_TRACKED:
                self._conditions.popitem(last=False)
        else:
            self._conditions.move_to_end(key)
        condition.under_way += 1
        refused = self._keys.get((key[0], "", key[2])) if self._keys else None
        visit = Visit(key, now, (condition,) if refused is None else (condition, refused))
        for each in visit.conditions:
            if each.opened and not each.on_trial(now):
                each.begin_trial(visit, now)
        return visit

    def first_content(self, visit: Visit, after_s: float, now: float) -> None:
        """A stream's first content came `after_s` seconds after it was sent: that its target works is known by now."""
        condition = visit.conditions[0]
        fresh = condition.spoke_at and now - condition.spoke_at <= _LATELY_S
        condition.spoke_s += (after_s - condition.spoke_s) * (_NEWEST if fresh else 1.0)
        condition.spoke_at = now
        self._close(visit)

    def succeeded(self, visit: Visit, now: float, *, whole_s: float | None = None) -> None:
        """The call was served; `whole_s` is how long a whole answer took, None for a stream."""
        condition = self._leave(visit)
        self._close(visit)
        condition.count(now, fault=False)
        if whole_s is not None:
            fresh = condition.whole_at and now - condition.whole_at <= _LATELY_S
            condition.whole_s += (whole_s - condition.whole_s) * (_NEWEST if fresh else 1.0)
            condition.whole_at = now

    def failed(self, visit: Visit, error: ProviderError, now: float) -> None:
        """The call failed."""
        was_trial = visit.conditions[0].trial is visit
        condition = self._leave(visit)
        reason, hint_s = error.reason, error.retry_after_s
        fault = reason in _FAULTS
        if fault or reason is Reason.PROVIDER_RATE_LIMITED or reason in _RESTS_S:
            condition.count(now, fault=fault)
            condition.failed_at = now
        if fault:
            if was_trial or condition.open_until > now or self._too_many(condition):
                condition.open(now)
                cooling_s = min(self._cooldown_s if hint_s is None else hint_s, self._longest_hint_s)
                condition.open_until = max(condition.open_until, now + cooling_s)
        elif reason is Reason.PROVIDER_RATE_LIMITED and hint_s:
            condition.hint_until = max(condition.hint_until, now + min(hint_s, self._longest_hint_s))
        elif reason in _RESTS_S:
            resting = self._of_key(visit.key) if reason is Reason.PROVIDER_KEY_REJECTED else condition
            resting.open(now)
            resting.why = reason
            resting.mendable_until = max(resting.mendable_until, now + _RESTS_S[reason])

    def left(self, visit: Visit) -> None:
        """The call ended without saying anything about its target, or was not sent."""
        self._leave(visit)

    def key_taken(self, key: str) -> None:
        """A test found that the key of this resource name is taken: it rests no longer, at no provider.

        There is no telling providers apart here, nor a need to: a key is sent to one origin only.
        """
        for name in [each for each in self._keys if each[2] == key]:
            del self._keys[name]

    def report(self, key: HealthKey, now: float) -> TargetReport | None:
        """How a target does that was called within the window, or is left alone just now; else None."""
        condition = self._conditions.get(key)
        if condition is None:
            return None
        condition.move(now)
        refused = self._keys.get((key[0], "", key[2]))
        states = [each.state(now) for each in (condition, refused) if each is not None]
        state = next(
            each for each in (BreakerState.OPEN, BreakerState.HALF_OPEN, BreakerState.CLOSED) if each in states
        )
        calls = sum(condition.calls)
        if not calls and not condition.under_way and state is BreakerState.CLOSED:
            return None
        pause = self.pause(key, now)
        average_s = condition.spoke_s if condition.spoke_at else condition.whole_s if condition.whole_at else None
        return TargetReport(
            key=key,
            state=state,
            recent_calls=calls,
            recent_faults=sum(condition.faults),
            average_first_content_s=average_s,
            under_way=condition.under_way,
            cooling_s=pause.wait_s if pause is not None and state is BreakerState.OPEN else 0.0,
        )

    def _too_many(self, condition: Condition) -> bool:
        calls, faults = sum(condition.calls), sum(condition.faults)
        enough = faults >= self._threshold and calls >= self._minimum_calls
        return enough and faults >= calls * self._fault_share

    def _of_key(self, key: HealthKey) -> Condition:
        name = key[0], "", key[2]
        condition = self._keys.get(name)
        if condition is None:
            condition = self._keys[name] = Condition()
            if len(self._keys) > _MAX_TRACKED:
                self._keys.popitem(last=False)
        return condition

    def _leave(self, visit: Visit) -> Condition:
        for each in visit.conditions:
            if each.trial is visit:
                each.trial = None
        condition = visit.conditions[0]
        condition.under_way -= 1
        return condition

    def _close(self, visit: Visit) -> None:
        # What began before it was opened tells nothing of how it does since.
        for condition in visit.conditions:
            if condition.opened and visit.began >= condition.opened_at:
                condition.close()
        if len(visit.conditions) > 1 and not visit.conditions[1].opened:
            name = visit.key[0], "", visit.key[2]
            # Another may have taken its place: the key was refused once more since.
            if self._keys.get(name) is visit.conditions[1]:
                del self._keys[name]
