"""What is known of servers that speak Chat Completions: a table, a row for each value of the option `server`.

Sources: each server's API reference, and where that is silent, the failures that its users report.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from services.router.domain import features
from services.router.domain.generation import Effort, FinishReason, ReasoningRequest, ServiceTier
from services.router.providers.dialects.compatible_errors import COMPATIBLE_ERRORS
from services.router.providers.formats.chat_completions.answer_rules import FINISH_REASONS, AnswerRules
from services.router.providers.formats.chat_completions.kept_reasoning import (
    Keeping,
    ReasoningContent,
    ReasoningDetails,
)
from services.router.providers.formats.chat_completions.quirks import (
    BASIC,
    WAV_AND_MP3,
    CallIds,
    Fields,
    Quirks,
    reasoning_by_effort,
)
from services.router.providers.formats.chat_completions.response import ChatAnswers
from services.router.providers.formats.openai_models import effort_of

NONE, LOW, MEDIUM, HIGH, MAX = Effort


def _answers(words: Mapping[str, FinishReason] = FINISH_REASONS, keeping: Keeping | None = None) -> ChatAnswers:
    return ChatAnswers(
        AnswerRules(finish_reasons={**FINISH_REASONS, **words}, errors=COMPATIBLE_ERRORS, keeping=keeping)
    )


def _words(none: str, low: str, medium: str, high: str, most: str) -> Mapping[Effort, Fields]:
    """`reasoning_effort` in these words."""
    return dict(zip(Effort, ({"reasoning_effort": word} for word in (none, low, medium, high, most)), strict=True))


def _switched(
    off: Fields, on: Fields, efforts: Mapping[Effort, Fields] = MappingProxyType({})
) -> Mapping[Effort, Fields]:
    """A switch for reasoning, with fields for each effort beside it."""
    return {effort: {**(off if effort is NONE else on), **efforts.get(effort, {})} for effort in Effort}


_ANY_ID = ""
_NONE_TO_HIGH = _words("none", "low", "medium", "high", "high")
_LOW_TO_HIGH = _words("low", "low", "medium", "high", "high")
# For models that refuse to be asked.
_UNASKED: Mapping[Effort, Fields] = {effort: {} for effort in Effort}
_THINKING_EFFORTS: Mapping[Effort, Fields] = {
    effort: fields for effort, fields in _LOW_TO_HIGH.items() if effort is not NONE
}


def _template(**settings: object) -> Fields:
    """What the model's own chat template is told; templates pass over what they do not know."""
    return {"chat_template_kwargs": settings}


# The names that the templates of Qwen, GLM and Gemma, and of DeepSeek and Granite have for the same switch.
_TEMPLATE_OFF, _TEMPLATE_ON = {"enable_thinking": False, "thinking": False}, {"enable_thinking": True, "thinking": True}


def _openrouter_reasoning(wanted: ReasoningRequest, _provider_model_id: str) -> Fields:
    if wanted.budget_tokens is not None:
        return {"reasoning": {"max_tokens": wanted.budget_tokens}}
    word = {NONE: "none", LOW: "low", MEDIUM: "medium", HIGH: "high", MAX: "xhigh"}[effort_of(wanted)]
    return {"reasoning": {"effort": word}}


OTHER = Quirks(
    features=BASIC | features.AUDIO | features.END_USER,
    image_urls=False,
    reasoning=reasoning_by_effort((_ANY_ID, _NONE_TO_HIGH)),
    answers=_answers(),
)
"""A server of which nothing is known: what most take. Most know the older name of the output limit only.

It may live inside the network, as those that people run themselves do, and would fetch from there whatever a caller
names, redirects included: none of them gets a URL.
"""

