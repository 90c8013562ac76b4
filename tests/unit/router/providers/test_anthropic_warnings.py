"""What a caller is told where Claude does not get all that was asked for, because of the rest of the call."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.router.domain.generation import (
    Effort,
    Generation,
    JsonSchemaFormat,
    Message,
    NamedTool,
    Reasoning,
    ReasoningRequest,
    Role,
    ServiceTier,
    Signature,
    Text,
    Tool,
    ToolCall,
    ToolChoiceMode,
    ToolResult,
)
from services.router.providers.dialects.anthropic import ANTHROPIC
from services.router.providers.formats.anthropic_messages.schemas import narrows
from tests.unit.router.providers.anthropic_calls import MODELS, body_of, generations, judged

HELLO = Generation(messages=(Message(Role.USER, (Text("Hello"),)),))
OLD, BUDGET, EITHER, NEW = "claude-opus-4-1-20250805", "claude-sonnet-4-5", "claude-opus-4-6", "claude-opus-4-7"
CLAUDE = f"the model {BUDGET!r}"
GET = Tool(name="get", description="", parameters_json="")
CLOSED = '{"type":"object","properties":{"a":{"type":"string"}}}'
FORCED: dict[str, Any] = {"tools": (GET,), "tool_choice": ToolChoiceMode.REQUIRED}
LOOSE: dict[str, Any] = {"drop_unsupported": True}


def warnings(request: Generation, model: str = BUDGET, limit: int = 9000) -> tuple[str, ...]:
    encoded = ANTHROPIC.encode(request, provider_model_id=model, output_limit=limit, stream=False)
    assert len(encoded.warnings) <= 16
    assert all(each.isprintable() and len(each) <= 400 for each in encoded.warnings)
    return encoded.warnings


def thinking(tokens: int = 2000, **more: Any) -> Generation:
    return replace(HELLO, reasoning=ReasoningRequest(budget_tokens=tokens), **more)


def said(*messages: Message, **more: Any) -> Generation:
    return replace(HELLO, messages=messages, **more)


def user(text: str = "Go") -> Message:
    return Message(Role.USER, (Text(text),))


def shape(schema: str) -> JsonSchemaFormat:
    return JsonSchemaFormat(name="trip", description="", schema_json=schema, strict=True)


CALL = ToolCall(id="a", name="get", arguments_json="{}")
RESULT = Message(Role.TOOL, (ToolResult(tool_call_id="a", name="get", parts=(Text("1"),)),))


@pytest.mark.parametrize(
    ("wanted", "limit", "expected"),
    [
        (ReasoningRequest(budget_tokens=2000), 9000, ""),
        (ReasoningRequest(effort=Effort.MAX), 9000, ""),
        (ReasoningRequest(effort=Effort.NONE), 900, ""),
        (
            ReasoningRequest(budget_tokens=2000),
            1024,
            f"reasoning left out: {CLAUDE} thinks with 1024 tokens at least, which the output limit has no room for",
        ),
        (ReasoningRequest(effort=Effort.LOW), 1024, "reasoning left out: the model"),
        (
            ReasoningRequest(budget_tokens=9000),
            9000,
            f"budget of reasoning changed to 8999 tokens: {CLAUDE} takes 1024 at least, and less than the output limit",
        ),
        (ReasoningRequest(budget_tokens=5), 9000, "budget of reasoning changed to 1024 tokens: "),
    ],
)
def test_budgets_that_do_not_fit(wanted: ReasoningRequest, limit: int, expected: str) -> None:
    found = warnings(replace(HELLO, reasoning=wanted), limit=limit)
    assert len(found) == bool(expected)
    assert "".join(found).startswith(expected)
    # Told in words there is no budget that could not fit.
    assert warnings(replace(HELLO, reasoning=wanted), NEW, limit) == ()


def test_a_turn_begun_without_thoughts() -> None:
    asked = thinking(messages=(user(), Message(Role.ASSISTANT, (CALL,)), RESULT), tools=(GET,))
    assert warnings(asked) == (
        f"reasoning left out: {CLAUDE} can only think on in a turn that began with its own thoughts",
    )
    assert warnings(asked, NEW) == ()


@pytest.mark.parametrize(("model", "loses"), [(BUDGET, True), (EITHER, True), (NEW, True), ("claude-opus-4-8", False)])
def test_a_forced_tool(model: str, loses: bool) -> None:
    asked = replace(HELLO, reasoning=ReasoningRequest(effort=Effort.LOW), **FORCED)
    assert warnings(asked, model) == ()
    body = body_of(replace(asked, **LOOSE), model)
    assert ("thinking" in body) is not loses
    expected = f"reasoning left out: the model {model!r} cannot think while it is made to call a tool"
    assert warnings(replace(asked, **LOOSE), model) == ((expected,) if loses else ())
    judged({**body, "model": f"sandbox-{model}"})


@pytest.mark.parametrize(
    ("model", "loses"),
    [("claude-3-7-sonnet", False), ("claude-sonnet-4-20250514", False), (OLD, True), (BUDGET, True), (EITHER, True)],
)
def test_one_way_of_sampling_beside_another(model: str, *, loses: bool) -> None:
    asked = replace(HELLO, temperature=0.5, top_p=0.9)
    assert warnings(asked, model) == ()
    assert {"temperature", "top_p"} <= body_of(asked, model).keys()
    loose = replace(asked, **LOOSE)
    expected = f"top_p beside a temperature left out: the model {model!r} does not take it"
    assert warnings(loose, model) == ((expected,) if loses else ())
    assert ("top_p" in body_of(loose, model)) is not loses
    for alone in (replace(loose, temperature=None), replace(loose, top_p=None)):
        assert warnings(alone, model) == ()


def test_a_temperature_that_others_take() -> None:
    asked = replace(HELLO, temperature=1.5, top_p=0.9)
    assert body_of(asked, BUDGET)["temperature"] == 1.5
    loose = replace(asked, **LOOSE)
    assert warnings(loose, BUDGET) == (f"a temperature above 1 left out: {CLAUDE} does not take it",)
    body = body_of(loose, BUDGET)
    assert (body.get("temperature"), body["top_p"]) == (None, 0.9)
    judged({**body, "model": f"sandbox-{BUDGET}"})


@pytest.mark.parametrize("model", [BUDGET, EITHER])
def test_sampling_next_to_thinking(model: str) -> None:
    asked = replace(
        HELLO, reasoning=ReasoningRequest(effort=Effort.LOW), temperature=0.5, top_p=0.9, top_k=5, stop=(" ", "END")
    )
    assert warnings(asked, model) == ()
    assert warnings(replace(asked, **LOOSE), model) == (
        f"temperature, top_p, top_k left out: the model {model!r} does not take this while it thinks",
        f"stop texts of white space alone left out: the model {model!r} does not take them",
    )
    body = body_of(replace(asked, **LOOSE), model)
    assert not {"temperature", "top_p", "top_k"} & body.keys()
    judged({**body, "model": f"sandbox-{model}"})
    assert warnings(replace(asked, reasoning=None, stop=(), top_p=None, **LOOSE), model) == ()
    fitting = replace(asked, temperature=None, top_p=0.95, top_k=None, stop=("END",), **LOOSE)
    assert warnings(fitting, model) == ()


@pytest.mark.parametrize(
    ("tier", "expected"),
    [
        (ServiceTier.AUTO, ""),
        (ServiceTier.STANDARD, ""),
        (ServiceTier.PRIORITY, "service tier priority asked for as auto: "),
        (ServiceTier.FLEX, "service tier flex left out: "),
    ],
)
def test_tiers_that_are_not_there(tier: ServiceTier, expected: str) -> None:
    found = warnings(replace(HELLO, service_tier=tier))
    assert len(found) == bool(expected)
    assert "".join(found).startswith(expected)


def test_thoughts_that_do_not_go_back() -> None:
    own = Reasoning("Hm", Signature(b"tmark\nclaude-sonnet-4-5"))
    foreign = Reasoning("Hm", Signature(b"tmark\nclaude-opus-4-1"))
    answer = Message(Role.ASSISTANT, (own, Text("Yes.")))
    assert warnings(said(user(), answer, user())) == ()
    assert warnings(said(user(), replace(answer, parts=(foreign, Text("Yes."))), user())) == (
        "reasoning left out: that of earlier answers comes from another model than the model 'claude-sonnet-4-5'",
    )
    assert warnings(said(user(), replace(answer, parts=(Reasoning("Hm"), Text("Yes."))), user())) == ()
    (idle,) = warnings(said(user(), replace(answer, parts=(own,)), user()))
    assert idle.startswith("reasoning left out: thoughts of earlier answers led to nothing")


def test_calls_without_results_and_results_without_calls() -> None:
    called = Message(Role.ASSISTANT, (CALL,))
    assert warnings(said(user(), called, RESULT, tools=(GET,))) == ()
    (unanswered,) = warnings(said(user(), called, user(), tools=(GET,)))
    assert unanswered.startswith("tool calls without results sent with an error as result: ")
    (stray,) = warnings(said(user(), RESULT, tools=(GET,)))
    assert stray.startswith("tool results sent as texts: ")


def test_instructions_amid_a_conversation() -> None:
    rule, answer = Message(Role.SYSTEM, (Text("Be brief."),)), Message(Role.ASSISTANT, (Text("Hi."),))
    assert warnings(said(rule, user(), answer, user())) == ()
    (marked,) = warnings(said(user(), rule, answer, user()))
    assert marked.startswith("instructions amid the conversation sent as marked texts of the user: ")
    # Where the model knows them, they stay what they are.
    assert warnings(said(user(), rule, answer, user()), "claude-opus-4-8") == ()


def test_a_word_to_begin_with_is_nothing_to_tell() -> None:
    answer = Message(Role.ASSISTANT, (Text("Hi."),))
    assert warnings(said(answer, user())) == ()
    assert warnings(said(Message(Role.SYSTEM, (Text("Be brief."),)))) == ()
    assert warnings(said(user(" "))) == ()


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (CLOSED, False),
        ('{"type":"object","properties":{}}', False),
        ('{"type":"object","properties":{"a":{"type":"string","minLength":2}},"additionalProperties":false}', False),
        ('{"type":["string","null"]}', False),
        ('{"$ref":"#/$defs/a","$defs":{"a":{"enum":[1]}}}', False),
        ('{"type":"object"}', True),
        ('{"type":"object","properties":{"a":{"type":"string"}},"additionalProperties":true}', True),
        ('{"type":"object","additionalProperties":{"type":"string"}}', True),
        ('{"type":"object","properties":{},"patternProperties":{"a":{}}}', True),
        ('{"type":"array","items":{"type":"object"}}', True),
        ('{"anyOf":[{"type":"string"},{"type":"object"}]}', True),
        ('{"type":"object","properties":{"a":{}}}', True),
        ('{"$ref":"#/$defs/a","$defs":{"a":{"type":"object"}}}', True),
        ("{}", True),
        ('{"type":"array","items":true}', True),
    ],
)
def test_open_parts_of_schemas(schema: str, expected: bool) -> None:
    assert narrows(schema) is expected
    found = warnings(replace(HELLO, response_format=shape(schema)))
    assert len(found) == expected
    assert "".join(found).startswith("open parts of the JSON Schema left out: " if expected else "")


def test_schemas_in_words() -> None:
    asked = replace(HELLO, response_format=shape(CLOSED))
    assert warnings(asked, OLD) == ()
    (no_object,) = warnings(replace(asked, response_format=shape('{"type":"array"}')), OLD)
    assert no_object.endswith("can be held to schemas of objects only")
    thinks = replace(asked, reasoning=ReasoningRequest(budget_tokens=2000))
    held = "JSON Schema output asked for in words only: the model {!r} cannot be held to a schema while it thinks"
    assert warnings(thinks, OLD) == (held.format(OLD),)
    # No tool may be called: nor can the one whose input would be the answer.
    barred = replace(thinks, tools=(GET,), tool_choice=ToolChoiceMode.NONE)
    assert warnings(barred, OLD) == (held.format(OLD),)
    body = body_of(barred, OLD)
    assert (body["tool_choice"], [each["name"] for each in body["tools"]]) == ({"type": "none"}, ["get"])
    assert body["system"].endswith(CLOSED)


def test_an_old_model_calls_one_tool_at_a_time_beside_the_one_for_the_answer() -> None:
    asked = replace(HELLO, response_format=shape(CLOSED), tools=(GET,), parallel_tool_calls=False)
    assert body_of(asked, OLD)["tool_choice"] == {"type": "any", "disable_parallel_tool_use": True}
    named = replace(asked, tool_choice=NamedTool("get"))
    assert body_of(named, OLD)["tool_choice"] == {"type": "tool", "name": "get", "disable_parallel_tool_use": True}


@given(data=st.data(), model=st.sampled_from(MODELS))
def test_warnings_are_few_and_short_and_hold_nothing_of_the_caller_s(data: st.DataObject, model: str) -> None:
    request = data.draw(generations(model))
    found = warnings(request, model)
    plain = orjson.dumps(found).decode()
    assert "END" not in plain
    assert len(set(found)) == len(found)


def test_names_of_models_that_are_too_long_are_cut() -> None:
    (found,) = warnings(replace(HELLO, service_tier=ServiceTier.FLEX), "'\\" * 128)
    assert len(found) < 400
