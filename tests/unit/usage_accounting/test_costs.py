from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from libs.core.money import PicoUsdPerToken, TokenCounts, TokenPrices
from services.usage_accounting.api.read_ledger import MAX_PRICE, MAX_TOKENS
from services.usage_accounting.domain.quota import QuotaMetric
from services.usage_accounting.domain.reservation import upper_bound

prices = st.builds(
    TokenPrices,
    **{
        bucket: st.integers(0, MAX_PRICE).map(PicoUsdPerToken)
        for bucket in ("input", "cache_read", "cache_write", "output", "reasoning")
    },
)
tokens = st.integers(0, MAX_TOKENS)


def split(total: int, *shares: int) -> list[int]:
    """`total` in len(shares) + 1 parts."""
    parts = []
    for share in shares:
        part = min(total, share)
        parts.append(part)
        total -= part
    return [*parts, total]


@given(prices, st.tuples(tokens, tokens, tokens, tokens, tokens))
def test_a_cost_is_at_most_half_a_nano_usd_off(price: TokenPrices, counts: tuple[int, int, int, int, int]) -> None:
    uncached, cache_read, cache_write, output, reasoning = counts
    cost = price.cost(
        TokenCounts(
            input_tokens=uncached,
            cache_read_tokens=cache_read,
            cache_write_tokens=cache_write,
            output_tokens=output,
            reasoning_tokens=reasoning,
        )
    )
    exact = Fraction(
        uncached * price.input
        + cache_read * price.cache_read
        + cache_write * price.cache_write
        + output * price.output
        + reasoning * price.reasoning,
        1000,
    )
    assert type(cost) is int
    assert abs(cost - exact) <= Fraction(1, 2)


@given(prices, tokens, tokens, st.tuples(tokens, tokens, tokens))
def test_no_split_of_the_tokens_into_buckets_costs_more_than_the_upper_bound(
    price: TokenPrices, input_tokens: int, output_tokens: int, shares: tuple[int, int, int]
) -> None:
    read_share, write_share, reasoning_share = shares
    cache_read, cache_write, uncached = split(input_tokens, read_share, write_share)
    reasoning, output = split(output_tokens, reasoning_share)
    counts = TokenCounts(
        input_tokens=uncached,
        cache_read_tokens=cache_read,
        cache_write_tokens=cache_write,
        output_tokens=output,
        reasoning_tokens=reasoning,
    )
    assert price.cost(counts) <= upper_bound(QuotaMetric.COST, input_tokens, output_tokens, price)
    assert counts.total == upper_bound(QuotaMetric.TOKENS, input_tokens, output_tokens, price)


def test_the_upper_bound_is_rounded_up() -> None:
    price = TokenPrices(
        input=PicoUsdPerToken(1),
        cache_read=PicoUsdPerToken(0),
        cache_write=PicoUsdPerToken(0),
        output=PicoUsdPerToken(0),
        reasoning=PicoUsdPerToken(0),
    )
    assert upper_bound(QuotaMetric.COST, 1, 0, price) == 1
    assert upper_bound(QuotaMetric.COST, 1000, 0, price) == 1
    assert upper_bound(QuotaMetric.COST, 1001, 0, price) == 2
    assert upper_bound(QuotaMetric.COST, 5, 5, None) == 0
