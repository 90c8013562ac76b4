"""Domain values as columns hold them."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import orjson

from libs.core.money import PicoUsdPerToken, TokenCounts, TokenPrices
from services.usage_accounting.domain.quota import QuotaMetric, WindowKey
from services.usage_accounting.domain.reservation import Hold

INT64_MOST = 2**63 - 1

_METRICS = {metric.value: metric for metric in QuotaMetric}


def token_columns(tokens: TokenCounts) -> tuple[int, int, int, int, int]:
    """In the order of `tables.TOKENS`."""
    return (
        tokens.input_tokens,
        tokens.cache_read_tokens,
        tokens.cache_write_tokens,
        tokens.output_tokens,
        tokens.reasoning_tokens,
    )


def tokens_of(columns: Iterable[int]) -> TokenCounts:
    """From columns in the order of `tables.TOKENS`; sums may come as other numbers than int from a driver."""
    uncached, cache_read, cache_write, output, reasoning = map(int, columns)
    return TokenCounts(
        input_tokens=uncached,
        cache_read_tokens=cache_read,
        cache_write_tokens=cache_write,
        output_tokens=output,
        reasoning_tokens=reasoning,
    )


def within_64_bits(value: int) -> int:
    """`value`, or the most or least that a column holds: a sum of absurd costs must not stop everybody's accounting."""
    return max(-INT64_MOST, min(value, INT64_MOST))


# Few prices are pinned again and again.
@lru_cache(maxsize=4096)
def price_text(price: TokenPrices | None) -> str | None:
    """A JSON list, None for no price."""
    if price is None:
        return None
    return orjson.dumps([price.input, price.cache_read, price.cache_write, price.output, price.reasoning]).decode()


@lru_cache(maxsize=4096)
def price_of(text: str | None) -> TokenPrices | None:
    """The price in `text`."""
    if text is None:
        return None
    uncached, cache_read, cache_write, output, reasoning = map(PicoUsdPerToken, orjson.loads(text))
    return TokenPrices(
        input=uncached, cache_read=cache_read, cache_write=cache_write, output=output, reasoning=reasoning
    )


def holds_text(holds: Iterable[Hold]) -> str:
    """A JSON list of lists."""
    if not holds:
        return "[]"
    return orjson.dumps(
        [[hold.window.quota_uid, hold.window.start_us, hold.metric.value, hold.amount] for hold in holds]
    ).decode()


def holds_of(text: str) -> tuple[Hold, ...]:
    """The holds in `text`."""
    if text == "[]":
        return ()
    return tuple(
        Hold(WindowKey(uid, start_us), _METRICS[metric], amount) for uid, start_us, metric, amount in orjson.loads(text)
    )
