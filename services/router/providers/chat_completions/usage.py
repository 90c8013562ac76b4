"""What an answer used, from a Chat Completions `usage` object."""

from __future__ import annotations

from libs.core.money import TokenCounts

_Json = dict[str, object]

# What the ledger takes at most (gatehouse.usage.v1.Settlement.tokens), a hundred times the largest context there is.
_MAX_TOKENS = 10**9


def read_usage(usage: object) -> TokenCounts | None:
    """Disjoint buckets whose sum is the provider's total; None when it says nothing, or what cannot be true.

    Cached tokens are part of `prompt_tokens` and reasoning tokens of `completion_tokens`. Some servers leave the
    reasoning out of `completion_tokens` (and of the details): the total tells.
    """
    if not isinstance(usage, dict):
        return None
    prompt, completion = _count(usage, "prompt_tokens"), _count(usage, "completion_tokens", absent=0)
    cached = _detail(usage, "prompt_tokens_details", "cached_tokens")
    reasoning = _detail(usage, "completion_tokens_details", "reasoning_tokens")
    if prompt is None or completion is None or cached is None or reasoning is None:
        return None
    surplus = (_count(usage, "total_tokens", absent=0) or 0) - prompt - completion
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


def _count(fields: _Json, name: str, *, absent: int | None = None) -> int | None:
    """The number of tokens, `absent` when there is none, None when it is no number of tokens."""
    value = fields.get(name)
    if value is None:
        return absent
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MAX_TOKENS:
        return value
    return None


def _detail(usage: _Json, group: str, name: str) -> int | None:
    details = usage.get(group)
    return _count(details, name, absent=0) if isinstance(details, dict) else 0
