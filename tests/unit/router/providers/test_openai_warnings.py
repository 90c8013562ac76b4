"""What a caller is told where OpenAI, or who speaks like it, does not get all that was asked for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from services.router.domain import features
from services.router.domain.generation import (
    Audio,
    Effort,
    Generation,
    JsonFormat,
    JsonSchemaFormat,
    Message,
    Reasoning,
    ReasoningRequest,
    Role,
    Signature,
    Text,
)
from services.router.providers.dialects.azure_openai import AZURE_OPENAI
from services.router.providers.dialects.openai import OPENAI
from services.router.providers.dialects.openai_compatible import OPENAI_COMPATIBLE
from services.router.providers.formats.chat_completions.dialect import ChatCompletionsDialect

HELLO = Generation(messages=(Message(Role.USER, (Text("Hello"),)),))
THINKS: dict[str, Any] = {"reasoning": ReasoningRequest(effort=Effort.HIGH)}
THOUGHT = Reasoning("Hm", Signature(b'{"encrypted_content":"x"}'))
SOUND = Message(Role.USER, (Text("Hear"), Audio(data=b"x", media_type="audio/wav")))
NO_ANSWER_S = "thoughts left out of the answer: OpenAI takes seeds, stop texts, penalties and sound in Chat Completions"
NO_EARLIER = "reasoning left out: that of earlier answers cannot go by Chat Completions"


def warnings(
    request: Generation, dialect: ChatCompletionsDialect = OPENAI, model: str = "gpt-5.4", **options: object
) -> tuple[str, ...]:
    return dialect.encode(request, provider_model_id=model, output_limit=99, stream=False, options=options).warnings


def talked(*parts: Any, **more: Any) -> Generation:
    """A conversation with an earlier answer."""
    answer = Message(Role.ASSISTANT, parts)
    return replace(HELLO, messages=(*HELLO.messages, answer, *HELLO.messages), **more)


@pytest.mark.parametrize(
    "only_chat",
    [
        {"seed": 1},
        {"stop": ("END",)},
        {"frequency_penalty": 0.5},
        {"presence_penalty": 0.5},
        {"messages": (SOUND,)},
    ],
)
def test_what_takes_a_call_to_chat_completions_costs_the_thoughts(only_chat: dict[str, Any]) -> None:
    assert warnings(replace(HELLO, **THINKS)) == ()
    assert warnings(replace(HELLO, **only_chat)) == ()
    (told,) = warnings(replace(HELLO, **THINKS, **only_chat))
    assert told.startswith(NO_ANSWER_S)
    none = ReasoningRequest(effort=Effort.NONE)
    assert warnings(replace(HELLO, reasoning=none, **only_chat)) == ()
    # Whoever chose Chat Completions knows.
    assert warnings(replace(HELLO, **THINKS, **only_chat), api="chat_completions") == ()


def test_earlier_thoughts_are_left_out_with_a_word_where_no_field_is_for_them() -> None:
    earlier = talked(THOUGHT, Text("Yes."))
    assert warnings(earlier) == ()
    assert warnings(replace(earlier, seed=1)) == (NO_EARLIER,)
    assert warnings(earlier, api="chat_completions") == (NO_EARLIER,)
    assert len(warnings(replace(earlier, seed=1, **THINKS))) == 2
    assert warnings(earlier, OPENAI_COMPATIBLE, "m") == (NO_EARLIER,)
    assert warnings(earlier, OPENAI_COMPATIBLE, "m", server="deepseek") == ()
    assert warnings(talked(Reasoning("Hm"), Text("Yes."), seed=1)) == ()


def test_thoughts_that_led_to_nothing() -> None:
    assert warnings(talked(THOUGHT)) == (
        "reasoning left out: thoughts of earlier answers led to nothing, and OpenAI takes none of these",
    )


CLOSED = '{"type":"object","properties":{"a":{"type":"string","minLength":1}},"required":["a"]}'
OPTIONAL = "optional properties of the JSON Schema left out: "
OPEN = "open objects of the JSON Schema left out: "


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (CLOSED, ()),
        ('{"type":"object","properties":{}}', ()),
        ('{"type":"object","properties":{"a":{"type":["string","null"]}}}', ()),
        ('{"type":"object","properties":{"a":{"type":"string","default":"x"}}}', ()),
        ('{"allOf":[{"type":"object","properties":{"a":{}},"required":["a"]}]}', ()),
        ('{"type":"object","properties":{"a":{"type":"string"}}}', (OPTIONAL,)),
        ('{"type":"object"}', (OPEN,)),
        ('{"type":"object","properties":{"a":{}},"required":["a"],"additionalProperties":true}', (OPEN,)),
        ('{"type":"object","properties":{"a":{}},"required":["a"],"additionalProperties":{}}', (OPEN,)),
        ('{"type":"object","properties":{"a":{}},"required":["a"],"patternProperties":{"b":{}}}', (OPEN,)),
        ('{"type":"object","properties":{"a":{"type":"object"}}}', (OPEN, OPTIONAL)),
        # OpenAI refuses it, by name.
        ('{"type":"object","additionalProperties":{"type":"string"}}', ()),
        ("true", ()),
    ],
)
@pytest.mark.parametrize("api", ["chat_completions", "responses"])
def test_strict_schemas(schema: str, expected: tuple[str, ...], api: str) -> None:
    strict = JsonSchemaFormat(name="s", description="", schema_json=schema, strict=True)
    found = warnings(replace(HELLO, response_format=strict), api=api)
    assert tuple(text.partition(": ")[0] + ": " for text in found) == expected
    assert all(text.isprintable() and len(text) <= 400 for text in found)
    loose = replace(strict, strict=False)
    assert warnings(replace(HELLO, response_format=loose), api=api) == ()
    # Servers that take schemas as they are.
    assert warnings(replace(HELLO, response_format=strict), OPENAI_COMPATIBLE, "m") == ()
    assert len(warnings(replace(HELLO, response_format=strict), OPENAI_COMPATIBLE, "m", server="groq")) == len(found)


def test_the_word_that_json_takes_is_nothing_to_tell() -> None:
    assert warnings(replace(HELLO, response_format=JsonFormat()), api="responses") == ()


@pytest.mark.parametrize(("deployment", "reasons"), [("gpt-4o", False), ("our-own", True), ("gpt-5", True)])
def test_azure_is_not_asked_for_reasoning_that_the_deployment_refuses(deployment: str, reasons: bool) -> None:
    assert bool(AZURE_OPENAI.features({"api_version": "v1"}, deployment) & features.REASONING) is reasons
