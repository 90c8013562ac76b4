"""Money is exact: integers against fractions."""

from __future__ import annotations

from dataclasses import astuple
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.core.money import NanoUsd, PicoUsdPerToken, TokenCounts, TokenPrices, format_usd, round_pico_to_nano

# Far beyond any real price and context, so that nothing rests on a machine word.
COUNTS = st.builds(TokenCounts, **{name: st.integers(0, 10**12) for name in TokenCounts.__dataclass_fields__})
PRICES = st.builds(
    TokenPrices, **{name: st.integers(0, 10**12).map(PicoUsdPerToken) for name in TokenPrices.__dataclass_fields__}
)


@given(COUNTS, PRICES)
def test_the_cost_is_the_fraction_rounded_once_half_to_even(counts: TokenCounts, prices: TokenPrices) -> None:
    exact = sum(
        (Fraction(count) * Fraction(price) for count, price in zip(astuple(counts), astuple(prices), strict=True)),
        Fraction(0),
    )
    cost = prices.cost(counts)
    assert type(cost) is int
    # Python rounds fractions half to even.
    assert cost == round(exact / 1000)
    assert abs(Fraction(cost) - exact / 1000) <= Fraction(1, 2)


@given(st.integers(-(10**20), 10**20))
def test_rounding_agrees_with_fractions_for_any_sign(pico: int) -> None:
    assert round_pico_to_nano(pico) == round(Fraction(pico, 1000))


@pytest.mark.parametrize(
    ("pico", "nano"), [(0, 0), (499, 0), (500, 0), (501, 1), (1500, 2), (2500, 2), (2501, 3), (-500, 0), (-1500, -2)]
)
def test_ties_go_to_the_even_neighbour(pico: int, nano: int) -> None:
    assert round_pico_to_nano(pico) == nano


def test_buckets_are_priced_apart_and_rounded_together() -> None:
    prices = TokenPrices(
        input=PicoUsdPerToken(250),
        cache_read=PicoUsdPerToken(250),
        cache_write=PicoUsdPerToken(250),
        output=PicoUsdPerToken(250),
        reasoning=PicoUsdPerToken(251),
    )
    one_of_each = TokenCounts(
        input_tokens=1, cache_read_tokens=1, cache_write_tokens=1, output_tokens=1, reasoning_tokens=1
    )
    # Rounded bucket by bucket it would be 0.
    assert prices.cost(one_of_each) == 1
    assert one_of_each.total == 5


@pytest.mark.parametrize(
    ("nano", "text"),
    [
        (0, "$0.00"),
        (1, "$0.000000001"),
        (12_450, "$0.00001245"),
        (10_000_000, "$0.01"),
        (1_500_000_000, "$1.50"),
        (1_234_567_000_000_000, "$1,234,567.00"),
        (-1, "-$0.000000001"),
        (-2_000_000_000, "-$2.00"),
    ],
)
def test_dollars_are_shown_without_losing_a_nano(nano: int, text: str) -> None:
    assert format_usd(nano) == text


@given(st.integers(-(10**20), 10**20))
def test_shown_dollars_read_back_as_the_same_amount(nano: int) -> None:
    text = format_usd(NanoUsd(nano))
    assert Fraction(text.replace("$", "").replace(",", "")) * 10**9 == nano
