"""Estimates from a sample with their 95 % confidence intervals.

Samples come as the exact sums of `Moments`; nothing is rounded before the last step.
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import lru_cache
from statistics import NormalDist
from typing import NamedTuple

_CONFIDENCE = 0.95
_Z = NormalDist().inv_cdf((1 + _CONFIDENCE) / 2)
# Up to here the distribution's closed form, whose length grows with it; above it the expansion, off by less than 4e-8.
_MOST_EXACT_FREEDOM = 30
_HALVINGS = 60


class Estimate(NamedTuple):
    """`low` to `high` is the interval; None when a single observation does not tell."""

    value: float
    low: float | None
    high: float | None


class Moments(NamedTuple):
    """`size` integer observations, their sum and the sum of their squares."""

    size: int
    total: int
    squares: int


def share(successes: int, trials: int) -> Estimate:
    """The share of `successes` in `trials`, of which there is at least one; both ends from 0 to 1.

    E. B. Wilson's score interval (J. Am. Stat. Assoc. 22, 1927): also sound where all or none succeed, unlike the
    normal approximation.
    """
    value = successes / trials
    weight = trials / (trials + _Z * _Z)
    middle = weight * value + (1 - weight) / 2
    half = weight * _Z * math.sqrt(value * (1 - value) / trials + (_Z / (2 * trials)) ** 2)
    # The last bit of a rounded end must not cut off what was observed, nor leave 0 to 1.
    return Estimate(value, max(0.0, min(value, middle - half)), min(1.0, max(value, middle + half)))


def mean(sample: Moments, *, per_unit: int = 1) -> Estimate | None:
    """The mean in units of which one is `per_unit` of the sample's, with Student's interval; None without a sample.

    Of few observations that differ much the low end may be below zero, whatever the quantity.
    """
    size = sample.size
    if not size:
        return None
    value = sample.total / (size * per_unit)
    if size == 1:
        return Estimate(value, None, None)
    half = student_quantile(size - 1) * math.sqrt(variance(sample) / (size * per_unit**2))
    return Estimate(value, value - half, value + half)


def variance(sample: Moments) -> Fraction:
    """The unbiased variance of at least two observations, exactly."""
    size, total, squares = sample
    return Fraction(size * squares - total * total, size * (size - 1))


@lru_cache(maxsize=4096)
def student_quantile(freedom: int) -> float:
    """What Student's t with `freedom` degrees of freedom, at least 1, stays within on both sides in 95 % of samples.

    Off by less than 4e-8. Formulas 26.7.3 to 26.7.5 of Abramowitz and Stegun, Handbook of Mathematical Functions.
    """
    if freedom > _MOST_EXACT_FREEDOM:
        return _expanded(freedom)
    low, high = 0.0, math.pi / 2
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if _within(middle, freedom) < _CONFIDENCE else (low, middle)
    return math.sqrt(freedom) * math.tan(high)


def _within(angle: float, freedom: int) -> float:
    """How probable it is that |t| is at most sqrt(freedom) * tan(angle): 26.7.3 for odd freedom, 26.7.4 for even."""
    is_odd = freedom % 2
    cosine, sine = math.cos(angle), math.sin(angle)
    term = cosine if is_odd else 1.0
    series = 0.0 if freedom == 1 else term
    for power in range(2 + is_odd, freedom - 1, 2):
        term *= cosine * cosine * (power - 1) / power
        series += term
    return 2 / math.pi * (angle + sine * series) if is_odd else sine * series


def _expanded(freedom: int) -> float:
    """26.7.5, to the fourth order."""
    z, z2 = _Z, _Z * _Z
    first = z * (z2 + 1) / 4
    second = z * ((5 * z2 + 16) * z2 + 3) / 96
    third = z * (((3 * z2 + 19) * z2 + 17) * z2 - 15) / 384
    fourth = z * ((((79 * z2 + 776) * z2 + 1482) * z2 - 1920) * z2 - 945) / 92_160
    return z + (first + (second + (third + fourth / freedom) / freedom) / freedom) / freedom
