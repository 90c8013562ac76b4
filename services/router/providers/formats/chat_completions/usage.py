"""What an answer used, from a Chat Completions `usage` object."""

from __future__ import annotations

from libs.core.money import TokenCounts
from services.router.providers.reading.json_values import Json, token_count

# Where servers that have no `prompt_tokens_details` put it: DeepSeek; Together and Moonshot; Mistral.
_CACHED = ("prompt_cache_hit_tokens", "cached_tokens", "num_cached_tokens")


def usage_in(answer: Json) -> TokenCounts | None:
    """What an answer, or a chunk of one, says it used: under `usage`, or `x_groq.usage`."""
    usage = answer.get("usage")
    if usage is None and isinstance(groq := answer.get("x_groq"), dict):
        usage = groq.get("usage")
    return read_usage(usage)


def read_usage(usage: object) -> TokenCounts | None:
    """Disjoint buckets whose sum is the provider's total; None when it says nothing, or what cannot be true.

    Tokens read from and written to the cache are part of `prompt_tokens`, and reasoning tokens of `completion_tokens`.
    Some servers leave the reasoning out of `completion_tokens` (and of the details): the total tells.
    """
    if not isinstance(usage, dict):
        return None
    prompt, completion = token_count(usage, "prompt_tokens"), token_count(usage, "completion_tokens", absent=0)
    read, written = _cached(usage), _detail(usage, "prompt_tokens_details", "cache_write_tokens")
    reasoning = _detail(usage, "completion_tokens_details", "reasoning_tokens")
    if prompt is None or completion is None or read is None or written is None or reasoning is None:
        return None
    surplus = (token_count(usage, "total_tokens", absent=0) or 0) - prompt - completion
    if surplus > 0:
        completion += surplus
        reasoning = max(reasoning, surplus)
    if read + written > prompt or reasoning > completion:
        return None
    return TokenCounts(
        input_tokens=prompt - read - written,
        cache_read_tokens=read,
        cache_write_tokens=written,
        output_tokens=completion - reasoning,
        reasoning_tokens=reasoning,
    )


def _cached(usage: Json) -> int | None:
    cached = _detail(usage, "prompt_tokens_details", "cached_tokens")
    if cached == 0:
        for name in _CACHED:
            if usage.get(name):
                return token_count(usage, name)
    return cached


def _detail(usage: Json, group: str, name: str) -> int | None:
    details = usage.get(group)
    return token_count(details, name, absent=0) if isinstance(details, dict) else 0
