"""What an answer used."""

from __future__ import annotations

from libs.core.money import TokenCounts
from services.router.providers.reading.json_values import Json, token_count


def read_usage(answer: Json) -> TokenCounts | None:
    """The counts of the last line of an answer; None when it does not say, or says what cannot be true.

    A count of zero is left out, and so is that of the prompt in versions that count only what they had not kept from
    the call before: that a prompt was free cannot be told from that it is unknown, so it is unknown. Newer versions
    count all of it, and apart from that what they had kept.
    """
    prompt, output = token_count(answer, "prompt_eval_count"), token_count(answer, "eval_count", absent=0)
    cached = token_count(answer, "prompt_eval_cached_count", absent=0)
    if not prompt or output is None or cached is None or cached > prompt:
        return None
    return TokenCounts(input_tokens=prompt - cached, cache_read_tokens=cached, output_tokens=output)
