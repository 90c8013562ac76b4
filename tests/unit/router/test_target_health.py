from __future__ import annotations

from services.router.domain.errors import ProviderError, Reason
from services.router.domain.health import TargetHealth

ONE, OTHER = ("p", "m", "k1"), ("p", "m", "k2")
FAULT = ProviderError(Reason.PROVIDER_ERROR)


def test_a_target_cools_down_after_enough_faults_in_a_row() -> None:
    health = TargetHealth(threshold=3, cooldown_s=5)
    for _ in range(2):
        health.failed(ONE, FAULT, now=10)
    assert health.cooling_until(ONE) == 0
    health.failed(ONE, FAULT, now=10)
    assert health.cooling_until(ONE) == 15
    assert health.cooling_until(OTHER) == 0


def test_a_success_in_between_starts_the_count_anew() -> None:
    health = TargetHealth(threshold=2)
    health.failed(ONE, FAULT, now=10)
    health.succeeded(ONE)
    health.failed(ONE, FAULT, now=10)
    assert health.cooling_until(ONE) == 0


def test_what_a_caller_did_wrong_says_nothing_about_health() -> None:
    health = TargetHealth(threshold=1)
    for reason in (Reason.PROVIDER_INVALID_REQUEST, Reason.CONTENT_REFUSED, Reason.PROVIDER_KEY_REJECTED):
        health.failed(ONE, ProviderError(reason), now=10)
    assert health.cooling_until(ONE) == 0


def test_a_provider_s_hint_cools_at_once_and_is_never_shortened() -> None:
    health = TargetHealth(threshold=1, cooldown_s=1)
    health.failed(ONE, ProviderError(Reason.PROVIDER_RATE_LIMITED, retry_after_s=60), now=10)
    health.failed(ONE, FAULT, now=11)
    assert health.cooling_until(ONE) == 70


def test_an_absurd_hint_is_bounded() -> None:
    health = TargetHealth(longest_hint_s=300)
    health.failed(ONE, ProviderError(Reason.PROVIDER_RATE_LIMITED, retry_after_s=1e9), now=10)
    assert health.cooling_until(ONE) == 310
