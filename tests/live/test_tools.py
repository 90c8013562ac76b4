"""Tools: called by the model, answered by us, and conversations that began elsewhere."""

from __future__ import annotations

import pytest
from jsonschema import Draft202012Validator
from orjson import JSONDecodeError, loads

from services.router.domain.generation import (
    Answer,
    FinishReason,
    Generation,
    Message,
    NamedTool,
    Role,
    Text,
    Tool,
    ToolCall,
    ToolChoiceMode,
    ToolResult,
)
from tests.live.asking import Asker, not_as_told

WEATHER = Tool(
    name="get_weather",
    description="Tells the weather of a city.",
    parameters_json='{"type":"object","properties":{"city":{"type":"string","description":"Its name"}},'
    '"required":["city"],"additionalProperties":false}',
)
CLOCK = Tool(name="get_time", description="Tells the time of day.", parameters_json='{"type":"object","properties":{}}')
_ASKED = "What is the weather in Oslo? Use the tool."
_CALLED = Message(Role.ASSISTANT, (ToolCall(id="call_1", name="get_weather", arguments_json='{"city":"Oslo"}'),))
_REFUSALS = ("tool", "function")


def _called(answer: Answer, *, at_least: int = 1) -> tuple[ToolCall, ...]:
    """The calls of an answer, which fit their tools."""
    if answer.finish_reason is FinishReason.LENGTH or len(answer.tool_calls) < at_least:
        not_as_told(answer)
    assert answer.finish_reason is FinishReason.TOOL_CALLS
    for call in answer.tool_calls:
        tool = {"get_weather": WEATHER, "get_time": CLOCK}.get(call.name)
        if tool is None:
            not_as_told(answer)
        try:
            arguments = loads(call.arguments_json or "{}")
        except JSONDecodeError:
            not_as_told(answer)
        if not Draft202012Validator(loads(tool.parameters_json)).is_valid(arguments):
            not_as_told(answer)
    return answer.tool_calls


def _results(calls: tuple[ToolCall, ...], text: str) -> Message:
    return Message(
        Role.TOOL, tuple(ToolResult(tool_call_id=each.id, name=each.name, parts=(Text(text),)) for each in calls)
    )


@pytest.mark.live("tools", *_REFUSALS)
async def test_a_tool_is_called_by_its_schema(asker: Asker) -> None:
    answer = await asker.ask(Generation(messages=(asker.said(_ASKED),), tools=(WEATHER, CLOCK)))
    if _called(answer)[0].name != "get_weather":
        not_as_told(answer)


@pytest.mark.live("tool-required", *_REFUSALS)
async def test_a_tool_that_must_be_called_is_called(asker: Asker) -> None:
    answer = await asker.ask(
        Generation(messages=(asker.said(_ASKED),), tools=(WEATHER,), tool_choice=ToolChoiceMode.REQUIRED)
    )
    _called(answer)


@pytest.mark.live("tool-by-name", *_REFUSALS)
async def test_the_tool_that_was_named_is_called(asker: Asker) -> None:
    answer = await asker.ask(
        Generation(messages=(asker.said("Hello."),), tools=(WEATHER, CLOCK), tool_choice=NamedTool("get_time"))
    )
    if [call.name for call in _called(answer)] != ["get_time"]:
        not_as_told(answer)


@pytest.mark.live("tool-none", *_REFUSALS)
async def test_no_tool_is_called_that_must_not_be(asker: Asker) -> None:
    request = Generation(messages=(asker.said(_ASKED),), tools=(WEATHER,), tool_choice=ToolChoiceMode.NONE)
    if (answer := await asker.ask(request)).tool_calls:
        not_as_told(answer)


@pytest.mark.live("parallel-tools", *_REFUSALS)
async def test_several_tools_are_called_at_once(asker: Asker) -> None:
    question = asker.said("What is the weather in Oslo, and what in Rome? Call the tool for both at once.")
    answer = await asker.ask(Generation(messages=(question,), tools=(WEATHER,)))
    calls = _called(answer, at_least=2)
    turns = (question, asker.kept(answer), _results(calls, "sunny, 21 degrees"))
    assert (await asker.ask(Generation(messages=turns, tools=(WEATHER,)))).parts


@pytest.mark.live("one-tool-at-a-time", *_REFUSALS, "parallel")
async def test_parallel_calls_can_be_turned_off(asker: Asker) -> None:
    question = asker.said("What is the weather in Oslo, and what in Rome? Call the tool for both at once.")
    answer = await asker.ask(Generation(messages=(question,), tools=(WEATHER,), parallel_tool_calls=False))
    if len(_called(answer)) > 1:
        not_as_told(answer)


@pytest.mark.live("tool-result", *_REFUSALS)
async def test_a_conversation_goes_on_with_a_result(asker: Asker) -> None:
    question = asker.said(_ASKED)
    answer = await asker.ask(Generation(messages=(question,), tools=(WEATHER,)))
    turns = (question, asker.kept(answer), _results(_called(answer), "sunny, 21 degrees"))
    again = await asker.ask(Generation(messages=turns, tools=(WEATHER,)))
    if "21" not in again.text:
        not_as_told(again)


@pytest.mark.live("tools-from-elsewhere", *_REFUSALS)
async def test_a_conversation_that_began_elsewhere_goes_on(asker: Asker) -> None:
    result = ToolResult(tool_call_id="call_1", name="get_weather", parts=(Text("sunny, 21 degrees"),))
    turns = (asker.said(_ASKED), _CALLED, Message(Role.TOOL, (result,)))
    answer = await asker.ask(Generation(messages=turns, tools=(WEATHER,)))
    if "21" not in answer.text:
        not_as_told(answer)


@pytest.mark.live("failed-result", *_REFUSALS)
async def test_a_failed_result_is_understood(asker: Asker) -> None:
    text = Text("The weather service is on strike.")
    result = ToolResult(tool_call_id="call_1", name="get_weather", parts=(text,), is_error=True)
    turns = (asker.said(f"{_ASKED} If it fails, say why."), _CALLED, Message(Role.TOOL, (result,)))
    answer = await asker.ask(Generation(messages=turns, tools=(WEATHER,)))
    assert answer.parts
    if "strike" not in answer.text:
        not_as_told(answer)
