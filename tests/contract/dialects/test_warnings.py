"""What dialects tell callers to be left out: nothing of an ordinary call, and never anything of the caller's own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.router.domain.generation import (
    Effort,
    Generation,
    Image,
    JsonSchemaFormat,
    Message,
    ReasoningRequest,
    Role,
    ServiceTier,
    Text,
    ToolCall,
    ToolChoiceMode,
    ToolResult,
)
from services.router.providers.dialects.openai import OPENAI
from services.router.providers.registry import DIALECTS
from tests.contract.dialects.calls import CITY_SCHEMA_JSON, PIXEL, WEATHER
from tests.contract.dialects.conversations import conversations
from tests.contract.dialects.questions import QUESTIONS
from tests.contract.dialects.variants import VARIANTS, Variant

_PICTURE = Image(data=PIXEL, media_type="image/png")
_CALLED = ToolCall(id="call_1", name="get_weather", arguments_json='{"city":"Oslo","days":1}')
_TALK = (
    Message(Role.SYSTEM, (Text("Be brief."),)),
    Message(Role.USER, (Text("What is this?"), _PICTURE)),
    Message(Role.ASSISTANT, (Text("Let me look."), _CALLED)),
    Message(Role.TOOL, (ToolResult(tool_call_id="call_1", name="get_weather", parts=(Text("Sunny."), _PICTURE)),)),
    Message(Role.ASSISTANT, (Text("The sky over Oslo."),)),
    Message(Role.USER, (Text("And here?"),)),
)
_RICH: tuple[tuple[str, dict[str, Any]], ...] = (
    ("tools", {"tools": (WEATHER,)}),
    ("tool_choice", {"tool_choice": ToolChoiceMode.AUTO}),
    ("parallel_tool_calls", {"parallel_tool_calls": False}),
    (
        "json_schema",
        {
            "response_format": JsonSchemaFormat(
                name="trip", description="A trip", schema_json=CITY_SCHEMA_JSON, strict=True
            )
        },
    ),
    ("sampling", {"temperature": 0.5, "top_p": 0.9}),
    ("top_k", {"top_k": 5}),
    ("stop", {"stop": ("END",)}),
    ("seed", {"seed": 7}),
    ("penalties", {"frequency_penalty": 0.5, "presence_penalty": 0.5}),
    ("reasoning", {"reasoning": ReasoningRequest(effort=Effort.HIGH)}),
    ("service_tier", {"service_tier": ServiceTier.STANDARD}),
    ("end_user", {"end_user": "u-1"}),
)


def rich(variant: Variant) -> Generation:
    """All that a variant carries, in one call."""
    fields: dict[str, Any] = {}
    for feature, said in _RICH:
        if variant.can(feature):
            fields |= said
    return Generation(messages=_TALK, prompt_cache_key="k", **fields)


def warnings(variant: Variant, request: Generation, *, stream: bool = False) -> tuple[str, ...]:
    return variant.dialect.encode(
        request, provider_model_id=variant.model, output_limit=4096, stream=stream, options=variant.options
    ).warnings


@pytest.mark.parametrize("stream", [True, False])
def test_a_rich_call_is_carried_whole(variant: Variant, stream: bool) -> None:
    assert warnings(variant, rich(variant), stream=stream) == ()


@pytest.mark.parametrize("question", QUESTIONS)
def test_what_every_dialect_must_carry_needs_no_word(variant: Variant, question: str) -> None:
    asked = QUESTIONS[question]
    if not variant.can(*asked.needs):
        pytest.skip("not carried at all")
    assert warnings(variant, asked.request) == ()


def test_openai_chooses_its_format_without_a_word() -> None:
    for asked in QUESTIONS.values():
        encoded = OPENAI.encode(asked.request, provider_model_id="gpt-5.4", output_limit=99, stream=False)
        assert encoded.warnings == ()


def test_nothing_to_tell_is_the_same_nothing_each_time(variant: Variant) -> None:
    empty: tuple[str, ...] = ()
    assert warnings(variant, QUESTIONS["text"].request) is empty


@settings(max_examples=60)
@given(data=st.data(), name=st.sampled_from(list(VARIANTS)), drop=st.booleans())
def test_warnings_are_few_and_short_lines_without_anything_of_the_caller_s(
    data: st.DataObject, name: str, drop: bool
) -> None:
    variant = VARIANTS[name]
    media = [each for each in ("images", "audio", "documents") if variant.can(each)]
    request = replace(data.draw(conversations(media)), drop_unsupported=drop)
    found = warnings(variant, request)
    assert len(found) == len(set(found)) <= 16
    assert all(each.isprintable() and len(each) <= 400 for each in found)
    # The same call with other words has the same warnings.
    retold = (replace(each, parts=tuple(map(_retold, each.parts))) for each in request.messages)
    assert warnings(variant, replace(request, messages=tuple(retold))) == found


def _retold(part: Any) -> Any:
    return Text(f"{part.text}…") if isinstance(part, Text) else part


def test_every_dialect_is_tried() -> None:
    assert {each.type for each in VARIANTS.values()} == set(DIALECTS)
