from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.core.errors import InvalidArgument
from services.router.domain.errors import ProviderError, Reason, to_gatehouse_error
from services.router.domain.failover import FailoverPolicy, GiveUp, KeyFallback, NextTarget, RetryAfter, Step, next_step

PROVIDER_REASONS = sorted(
    {each for each in Reason if each.startswith("PROVIDER_")}
    | {Reason.CONTEXT_TOO_LONG, Reason.CONTENT_REFUSED, Reason.MEDIA_NOT_FETCHED}
)


def step(
    reason: Reason,
    *,
    targets_left: int = 0,
    retries: int = 0,
    attempts: int = 1,
    fallback_version: int = 0,
    remaining_s: float = 10.0,
    retry_after_s: float | None = None,
) -> Step:
    return next_step(
        ProviderError(reason, retry_after_s=retry_after_s),
        FailoverPolicy(max_attempts=3, max_retries=1),
        attempts=attempts,
        retries=retries,
        targets_left=targets_left,
        fallback_version=fallback_version,
        remaining_s=remaining_s,
        jitter=random.Random(7),
    )


@pytest.mark.parametrize("reason", PROVIDER_REASONS)
def test_every_failure_of_a_provider_has_a_treatment_and_a_meaning(reason: Reason) -> None:
    assert step(reason, targets_left=1) in (NextTarget(), GiveUp())
    error = to_gatehouse_error(ProviderError(reason, status=418), provider="p", model="m")
    assert (error.reason, error.metadata["status"]) == (reason, "418")


def test_media_that_cannot_be_fetched_are_not_laid_at_the_provider_s_door() -> None:
    failed = ProviderError(Reason.MEDIA_NOT_FETCHED, message="The image by URL at a.example is empty.")
    error = to_gatehouse_error(failed, provider="Ollama", model="llava")
    assert isinstance(error, InvalidArgument)
    assert str(error) == (
        "what the call has by URL cannot be fetched for Ollama, which takes its bytes only: "
        "The image by URL at a.example is empty."
    )
    assert error.metadata == {"provider": "Ollama", "model": "llava"}


def test_what_is_wrong_with_the_request_is_wrong_everywhere() -> None:
    for reason in (Reason.PROVIDER_INVALID_REQUEST, Reason.CONTENT_REFUSED, Reason.MEDIA_NOT_FETCHED):
        assert step(reason, targets_left=5) == GiveUp()


def test_a_bad_key_is_not_tried_again_but_another_target_is() -> None:
    assert step(Reason.PROVIDER_KEY_REJECTED) == GiveUp()
    assert step(Reason.PROVIDER_KEY_REJECTED, targets_left=1) == NextTarget()


def test_a_refused_key_is_replaced_by_the_version_that_overlaps_with_it_before_anything_else() -> None:
    for targets_left in (0, 3):
        assert step(Reason.PROVIDER_KEY_REJECTED, targets_left=targets_left, fallback_version=4) == KeyFallback(4)
    assert step(Reason.PROVIDER_KEY_REJECTED, fallback_version=4, attempts=3) == GiveUp()
    assert step(Reason.PROVIDER_KEY_REJECTED, fallback_version=4, remaining_s=0.0) == GiveUp()


@pytest.mark.parametrize("reason", sorted(set(PROVIDER_REASONS) - {Reason.PROVIDER_KEY_REJECTED}))
def test_no_other_failure_asks_for_another_version_of_the_key(reason: Reason) -> None:
    assert step(reason, fallback_version=4, targets_left=1) == step(reason, targets_left=1)
    assert step(reason, fallback_version=4, retry_after_s=1.0) == step(reason, retry_after_s=1.0)


def test_a_rate_limit_is_waited_for_only_with_a_hint_that_fits_the_deadline() -> None:
    assert step(Reason.PROVIDER_RATE_LIMITED) == GiveUp()
    assert step(Reason.PROVIDER_RATE_LIMITED, retry_after_s=2.5) == RetryAfter(2.5)
    assert step(Reason.PROVIDER_RATE_LIMITED, retry_after_s=10.0) == GiveUp()
    assert step(Reason.PROVIDER_RATE_LIMITED, retry_after_s=2.5, targets_left=1) == NextTarget()


@given(
    reason=st.sampled_from(PROVIDER_REASONS),
    targets=st.integers(1, 8),
    hint=st.none() | st.floats(0, 100),
    max_attempts=st.integers(1, 6),
    max_retries=st.integers(0, 3),
    overlapping=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_attempts_and_time_are_always_bounded(
    reason: Reason,
    targets: int,
    hint: float | None,
    max_attempts: int,
    max_retries: int,
    overlapping: bool,
    seed: int,
) -> None:
    policy = FailoverPolicy(max_attempts=max_attempts, max_retries=max_retries)
    error = ProviderError(reason, retry_after_s=hint)
    jitter, remaining, left, retries, attempts = random.Random(seed), 30.0, targets - 1, 0, 0
    fallback_version = int(overlapping)
    while True:
        attempts += 1
        decided = next_step(
            error,
            policy,
            attempts=attempts,
            retries=retries,
            targets_left=left,
            fallback_version=fallback_version,
            remaining_s=remaining,
            jitter=jitter,
        )
        if isinstance(decided, NextTarget):
            left, retries, fallback_version = left - 1, 0, int(overlapping)
            assert left >= 0
        elif isinstance(decided, KeyFallback):
            assert decided.version == 1
            fallback_version = 0
        elif isinstance(decided, RetryAfter):
            retries += 1
            assert 0 <= decided.delay_s < remaining
            remaining -= decided.delay_s
        else:
            break
    assert attempts <= min(max_attempts, targets * (1 + overlapping) + max_retries)
