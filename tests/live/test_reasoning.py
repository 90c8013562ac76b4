"""Thinking: asked for, shown, signed, and not wanted."""

from __future__ import annotations

import pytest

from services.router.domain.generation import (
    Answer,
    Effort,
    Generation,
    Message,
    Reasoning,
    ReasoningRequest,
    Role,
    Text,
    ToolResult,
)
from tests.live.asking import Asker, not_as_told
from tests.live.test_tools import WEATHER

_ASKED = "A bat and a ball cost 1.10 in all; the bat costs 1.00 more than the ball. What does the ball cost?"
_REFUSALS = ("reason", "think", "effort", "budget")


def _thoughts(answer: Answer) -> list[Reasoning]:
    return [part for part in answer.parts if isinstance(part, Reasoning)]


def _has_thought(answer: Answer) -> bool:
    return bool(_thoughts(answer)) or (answer.usage is not None and answer.usage.reasoning_tokens > 0)


@pytest.mark.live("reasoning-effort", *_REFUSALS)
@pytest.mark.parametrize("effort", [Effort.LOW, Effort.HIGH])
async def test_a_model_thinks_as_much_as_it_is_told(asker: Asker, effort: Effort) -> None:
    request = Generation(
        messages=(asker.said(_ASKED),), reasoning=ReasoningRequest(effort=effort), max_output_tokens=8192
    )
    if not _has_thought(answer := await asker.ask(request)):
        not_as_told(answer)


@pytest.mark.live("reasoning-budget", *_REFUSALS)
async def test_a_model_thinks_within_a_budget(asker: Asker) -> None:
    request = Generation(
        messages=(asker.said(_ASKED),), reasoning=ReasoningRequest(budget_tokens=1024), max_output_tokens=4096
    )
    if not _has_thought(answer := await asker.ask(request)):
        not_as_told(answer)


@pytest.mark.live("reasoning-off", *_REFUSALS)
async def test_a_model_does_not_think_when_told_so(asker: Asker) -> None:
    request = Generation(messages=(asker.said(_ASKED),), reasoning=ReasoningRequest(effort=Effort.NONE))
    if _has_thought(answer := await asker.ask(request)):
        not_as_told(answer)


@pytest.mark.live("thoughts", *_REFUSALS)
async def test_thoughts_are_shown(asker: Asker) -> None:
    request = Generation(
        messages=(asker.said(_ASKED),), reasoning=ReasoningRequest(effort=Effort.MEDIUM), max_output_tokens=8192
    )
    answer = await asker.ask(request)
    if not any(thought.text.strip() for thought in _thoughts(answer)):
        not_as_told(answer)


@pytest.mark.live("signed-thoughts", *_REFUSALS)
async def test_signed_thoughts_are_taken_back(asker: Asker) -> None:
    question, thinking = asker.said(_ASKED), ReasoningRequest(effort=Effort.MEDIUM)
    answer = await asker.ask(Generation(messages=(question,), reasoning=thinking, max_output_tokens=8192))
    if all(thought.signature is None for thought in _thoughts(answer)):
        pytest.xfail("not as told: no thought is signed")
    turns = (question, asker.kept(answer), asker.said("And if all were twice as much?"))
    assert (await asker.ask(Generation(messages=turns, reasoning=thinking, max_output_tokens=8192))).parts


@pytest.mark.live("signed-tool-calls", *_REFUSALS, "tool", "function")
async def test_thoughts_before_a_tool_call_are_taken_back(asker: Asker) -> None:
    question, thinking = asker.said("What is the weather in Oslo? Use the tool."), ReasoningRequest(effort=Effort.LOW)
    request = Generation(messages=(question,), tools=(WEATHER,), reasoning=thinking, max_output_tokens=8192)
    answer = await asker.ask(request)
    signatures = [each.signature for each in _thoughts(answer)] + [each.signature for each in answer.tool_calls]
    if not answer.tool_calls:
        not_as_told(answer)
    if not any(signatures):
        pytest.xfail("not as told: neither thoughts nor calls are signed")
    results = tuple(
        ToolResult(tool_call_id=call.id, name=call.name, parts=(Text("sunny"),)) for call in answer.tool_calls
    )
    turns = (question, asker.kept(answer), Message(Role.TOOL, results))
    again = Generation(messages=turns, tools=(WEATHER,), reasoning=thinking, max_output_tokens=8192)
    assert (await asker.ask(again)).parts
