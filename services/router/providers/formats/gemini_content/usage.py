"""What an answer used, from `usageMetadata`."""

from __future__ import annotations

from libs.core.money import TokenCounts
from services.router.providers.reading.json_values import token_count

_FIELDS = (
    "promptTokenCount",
    "toolUsePromptTokenCount",
    "cachedContentTokenCount",
    "candidatesTokenCount",
    "thoughtsTokenCount",
)


def read_usage(usage: object) -> TokenCounts | None:
    """Disjoint buckets whose sum is `totalTokenCount`; None when it says nothing, or what cannot be true.

    Cached tokens are part of the prompt's. Thoughts are not part of the candidates', and what tools of the provider's
    own fed the model is not part of the prompt's. A count that is 0 may be left out.
    """
    if not isinstance(usage, dict):
        return None
    prompt, fed, cached, visible, thoughts = (token_count(usage, name, absent=0) for name in _FIELDS)
    total = token_count(usage, "totalTokenCount", absent=0)
    if prompt is None or fed is None or cached is None or visible is None or thoughts is None or total is None:
        return None
    if not (prompt or visible or total):
        return None
    surplus = total - (prompt + fed + visible + thoughts)
    if surplus > 0 and not prompt:
        prompt = surplus
    elif surplus > 0:
        visible += surplus
    elif total and surplus == -thoughts:
        # As some servers that speak this format count: thoughts are part of what they count as visible.
        visible -= thoughts
    if cached > prompt + fed or visible < 0:
        return None
    return TokenCounts(
        input_tokens=prompt + fed - cached,
        cache_read_tokens=cached,
        output_tokens=visible,
        reasoning_tokens=thoughts,
    )
