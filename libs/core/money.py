"""Exact money: integers only.

Prices are pico-USD per token, which is the same number as micro-USD per million tokens. Costs are nano-USD,
rounded once per ledger event (half to even), so an event is at most 0.5 nano-USD off.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NewType

PicoUsdPerToken = NewType("PicoUsdPerToken", int)
NanoUsd = NewType("NanoUsd", int)

NANO_PER_USD = 1_000_000_000
_PICO_PER_NANO = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenCounts:
    """Disjoint token buckets: their sum is what the provider counted. All at least 0."""

    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0

    @property
    def total(self) -> int:
        """Tokens over all buckets."""
        return (
            self.input_tokens
            + self.cache_read_tokens
            + self.cache_write_tokens
            + self.output_tokens
            + self.reasoning_tokens
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenPrices:
    """What one token of each bucket costs, in pico-USD."""

    input: PicoUsdPerToken
    cache_read: PicoUsdPerToken
    cache_write: PicoUsdPerToken
    output: PicoUsdPerToken
    reasoning: PicoUsdPerToken

    def cost(self, tokens: TokenCounts) -> NanoUsd:
        """The exact cost of `tokens`, rounded once to nano-USD."""
        return round_pico_to_nano(
            tokens.input_tokens * self.input
            + tokens.cache_read_tokens * self.cache_read
            + tokens.cache_write_tokens * self.cache_write
            + tokens.output_tokens * self.output
            + tokens.reasoning_tokens * self.reasoning
        )


def round_pico_to_nano(pico_usd: int) -> NanoUsd:
    """Nearest nano-USD, ties to even."""
    quotient, remainder = divmod(pico_usd, _PICO_PER_NANO)
    doubled = remainder * 2
    if doubled > _PICO_PER_NANO or (doubled == _PICO_PER_NANO and quotient & 1):
        quotient += 1
    return NanoUsd(quotient)


def format_usd(cost: NanoUsd | int) -> str:
    """Dollars for people, without losing a nano: `$1,234.50`, `$0.00001245`; two to nine decimals."""
    sign = "-" if cost < 0 else ""
    dollars, nanos = divmod(abs(cost), NANO_PER_USD)
    decimals = f"{nanos:09d}".rstrip("0").ljust(2, "0")
    return f"{sign}${dollars:,}.{decimals}"
