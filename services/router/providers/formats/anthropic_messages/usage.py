"""What an answer used, from the Messages API's `usage` objects."""

from __future__ import annotations

from typing import NamedTuple

from libs.core.money import TokenCounts
from services.router.providers.reading.json_values import Json, token_count


class Usage(NamedTuple):
    """The provider's own counts; `output` holds `thinking`, and input and output are -1 while not said."""

    input: int
    cache_read: int
    cache_write: int
    output: int
    thinking: int

    def larger(self, other: Usage) -> Usage:
        """The larger of each: counts in a stream are totals so far, and later ones may leave some out."""
        return Usage(*map(max, self, other))

    def counts(self) -> TokenCounts | None:
        """Disjoint buckets whose sum is the provider's total; None for what is not said or cannot be true."""
        if self.input < 0 or self.output < self.thinking:
            return None
        return TokenCounts(
            input_tokens=self.input,
            cache_read_tokens=self.cache_read,
            cache_write_tokens=self.cache_write,
            output_tokens=self.output - self.thinking,
            reasoning_tokens=self.thinking,
        )


def read_usage(usage: object) -> Usage | None:
    """The counts in a `usage` object; None when it says nothing, or what cannot be true.

    `input_tokens` has no cached ones in it; those written to the cache for five minutes and for an hour are one sum.
    """
    if not isinstance(usage, dict):
        return None
    written = token_count(usage, "cache_creation_input_tokens", absent=-1)
    if written == -1:
        written = _written(usage.get("cache_creation"))
    details = usage.get("output_tokens_details")
    counts = (
        token_count(usage, "input_tokens", absent=-1),
        token_count(usage, "cache_read_input_tokens", absent=0),
        written,
        token_count(usage, "output_tokens", absent=-1),
        token_count(details, "thinking_tokens", absent=0) if isinstance(details, dict) else 0,
    )
    known = [count for count in counts if count is not None]
    return Usage(*known) if len(known) == len(counts) else None


def _written(cached: object) -> int | None:
    if not isinstance(cached, dict):
        return 0
    fields: Json = cached
    short = token_count(fields, "ephemeral_5m_input_tokens", absent=0)
    long = token_count(fields, "ephemeral_1h_input_tokens", absent=0)
    return None if short is None or long is None else short + long
