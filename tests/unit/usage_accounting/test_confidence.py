from __future__ import annotations

import math
import statistics
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.usage_accounting.domain import confidence
from services.usage_accounting.domain.confidence import Estimate, Moments

WEEK_US = 7 * 24 * 3600 * 10**6
observations = st.lists(st.integers(0, WEEK_US), min_size=2, max_size=40)
costs = st.lists(st.integers(0, 2**63 - 1), min_size=2, max_size=40)


def moments(values: list[int]) -> Moments:
    return Moments(len(values), sum(values), sum(value**2 for value in values))


def width(estimate: Estimate | None) -> float:
    assert estimate is not None
    assert estimate.low is not None
    assert estimate.high is not None
    return estimate.high - estimate.low


# NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.6.7.2: critical values of Student's t, 0.975.
@pytest.mark.parametrize(
    ("freedom", "quantile"),
    [
        (1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (5, 2.571), (6, 2.447), (7, 2.365), (8, 2.306), (9, 2.262),
        (10, 2.228), (11, 2.201), (12, 2.179), (13, 2.160), (14, 2.145), (15, 2.131), (16, 2.120), (17, 2.110),
        (18, 2.101), (19, 2.093), (20, 2.086), (25, 2.060), (29, 2.045), (30, 2.042), (31, 2.040), (40, 2.021),
        (50, 2.009), (60, 2.000), (80, 1.990), (100, 1.984),
    ],
)  # fmt: skip
def test_quantiles_are_those_of_the_published_table(freedom: int, quantile: float) -> None:
    assert round(confidence.student_quantile(freedom), 3) == quantile


@pytest.mark.parametrize(
    ("freedom", "exact"),
    [(1, math.tan(math.pi * 0.475)), (2, 0.95 * math.sqrt(2 / (1 - 0.95**2))), (4, 2.7764451051977987)],
)
def test_quantiles_that_have_a_formula_are_exact(freedom: int, exact: float) -> None:
    assert confidence.student_quantile(freedom) == pytest.approx(exact, rel=1e-14)


@pytest.mark.parametrize("freedom", [31, 32, 45, 100, 333, 1000])
def test_the_expansion_stays_as_near_as_promised_to_the_closed_form(freedom: int) -> None:
    angle = math.atan(confidence.student_quantile(freedom) / math.sqrt(freedom))
    # The density of t is below 0.4, so that an error of the quantile is at least 2.5 times that of the probability.
    assert confidence._within(angle, freedom) == pytest.approx(0.95, abs=4e-8 * 2 * 0.06)


def test_quantiles_fall_towards_that_of_the_normal_distribution() -> None:
    quantiles = [confidence.student_quantile(freedom) for freedom in range(1, 200)]
    assert quantiles == sorted(quantiles, reverse=True)
    assert confidence.student_quantile(10**12) == pytest.approx(1.959963984540054, abs=1e-11)


@given(observations | costs)
def test_the_variance_is_exactly_that_of_the_observations(values: list[int]) -> None:
    assert confidence.variance(moments(values)) == statistics.variance(map(Fraction, values))


@given(observations | costs)
def test_an_interval_holds_its_mean_in_the_middle(values: list[int]) -> None:
    estimate = confidence.mean(moments(values))
    assert estimate is not None
    assert estimate.low is not None
    assert estimate.high is not None
    assert estimate.value == pytest.approx(float(statistics.mean(map(Fraction, values))), rel=1e-15)
    assert estimate.low <= estimate.value <= estimate.high
    half = confidence.student_quantile(len(values) - 1) * math.sqrt(statistics.variance(map(Fraction, values)))
    assert width(estimate) == pytest.approx(2 * half / math.sqrt(len(values)), rel=1e-9, abs=1e-6 * estimate.value)


@given(observations, st.integers(2, 20))
def test_an_interval_shrinks_when_the_same_is_seen_more_often(values: list[int], times: int) -> None:
    once, often = confidence.mean(moments(values)), confidence.mean(moments(values * times))
    assert once is not None
    assert often is not None
    assert once.value == often.value
    assert width(often) < width(once) or len(set(values)) == 1


@given(observations)
def test_a_unit_scales_all_of_an_estimate(values: list[int]) -> None:
    whole, scaled = confidence.mean(moments(values)), confidence.mean(moments(values), per_unit=10**6)
    assert whole is not None
    assert scaled is not None
    assert scaled.value == pytest.approx(whole.value / 10**6)
    assert width(scaled) == pytest.approx(width(whole) / 10**6, abs=1e-9 * whole.value / 10**6)


def test_a_known_sample_gives_its_known_interval() -> None:
    # 1 to 5: mean 3, standard deviation sqrt(2.5), and 2.776445 of it over sqrt(5) to each side.
    assert confidence.mean(moments([1, 2, 3, 4, 5])) == pytest.approx((3, 1.0367568385224393, 4.963243161477561))


def test_a_single_observation_has_a_mean_and_no_interval() -> None:
    assert confidence.mean(Moments(1, 1500, 1500**2), per_unit=1000) == Estimate(1.5, None, None)


def test_nothing_observed_has_no_mean() -> None:
    assert confidence.mean(Moments(0, 0, 0)) is None


def test_equal_observations_leave_no_doubt() -> None:
    assert confidence.mean(Moments(3, 21, 147)) == Estimate(7.0, 7.0, 7.0)


# Newcombe, Statistics in Medicine 17 (1998), table I: the score method without continuity correction.
@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_shares_have_the_published_intervals(successes: int, trials: int, low: float, high: float) -> None:
    estimate = confidence.share(successes, trials)
    assert (estimate.low, estimate.high) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 10**12).flatmap(lambda trials: st.tuples(st.integers(0, trials), st.just(trials))))
def test_a_share_lies_in_its_interval_and_that_in_0_to_1(case: tuple[int, int]) -> None:
    value, low, high = confidence.share(*case)
    assert low is not None
    assert high is not None
    assert 0 <= low <= value <= high <= 1
    mirrored = confidence.share(case[1] - case[0], case[1])
    assert (mirrored.low, mirrored.high) == pytest.approx((1 - high, 1 - low), abs=1e-12)


@given(st.integers(1, 1000).flatmap(lambda trials: st.tuples(st.integers(0, trials), st.just(trials))))
def test_the_interval_of_a_share_shrinks_with_more_trials(case: tuple[int, int]) -> None:
    successes, trials = case
    assert width(confidence.share(2 * successes, 2 * trials)) < width(confidence.share(successes, trials))
