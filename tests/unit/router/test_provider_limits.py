"""What this router sends to a provider at most."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.router.domain.configuration import ProviderLimits
from services.router.domain.limits import ProviderLimiter
from tests.unit.router.fakes import provider

ONE, OTHER = provider("one"), provider("other")


def test_calls_within_a_minute_are_bounded_and_come_back_as_it_passes() -> None:
    limiter, limits = ProviderLimiter(), ProviderLimits(requests_per_minute=2)
    for now in (100.0, 130.0):
        assert limiter.exceeded(ONE, limits, 1, now) is None
        limiter.end(limiter.begin(ONE, 1, now), 1, now)
    assert limiter.exceeded(ONE, limits, 1, 159.9) is not None
    assert limiter.exceeded(OTHER, limits, 1, 159.9) is None
    assert limiter.exceeded(ONE, limits, 1, 161.0) is None


def test_tokens_count_at_the_upper_bound_first_and_as_used_afterwards() -> None:
    limiter, limits = ProviderLimiter(), ProviderLimits(tokens_per_minute=1_000)
    ticket = limiter.begin(ONE, 900, 100.0)
    exceeded = limiter.exceeded(ONE, limits, 200, 101.0)
    assert exceeded is not None
    assert exceeded.words.format(*exceeded.values) == (
        "the call may take 200 tokens, and of its limit of 1,000 a minute 100 are left"
    )
    limiter.end(ticket, 50, 102.0)
    assert limiter.exceeded(ONE, limits, 950, 103.0) is None
    assert limiter.exceeded(ONE, limits, 951, 103.0) is not None
    # What was corrected is also what is forgotten.
    assert limiter.exceeded(ONE, limits, 1_000, 170.0) is None
    assert limiter.exceeded(ONE, limits, 1_001, 170.0) is not None


def test_an_answer_longer_than_a_minute_corrects_nothing_that_was_forgotten() -> None:
    limiter, limits = ProviderLimiter(), ProviderLimits(tokens_per_minute=1_000)
    limiter.end(limiter.begin(ONE, 900, 100.0), 10, 300.0)
    assert limiter.exceeded(ONE, limits, 1_000, 300.0) is None
    assert limiter.exceeded(ONE, limits, 1_001, 300.0) is not None


def test_calls_at_the_same_time_are_bounded() -> None:
    limiter, limits = ProviderLimiter(), ProviderLimits(concurrent_requests=1)
    ticket = limiter.begin(ONE, 1, 100.0)
    assert limiter.exceeded(ONE, limits, 1, 500.0) is not None
    limiter.end(ticket, 1, 500.0)
    assert limiter.exceeded(ONE, limits, 1, 500.0) is None


def test_a_call_that_was_never_sent_does_not_count() -> None:
    limiter = ProviderLimiter()
    limits = ProviderLimits(requests_per_minute=1, tokens_per_minute=10, concurrent_requests=1)
    limiter.withdraw(limiter.begin(ONE, 10, 100.0), 100.0)
    assert limiter.exceeded(ONE, limits, 10, 100.0) is None


def test_only_providers_without_a_call_under_way_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.router.domain.limits._MAX_TRACKED", 2)
    limiter, limits = ProviderLimiter(), ProviderLimits(concurrent_requests=1)
    limiter.begin(ONE, 1, 100.0)
    for number in range(5):
        limiter.end(limiter.begin(provider(f"p{number}"), 1, 100.0), 1, 100.0)
    assert limiter.exceeded(ONE, limits, 1, 100.0) is not None
    assert len(limiter._counts) == 2


@given(st.lists(st.tuples(st.floats(0, 40), st.integers(0, 400), st.integers(0, 400), st.floats(0, 90)), max_size=40))
def test_no_minute_ever_holds_more_than_the_limits(calls: list[tuple[float, int, int, float]]) -> None:
    limiter, limits = ProviderLimiter(), ProviderLimits(requests_per_minute=3, tokens_per_minute=1_000)
    now, sent, ending = 1_000.0, list[float](), list[tuple[float, object, int]]()
    for pause, most, used, lasts in calls:
        now += pause
        for when, ticket, tokens in sorted(ending, key=lambda each: each[0]):
            if when <= now:
                limiter.end(ticket, tokens, when)  # type: ignore[arg-type]
        ending = [each for each in ending if each[0] > now]
        if limiter.exceeded(ONE, limits, most, now) is None:
            ending.append((now + lasts, limiter.begin(ONE, most, now), min(used, most)))
            sent.append(now)
    for begin in sent:
        assert sum(begin <= each < begin + 60 for each in sent) <= 3