SERVERS: Mapping[str, Quirks] = MappingProxyType(
    {
        "other": OTHER,
        "vllm": Quirks(
            features=BASIC | features.AUDIO | features.TOP_K | features.END_USER,
            output_limit_field="max_completion_tokens",
            image_urls=False,
            reasoning=reasoning_by_effort(
                (_ANY_ID, _switched(_template(**_TEMPLATE_OFF), _template(**_TEMPLATE_ON), _THINKING_EFFORTS))
            ),
            # `abort`: the engine gave up.
            answers=_answers({"abort": FinishReason.ERROR}),
        ),
        "llama_cpp": Quirks(
            vectors=features.EMBEDDINGS,
            features=BASIC | features.AUDIO | features.TOP_K,
            # An object is taken for `auto`, without a word.
            named_tool=False,
            image_urls=False,
            closes_streams=True,
            end_user_field="",
            # Efforts are known to the template of gpt-oss only, which has no switch.
            reasoning=reasoning_by_effort(
                (
                    _ANY_ID,
                    {
                        NONE: _template(**_TEMPLATE_OFF, reasoning_effort="low"),
                        LOW: _template(**_TEMPLATE_ON, reasoning_effort="low"),
                        MEDIUM: _template(**_TEMPLATE_ON, reasoning_effort="medium"),
                        HIGH: _template(**_TEMPLATE_ON, reasoning_effort="high"),
                        MAX: _template(**_TEMPLATE_ON, reasoning_effort="high"),
                    },
                )
            ),
            answers=_answers(),
        ),
        "lm_studio": Quirks(
            vectors=features.EMBEDDINGS,
            features=(BASIC | features.TOP_K) & ~features.PARALLEL_TOOL_CALLS,
            # "Supported string values: none, auto, required"; "'response_format.type' must be 'json_schema'".
            named_tool=False,
            json_object=False,
            image_urls=False,
            end_user_field="",
            reasoning=reasoning_by_effort((_ANY_ID, _LOW_TO_HIGH)),
            answers=_answers(),
        ),
        "groq": Quirks(
            vectors=0,
            features=BASIC | features.SERVICE_TIER | features.END_USER,
            output_limit_field="max_completion_tokens",
            strict_schemas=True,
            tiers={
                ServiceTier.AUTO: "auto",
                ServiceTier.STANDARD: "on_demand",
                ServiceTier.FLEX: "flex",
                ServiceTier.PRIORITY: "performance",
            },
            # Qwen knows on and off only, and puts its thoughts into the text unless it is told not to.
            reasoning=reasoning_by_effort(
                ("gpt-oss", _LOW_TO_HIGH),
                (
                    "qwen",
                    _switched(
                        {"reasoning_effort": "none"}, {"reasoning_effort": "default", "reasoning_format": "parsed"}
                    ),
                ),
                (_ANY_ID, _NONE_TO_HIGH),
            ),
            answers=_answers(),
        ),
        "mistral": Quirks(
            features=BASIC,
            # Unknown fields are refused, `stream_options` too; the last chunk has the usage anyway.
            stream_usage=False,
            seed_field="random_seed",
            required_word="any",
            end_user_field="",
            call_ids=CallIds(pattern=re.compile(r"[a-zA-Z0-9]{9}"), length=9),
            # "Unexpected role 'user' after role 'tool'"; "Unexpected role 'system' after role 'assistant'".
            assistant_after_tools="OK.",
            systems_first=True,
            # The magistral models always reason and refuse to be asked.
            reasoning=reasoning_by_effort(
                ("magistral", _UNASKED),
                (_ANY_ID, _words("none", "high", "high", "high", "high")),
            ),
            answers=_answers({"model_length": FinishReason.LENGTH, "error": FinishReason.ERROR}),
        ),
        "deepseek": Quirks(
            vectors=0,
            features=BASIC & ~(features.IMAGES | features.JSON_SCHEMA | features.SEED | features.PARALLEL_TOOL_CALLS),
            joins_texts=True,
            # "Thinking mode does not support this tool_choice"; it thinks unless it is told not to.
            thinks_when_forced=False,
            end_user_field="",
            # It has low, high and max.
            reasoning=reasoning_by_effort(
                (
                    _ANY_ID,
                    {
                        NONE: {"thinking": {"type": "disabled"}},
                        LOW: {"thinking": {"type": "enabled"}, "reasoning_effort": "low"},
                        MEDIUM: {"thinking": {"type": "enabled"}, "reasoning_effort": "high"},
                        HIGH: {"thinking": {"type": "enabled"}, "reasoning_effort": "high"},
                        MAX: {"thinking": {"type": "enabled"}, "reasoning_effort": "max"},
                    },
                )
            ),
            # "The reasoning_content in the thinking mode must be passed back to the API."
            answers=_answers({"insufficient_system_resource": FinishReason.ERROR}, ReasoningContent()),
        ),
        "xai": Quirks(
            # Its models refuse penalties, those that reason stop texts too.
            features=(BASIC | features.END_USER) & ~(features.PENALTIES | features.STOP),
            output_limit_field="max_completion_tokens",
            # "Model … does not support parameter reasoningEffort": most think as hard as they do, or not at all.
            reasoning=reasoning_by_effort(
                ("grok-3-mini", _words("low", "low", "high", "high", "high")),
                ("grok-4.5", _LOW_TO_HIGH),
                *((refusing, _UNASKED) for refusing in ("grok-3", "grok-4-", "grok-4.1", "grok-4.20", "grok-code")),
                ("grok-4.", _NONE_TO_HIGH),
                ("grok-4", _UNASKED),
                (_ANY_ID, _NONE_TO_HIGH),
            ),
            answers=_answers(),
        ),
        "together": Quirks(
            vectors=features.EMBEDDINGS,
            features=(BASIC | features.TOP_K) & ~features.PARALLEL_TOOL_CALLS,
            end_user_field="",
            reasoning=reasoning_by_effort(
                ("gpt-oss", _LOW_TO_HIGH),
                (_ANY_ID, _switched({"reasoning": {"enabled": False}}, {"reasoning": {"enabled": True}})),
            ),
            answers=_answers({"eos": FinishReason.STOP}),
        ),
        "openrouter": Quirks(
            features=BASIC | features.AUDIO | features.DOCUMENTS | features.TOP_K | features.END_USER,
            strict_schemas=True,
            audio_formats={
                **WAV_AND_MP3,
                "audio/ogg": "ogg",
                "audio/flac": "flac",
                "audio/aac": "aac",
                "audio/mp4": "m4a",
            },
            # Passed on to providers that limit them.
            call_ids=CallIds(pattern=re.compile(r".{1,40}", re.DOTALL), length=32),
            reasoning=_openrouter_reasoning,
            # `reasoning_details` go back with the calls they led to.
            answers=_answers({"error": FinishReason.ERROR}, ReasoningDetails()),
        ),
    }
)
"""By the value of the option `server`."""
