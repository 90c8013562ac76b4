from __future__ import annotations

import pytest

from libs.core.money import NanoUsd, TokenCounts
from services.usage_accounting.domain.attempt import AttemptKey, Dimensions, Outcome, TokenSource
from services.usage_accounting.domain.confidence import Estimate, Moments
from services.usage_accounting.domain.experiments import ArmAttempt, ArmStats, ArmSums, arm_attempt
from services.usage_accounting.domain.usage_event import Settlement

EXPERIMENT = "tenants/acme/routes/chat/experiments/e"
TOKENS = TokenCounts(input_tokens=3, output_tokens=4)
DIMENSIONS = Dimensions("alice", "p", "openai", "m", "m", "", "chat", "", "", "{}", "experiment", EXPERIMENT, "b")


def settlement(outcome: Outcome = Outcome.SUCCEEDED) -> Settlement:
    key = AttemptKey("acme", "0b0a3c2e-7f57-4a6c-9b1e-2a4d6f8c0e1d", 1)
    return Settlement(key, outcome, TOKENS, TokenSource.REPORTED, "", "", 10, 20, 5, fallback=False)


def sums(calls: int, **values: object) -> ArmSums:
    nothing = Moments(0, 0, 0)
    defaults = {
        "arm": "b",
        "succeeded": 0,
        "durations_us": nothing,
        "first_contents_us": nothing,
        "costs_nano_usd": nothing,
        "tokens": TokenCounts(),
    }
    return ArmSums(calls=calls, **(defaults | values))  # type: ignore[arg-type]


def test_a_settled_attempt_counts_for_its_arm() -> None:
    assert arm_attempt(settlement(), DIMENSIONS, NanoUsd(7)) == ArmAttempt(
        "acme", EXPERIMENT, "b", 10, True, 20, 5, NanoUsd(7), TOKENS
    )


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.INTERRUPTED])
def test_a_failed_attempt_counts_as_a_call_without_success(outcome: Outcome) -> None:
    attempt = arm_attempt(settlement(outcome), DIMENSIONS, None)
    assert attempt is not None
    assert not attempt.has_succeeded


@pytest.mark.parametrize("outcome", [Outcome.CANCELLED, Outcome.UNKNOWN])
def test_what_says_nothing_about_the_arm_does_not_count(outcome: Outcome) -> None:
    assert arm_attempt(settlement(outcome), DIMENSIONS, None) is None


def test_outside_of_experiments_nothing_counts() -> None:
    assert arm_attempt(settlement(), DIMENSIONS._replace(experiment="", arm=""), None) is None


def test_an_arm_that_never_succeeded_has_a_rate_and_no_means() -> None:
    stats = ArmStats.of(sums(4))
    assert (stats.success_rate.value, stats.success_rate.low) == (0, 0)
    assert (stats.duration_s, stats.first_content_s, stats.cost_nano_usd) == (None, None, None)
    assert (stats.total_cost_nano_usd, stats.unpriced_calls) == (0, 4)


def test_times_are_told_in_seconds_and_costs_in_nano_usd() -> None:
    one = Moments(1, 2_500_000, 2_500_000**2)
    stats = ArmStats.of(
        sums(2, succeeded=1, durations_us=one, first_contents_us=one, costs_nano_usd=Moments(1, 90, 8100))
    )
    assert (stats.duration_s, stats.first_content_s) == (Estimate(2.5, None, None), Estimate(2.5, None, None))
    assert stats.cost_nano_usd == Estimate(90.0, None, None)
    assert (stats.total_cost_nano_usd, stats.unpriced_calls) == (90, 1)
