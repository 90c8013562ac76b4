"""What an answer used, from a Responses `usage` object."""

from __future__ import annotations

from libs.core.money import TokenCounts
from services.router.providers.reading.json_values import Json, token_count


def read_usage(usage: object) -> TokenCounts | None:
    """Disjoint buckets whose sum is the provider's total; None when it says nothing, or what cannot be true.

    Tokens read from and written to the cache are part of `input_tokens`, reasoning of `output_tokens`.
    """
    if not isinstance(usage, dict):
        return None
    total_input, total_output = token_count(usage, "input_tokens"), token_count(usage, "output_tokens", absent=0)
    read = _detail(usage, "input_tokens_details", "cached_tokens")
    written = _detail(usage, "input_tokens_details", "cache_write_tokens")
    reasoning = _detail(usage, "output_tokens_details", "reasoning_tokens")
    if total_input is None or total_output is None or read is None or written is None or reasoning is None:
        return None
    if read + written > total_input or reasoning > total_output:
        return None
    return TokenCounts(
        input_tokens=total_input - read - written,
        cache_read_tokens=read,
        cache_write_tokens=written,
        output_tokens=total_output - reasoning,
        reasoning_tokens=reasoning,
    )


def _detail(usage: Json, group: str, name: str) -> int | None:
    details = usage.get(group)
    return token_count(details, name, absent=0) if isinstance(details, dict) else 0
