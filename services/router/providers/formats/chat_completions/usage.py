"""What an answer used, from a Chat Completions `usage` object."""

from __future__ import annotations

from libs.core.money import TokenCounts
from services.router.providers.reading.json_values import Json, token_count


def read_usage(usage: object) -> TokenCounts | None:
    """Disjoint buckets whose sum is the provider's total; None when it says nothing, or what cannot be true.

    Cached tokens are part of `prompt_tokens` and reasoning tokens of `completion_tokens`. Some servers leave the
    reasoning out of `completion_tokens` (and of the details): the total tells.
    """
    if not isinstance(usage, dict):
        return None
    prompt, completion = token_count(usage, "prompt_tokens"), token_count(usage, "completion_tokens", absent=0)
    cached = _detail(usage, "prompt_tokens_details", "cached_tokens")
    reasoning = _detail(usage, "completion_tokens_details", "reasoning_tokens")
    if prompt is None or completion is None or cached is None or reasoning is None:
        return None
    surplus = (token_count(usage, "total_tokens", absent=0) or 0) - prompt - completion
    if surplus > 0:
        completion += surplus
        reasoning = max(reasoning, surplus)
    if cached > prompt or reasoning > completion:
        return None
    return TokenCounts(
        input_tokens=prompt - cached,
        cache_read_tokens=cached,
        output_tokens=completion - reasoning,
        reasoning_tokens=reasoning,
    )


def _detail(usage: Json, group: str, name: str) -> int | None:
    details = usage.get(group)
    return token_count(details, name, absent=0) if isinstance(details, dict) else 0
