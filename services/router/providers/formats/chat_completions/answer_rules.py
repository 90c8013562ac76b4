"""How the answers of one kind of server are read: data only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from services.router.domain.generation import FinishReason
from services.router.providers.formats.chat_completions.errors import ERRORS
from services.router.providers.formats.chat_completions.kept_reasoning import Keeping
from services.router.providers.reading.error_table import ErrorTable

FINISH_REASONS: Mapping[str, FinishReason] = MappingProxyType(
    {
        "stop": FinishReason.STOP,
        "length": FinishReason.LENGTH,
        "tool_calls": FinishReason.TOOL_CALLS,
        "function_call": FinishReason.TOOL_CALLS,
        "content_filter": FinishReason.CONTENT_FILTER,
    }
)
"""OpenAI's words for why a model stopped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerRules:
    """`finish_reasons`: by the server's words; others are UNKNOWN. `errors`: what comes with HTTP 200, or in a stream.

    `keeping`: how reasoning is kept that the server wants to see again; None where it does not.
    """

    finish_reasons: Mapping[str, FinishReason] = field(default_factory=lambda: FINISH_REASONS)
    errors: ErrorTable = ERRORS
    keeping: Keeping | None = None

    def finish_reason(self, raw: str, *, refused: bool, called: bool) -> FinishReason:
        """What the server's word means. A refusal ends with the word for a normal end.

        So do calls of tools where the choice demanded them: OpenAI and vLLM say `stop` there.
        """
        if refused:
            return FinishReason.REFUSAL
        reason = self.finish_reasons.get(raw, FinishReason.UNKNOWN)
        return FinishReason.TOOL_CALLS if called and reason is FinishReason.STOP else reason
