"""Where a server's Chat Completions differ from OpenAI's own: data only, one `Quirks` for each kind of server."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from services.router.domain import features
from services.router.domain.generation import Effort, ReasoningRequest, ServiceTier
from services.router.providers.formats.chat_completions.response import ChatAnswers
from services.router.providers.formats.openai_models import effort_of, effort_word, facts_of

Fields = Mapping[str, Any]
"""Fields of a request's body."""

AskReasoning = Callable[[ReasoningRequest, str], Fields]
"""How a server is asked for reasoning, given the model's id there."""

BASIC = (
    features.STREAMING
    | features.TOOLS
    | features.JSON_SCHEMA
    | features.IMAGES
    | features.REASONING
    | features.SAMPLING
    | features.JSON
    | features.TOOL_CHOICE
    | features.PARALLEL_TOOL_CALLS
    | features.STOP
    | features.SEED
    | features.PENALTIES
)
"""What nearly all servers of the format can carry."""

VECTORS = features.EMBEDDINGS | features.DIMENSIONS
"""What nearly all can be asked for of embeddings."""

WAV_AND_MP3: Mapping[str, str] = MappingProxyType({"audio/wav": "wav", "audio/mpeg": "mp3"})
OPENAI_TIERS: Mapping[ServiceTier, str] = MappingProxyType(
    {
        ServiceTier.AUTO: "auto",
        ServiceTier.STANDARD: "default",
        ServiceTier.FLEX: "flex",
        ServiceTier.PRIORITY: "priority",
    }
)
NO_TIERS: Mapping[ServiceTier, str] = MappingProxyType({})


def reasoning_by_effort(*lines: tuple[str, Mapping[Effort, Fields]]) -> AskReasoning:
    """Asks in words: the first line whose text stands in the model's id says with which fields."""

    def ask(wanted: ReasoningRequest, provider_model_id: str) -> Fields:
        effort = effort_of(wanted)
        return next((line[effort] for fragment, line in lines if fragment in provider_model_id), {})

    return ask


def openai_reasoning(wanted: ReasoningRequest, provider_model_id: str) -> Fields:
    """`reasoning_effort` in the nearest word that the model takes; nothing for models that refuse to be asked."""
    if not facts_of(provider_model_id).reasons:
        return {}
    return {"reasoning_effort": effort_word(wanted, provider_model_id)}


@dataclass(frozen=True, slots=True, kw_only=True)
class CallIds:
    """The ids of tool calls that a server takes: those that fit `pattern`; others are replaced by `length` digits."""

    pattern: re.Pattern[str]
    length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Quirks:
    """One kind of server. The defaults are what most of them do.

    `features`: bits of `domain.features`; `vectors`: those of its embeddings. `stream_usage`: whether it knows
    `stream_options`; some refuse what they do not know. `strict_schemas`: whether strict JSON Schemas have to be
    OpenAI's part of JSON Schema. `named_tool`: whether one tool can be named; else only this tool is offered, and one
    is required. `thinks_when_forced`: whether the model may think where it has to call a tool. `json_object`: whether
    it knows `{"type":"json_object"}`; else a schema of any object is sent. `joins_texts`: whether a message of several
    texts has to be one. `assistant_after_tools`: what the model is made to say between results of tools and the user's
    next message, where the server lets no user speak there. `systems_first`: whether it takes system messages at the
    beginning only; the user says the later ones. `image_urls`: whether it fetches images. `end_user_field`,
    `cache_key_field`: empty where it has none. `tiers`: its words for service tiers. `call_ids`: None where any will
    do. `closes_streams`: whether it hangs up after each streamed answer without having said so; a call that is already
    under way on that connection would be lost.
    """

    features: int = BASIC
    vectors: int = VECTORS
    output_limit_field: str = "max_tokens"
    stream_usage: bool = True
    seed_field: str = "seed"
    required_word: str = "required"
    named_tool: bool = True
    thinks_when_forced: bool = True
    json_object: bool = True
    strict_schemas: bool = False
    joins_texts: bool = False
    assistant_after_tools: str = ""
    systems_first: bool = False
    image_urls: bool = True
    audio_formats: Mapping[str, str] = field(default_factory=lambda: WAV_AND_MP3)
    end_user_field: str = "user"
    cache_key_field: str = ""
    tiers: Mapping[ServiceTier, str] = field(default_factory=lambda: NO_TIERS)
    call_ids: CallIds | None = None
    closes_streams: bool = False
    reasoning: AskReasoning = openai_reasoning
    answers: ChatAnswers = field(default_factory=ChatAnswers)


OPENAI_QUIRKS = Quirks(
    features=BASIC | features.AUDIO | features.DOCUMENTS | features.SERVICE_TIER | features.END_USER,
    # `max_tokens` is deprecated there and refused by the reasoning models.
    output_limit_field="max_completion_tokens",
    strict_schemas=True,
    end_user_field="safety_identifier",
    cache_key_field="prompt_cache_key",
    tiers=OPENAI_TIERS,
    # Longer ids are refused: "string too long. Expected a string with maximum length 40".
    call_ids=CallIds(pattern=re.compile(r".{1,40}", re.DOTALL), length=32),
)
"""OpenAI's own, also on Azure."""
