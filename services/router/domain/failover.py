"""What to do when an attempt fails before any content reached the caller. Every retry of the router is decided here.

The next target is tried at once where one is left, for another provider is the better bet. The last one that could be
opened is tried again after a pause, as long as the failure is one that passes and the deadline allows. Before any of
that, a target whose key is refused is tried at once with the version that overlaps with the refused one, if there is
such a version.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from services.router.domain.errors import ProviderError, Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class FailoverPolicy:
    """Bounds. `max_attempts` over all targets; the last target gets at most `max_retries` of them on top of its first,
    unless its provider says otherwise.

    Pauses double from `backoff_s` up to `longest_backoff_s`, each drawn between 0 and that (full jitter).
    """

    max_attempts: int = 6
    max_retries: int = 1
    backoff_s: float = 0.2
    longest_backoff_s: float = 5.0


@dataclass(frozen=True, slots=True)
class _Treatment:
    next_target: bool
    same_target: bool
    other_key_version: bool = False


# By selection.md: a failure of the request fails everywhere; one of the key or the model only there; one of the
# provider may pass.
_TREATMENTS: Mapping[Reason, _Treatment] = MappingProxyType(
    {
        Reason.PROVIDER_INVALID_REQUEST: _Treatment(next_target=False, same_target=False),
        Reason.CONTENT_REFUSED: _Treatment(next_target=False, same_target=False),
        # The caller's URL: who serves should not depend on whether it works just now.
        Reason.MEDIA_NOT_FETCHED: _Treatment(next_target=False, same_target=False),
        # Only where more may fit: the call leaves the other targets out.
        Reason.CONTEXT_TOO_LONG: _Treatment(next_target=True, same_target=False),
        Reason.PROVIDER_KEY_REJECTED: _Treatment(next_target=True, same_target=False, other_key_version=True),
        Reason.PROVIDER_PERMISSION_DENIED: _Treatment(next_target=True, same_target=False),
        Reason.PROVIDER_BILLING: _Treatment(next_target=True, same_target=False),
        Reason.PROVIDER_MODEL_NOT_FOUND: _Treatment(next_target=True, same_target=False),
        Reason.PROVIDER_RATE_LIMITED: _Treatment(next_target=True, same_target=True),
        Reason.PROVIDER_TIMEOUT: _Treatment(next_target=True, same_target=True),
        Reason.PROVIDER_OVERLOADED: _Treatment(next_target=True, same_target=True),
        Reason.PROVIDER_ERROR: _Treatment(next_target=True, same_target=True),
        Reason.PROVIDER_UNREACHABLE: _Treatment(next_target=True, same_target=True),
        Reason.PROVIDER_BAD_RESPONSE: _Treatment(next_target=True, same_target=False),
        Reason.PROVIDER_ADDRESS_REFUSED: _Treatment(next_target=True, same_target=False),
    }
)


@dataclass(frozen=True, slots=True)
class NextTarget:
    """Go on with the next target at once."""


@dataclass(frozen=True, slots=True)
class RetryAfter:
    """Try the same target again after `delay_s` seconds."""

    delay_s: float


@dataclass(frozen=True, slots=True)
class KeyFallback:
    """Try the same target again at once, with this version of its key."""

    version: int


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Tell the caller."""


Step = KeyFallback | NextTarget | RetryAfter | GiveUp


def next_step(
    error: ProviderError,
    policy: FailoverPolicy,
    *,
    attempts: int,
    retries: int,
    targets_left: int,
    fallback_version: int,
    remaining_s: float,
    jitter: random.Random,
    max_retries: int | None = None,
) -> Step:
    """What follows the `attempts`-th attempt, after `retries` repetitions on its target, with `remaining_s` left.

    `fallback_version` is the version of the target's key that may be tried in place of a refused one, 0 for none;
    `max_retries` the bound of the target's provider, None for the policy's.
    """
    treatment = _TREATMENTS[error.reason]
    most = policy.max_retries if max_retries is None else max_retries
    if attempts >= policy.max_attempts or remaining_s <= 0:
        return GiveUp()
    if fallback_version and treatment.other_key_version:
        return KeyFallback(fallback_version)
    if targets_left and treatment.next_target:
        return NextTarget()
    if not treatment.same_target or retries >= most or targets_left:
        return GiveUp()
    if error.retry_after_s is not None:
        delay_s = error.retry_after_s
    elif error.reason is Reason.PROVIDER_RATE_LIMITED:
        # Without a hint there is nothing to wait for.
        return GiveUp()
    else:
        delay_s = jitter.uniform(0, min(policy.backoff_s * 2**retries, policy.longest_backoff_s))
    return RetryAfter(delay_s) if delay_s < remaining_s else GiveUp()
