"""Every way Gatehouse can speak to a provider, with what a test has to know of each: the contract holds for all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from services.router.domain import features
from services.router.domain.generation import FinishReason
from services.router.providers.base import Dialect
from services.router.providers.registry import DIALECTS
from tests.contract.dialects.read_back import (
    anthropic_messages,
    chat_completions,
    gemini_content,
    ollama_chat,
    openai_responses,
)
from tests.contract.dialects.read_back.transcript import Transcript

Reader = Callable[[dict[str, Any]], Transcript]


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """A provider type with options that change its wire format.

    `path` is where the sandbox speaks it, `reader` reads its bodies back. `finishes`: the provider's own words for the
    ends of answers, with what they mean. `result_media`: the kinds of media that stay inside a tool's result; the
    others follow it. `media_first`: media stand beside the text, which comes after them. `whole_arguments`: a stream
    gives the arguments of a tool call in one piece. `counts_cache`,
    `counts_reasoning`: it tells the tokens from its cache and those of reasoning apart. `unworded`: directives of the
    sandbox for failures that it has no words for. `older_options`: those under which a model is spoken to as one of an
    older generation, where that differs.
    """

    name: str
    type: str
    path: str
    reader: Reader
    finishes: Mapping[str, FinishReason]
    options: Mapping[str, object] = field(default_factory=dict)
    model: str = "sandbox-small"
    result_media: frozenset[str] = frozenset()
    media_first: bool = False
    whole_arguments: bool = False
    counts_cache: bool = True
    counts_reasoning: bool = True
    unworded: frozenset[str] = frozenset()
    older_options: Mapping[str, object] = field(default_factory=dict)

    @property
    def dialect(self) -> Dialect:
        """The dialect under test."""
        return DIALECTS[self.type]

    @property
    def features(self) -> int:
        """What it carries to its model."""
        return self.dialect.features(self.options, self.model)

    def can(self, *names: str) -> bool:
        """Whether it carries all features of these names."""
        return all(self.features & (1 << features.FEATURE_NAMES.index(name)) for name in names)


_OPENAI_FINISHES: Mapping[str, FinishReason] = MappingProxyType(
    {
        "stop": FinishReason.STOP,
        "length": FinishReason.LENGTH,
        "tool_calls": FinishReason.TOOL_CALLS,
        "function_call": FinishReason.TOOL_CALLS,
        "content_filter": FinishReason.CONTENT_FILTER,
        "something_new": FinishReason.UNKNOWN,
    }
)
_RESPONSES_FINISHES: Mapping[str, FinishReason] = MappingProxyType(
    {
        "completed": FinishReason.STOP,
        "max_output_tokens": FinishReason.LENGTH,
        "content_filter": FinishReason.CONTENT_FILTER,
        "something_new": FinishReason.UNKNOWN,
    }
)
_ANTHROPIC_FINISHES: Mapping[str, FinishReason] = MappingProxyType(
    {
        "end_turn": FinishReason.STOP,
        "stop_sequence": FinishReason.STOP,
        "max_tokens": FinishReason.LENGTH,
        "tool_use": FinishReason.TOOL_CALLS,
        "refusal": FinishReason.REFUSAL,
        "pause_turn": FinishReason.PAUSED,
        "model_context_window_exceeded": FinishReason.CONTEXT_EXCEEDED,
        "something_new": FinishReason.UNKNOWN,
    }
)
_GEMINI_FINISHES: Mapping[str, FinishReason] = MappingProxyType(
    {
        "STOP": FinishReason.STOP,
        "MAX_TOKENS": FinishReason.LENGTH,
        **dict.fromkeys(
            ("SAFETY", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY", "RECITATION"),
            FinishReason.CONTENT_FILTER,
        ),
        "MALFORMED_FUNCTION_CALL": FinishReason.MALFORMED_TOOL_CALL,
        **dict.fromkeys(
            ("OTHER", "LANGUAGE", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS", "MISSING_THOUGHT_SIGNATURE"),
            FinishReason.ERROR,
        ),
        "SOMETHING_NEW": FinishReason.UNKNOWN,
    }
)
_OLLAMA_FINISHES: Mapping[str, FinishReason] = MappingProxyType(
    {"stop": FinishReason.STOP, "length": FinishReason.LENGTH, "something_new": FinishReason.UNKNOWN}
)

_ALL = (
    Variant(
        name="openai",
        type="openai",
        path="/v1",
        reader=chat_completions.read,
        finishes=_OPENAI_FINISHES,
        options={"api": "chat_completions"},
    ),
    Variant(
        name="openai-responses",
        type="openai",
        path="/v1",
        reader=openai_responses.read,
        finishes=_RESPONSES_FINISHES,
        options={"api": "responses"},
        result_media=frozenset({"image", "document"}),
    ),
    Variant(
        name="openai_compatible",
        type="openai_compatible",
        path="/v1",
        reader=chat_completions.read,
        finishes=_OPENAI_FINISHES,
    ),
    Variant(
        name="azure_openai",
        type="azure_openai",
        path="/azure",
        reader=chat_completions.read,
        finishes=_OPENAI_FINISHES,
    ),
    Variant(
        name="azure_openai-v1",
        type="azure_openai",
        options={"api_version": "v1"},
        path="/azure",
        reader=chat_completions.read,
        finishes=_OPENAI_FINISHES,
    ),
    Variant(
        name="anthropic",
        type="anthropic",
        older_options={"thinking": "budget"},
        path="/anthropic",
        reader=anthropic_messages.read,
        finishes=_ANTHROPIC_FINISHES,
        result_media=frozenset({"image", "document"}),
    ),
    Variant(
        name="gemini",
        type="gemini",
        older_options={"thinking": "budget"},
        path="/gemini/v1beta",
        reader=gemini_content.read,
        finishes=_GEMINI_FINISHES,
        # Models of the third generation take images and documents there.
        result_media=frozenset(),
        whole_arguments=True,
        # Content that is refused has an answer without a candidate.
        unworded=frozenset({"status=400 code=content_filter"}),
    ),
    Variant(
        name="ollama",
        type="ollama",
        path="/ollama",
        reader=ollama_chat.read,
        finishes=_OLLAMA_FINISHES,
        media_first=True,
        whole_arguments=True,
        counts_reasoning=False,
        unworded=frozenset({"status=400 code=content_filter", "status=429 code=insufficient_quota"}),
    ),
)

VARIANTS: Mapping[str, Variant] = MappingProxyType({each.name: each for each in _ALL if each.type in DIALECTS})
