"""What a caller is told where Gemini does not get all that was asked for, because of the rest of the call."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from services.router.domain.generation import (
    Effort,
    Generation,
    JsonFormat,
    JsonSchemaFormat,
    Message,
    ReasoningRequest,
    Role,
    ServiceTier,
    Text,
    Tool,
    ToolCall,
    ToolChoiceMode,
    ToolResult,
)
from services.router.providers.dialects.gemini import GEMINI

OLD, NEW = "gemini-2.5-flash", "gemini-3-flash"
ASKED, ANSWER = Message(Role.USER, (Text("Hi"),)), Message(Role.ASSISTANT, (Text("Yes."),))
HELLO = Generation(messages=(ASKED,))
RULE = Message(Role.SYSTEM, (Text("Be brief."),))
GET = Tool(name="get", description="", parameters_json="")
CALLED = Message(Role.ASSISTANT, (ToolCall(id="a", name="get", arguments_json="{}"),))
RESULT = Message(Role.TOOL, (ToolResult(tool_call_id="a", name="get", parts=(Text("1"),)),))
SCHEMA = JsonSchemaFormat(name="s", description="", schema_json='{"type":"object"}', strict=True)


def warnings(request: Generation, model: str = OLD) -> tuple[str, ...]:
    found = GEMINI.encode(request, provider_model_id=model, output_limit=9000, stream=False).warnings
    assert all(each.isprintable() and len(each) <= 400 for each in found)
    return found


def said(*messages: Message, **more: Any) -> Generation:
    return Generation(messages=messages, **more)


@pytest.mark.parametrize(
    ("model", "tokens", "expected"),
    [
        (OLD, 5000, ""),
        (OLD, 24_577, "budget of reasoning changed to 24576 tokens: the model 'gemini-2.5-flash' takes no more"),
        ("gemini-2.5-pro", 100, "budget of reasoning changed to 128 tokens: the model 'gemini-2.5-pro' takes no less"),
        # In words there are no bounds.
        (NEW, 1, ""),
    ],
)
def test_budgets_that_a_model_does_not_take(model: str, tokens: int, expected: str) -> None:
    assert warnings(replace(HELLO, reasoning=ReasoningRequest(budget_tokens=tokens)), model) == (
        (expected,) if expected else ()
    )


@pytest.mark.parametrize("model", [OLD, "gemini-2.5-pro", NEW])
@pytest.mark.parametrize("effort", Effort)
def test_the_nearest_step_of_effort_is_nothing_to_tell(model: str, effort: Effort) -> None:
    assert warnings(replace(HELLO, reasoning=ReasoningRequest(effort=effort)), model) == ()


@pytest.mark.parametrize("form", [SCHEMA, JsonFormat()])
def test_the_form_of_an_answer_beside_tools(form: JsonFormat | JsonSchemaFormat) -> None:
    asked = replace(HELLO, tools=(GET,), response_format=form)
    assert warnings(asked) == (
        "JSON output asked for in words only: the model 'gemini-2.5-flash' cannot be held to it while it has tools",
    )
    assert warnings(asked, NEW) == ()
    assert warnings(replace(asked, tools=())) == ()
    assert warnings(replace(asked, tool_choice=ToolChoiceMode.NONE)) == ()


def test_instructions_amid_a_conversation() -> None:
    assert warnings(said(RULE, RULE, ASKED, ANSWER, ASKED)) == ()
    assert warnings(said(RULE)) == ()
    for messages in ((ASKED, RULE), (ANSWER, RULE, ASKED), (ASKED, ANSWER, RULE, ASKED)):
        (moved,) = warnings(said(*messages))
        assert moved.startswith("instructions amid the conversation sent at its head: ")


def test_calls_without_results_and_results_without_calls() -> None:
    assert warnings(said(ASKED, CALLED, RESULT, tools=(GET,))) == ()
    for messages in ((ASKED, CALLED, ASKED), (ASKED, CALLED, ANSWER), (ASKED, CALLED)):
        (unanswered,) = warnings(said(*messages, tools=(GET,)))
        assert unanswered.startswith("tool calls without results sent with an error as result: ")
    (stray,) = warnings(said(ASKED, RESULT, tools=(GET,)))
    assert stray.startswith("tool results sent as texts: ")


def test_what_comes_to_the_same_is_nothing_to_tell() -> None:
    renamed = replace(GET, name="1get")
    assert warnings(replace(HELLO, tools=(renamed,), seed=2**40, service_tier=ServiceTier.AUTO)) == ()
    # Words that stand where there have to be some.
    assert warnings(said(ANSWER, ASKED, ANSWER), "gemini-3.5-flash") == ()
