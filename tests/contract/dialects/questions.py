"""Calls that every dialect must carry that has the features they need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from services.router.domain.generation import Generation, Message, NamedTool, Role, Text, ToolCall, ToolResult
from tests.contract.dialects.asking import said, saying
from tests.contract.dialects.calls import CALLS, CLOCK, WEATHER


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A call and the features it needs, besides text."""

    request: Generation
    needs: tuple[str, ...] = ()


def _known(name: str, *needs: str) -> Question:
    return Question(request=CALLS[name].generation, needs=needs)


QUESTIONS: Mapping[str, Question] = MappingProxyType(
    {
        "text": _known("text"),
        "several turns": _known("several turns"),
        "sampling": Question(request=replace(CALLS["sampling"].generation, seed=None, stop=()), needs=("sampling",)),
        "seed": Question(request=replace(saying("Hello"), seed=7), needs=("seed",)),
        "stop words": Question(request=replace(saying("Hello"), stop=("END", "sandbox")), needs=("stop",)),
        "one tool on offer": _known("one tool on offer", "tools"),
        "tool choice auto, parallel calls": _known("tool choice auto, parallel calls", "tools"),
        "tool choice required": _known("tool choice required", "tools", "tool_choice"),
        "tool choice none": _known("tool choice none", "tools", "tool_choice"),
        "tool choice by name": Question(
            request=Generation(
                messages=(said("Weather? [[sandbox tools=1]]"),),
                tools=(WEATHER, CLOCK),
                tool_choice=NamedTool("get_time"),
            ),
            needs=("tools", "tool_choice"),
        ),
        "no parallel calls": Question(
            request=Generation(
                messages=(said("Weather? [[sandbox tools=2]]"),), tools=(WEATHER, CLOCK), parallel_tool_calls=False
            ),
            needs=("tools", "parallel_tool_calls"),
        ),
        "several tool results, one an error": Question(
            request=Generation(
                messages=(
                    said("Weather in Oslo and Rome?"),
                    Message(
                        Role.ASSISTANT,
                        (
                            Text("Let me look."),
                            ToolCall(id="call_1", name="get_weather", arguments_json='{"city":"Oslo","days":1}'),
                            ToolCall(id="call_2", name="get_weather", arguments_json='{"city":"Rome"}'),
                        ),
                    ),
                    Message(
                        Role.TOOL,
                        (
                            ToolResult(tool_call_id="call_1", name="get_weather", parts=(Text('{"sky":"clear"}'),)),
                            ToolResult(
                                tool_call_id="call_2", name="get_weather", parts=(Text("no days"),), is_error=True
                            ),
                        ),
                    ),
                ),
                tools=(WEATHER,),
            ),
            needs=("tools",),
        ),
        "a tool call without words": Question(
            request=Generation(
                messages=(
                    said("Time?"),
                    Message(Role.ASSISTANT, (ToolCall(id="call_1", name="get_time", arguments_json="{}"),)),
                    Message(Role.TOOL, (ToolResult(tool_call_id="call_1", name="get_time", parts=(Text("noon"),)),)),
                ),
                tools=(CLOCK,),
            ),
            needs=("tools",),
        ),
        "any JSON": _known("any JSON", "json"),
        "JSON by a strict schema": _known("JSON by a strict schema", "json_schema"),
        "JSON by a loose schema": _known("JSON by a loose schema", "json_schema"),
        "an answer cut by its limit": _known("an answer cut by its limit"),
        "cached tokens": Question(request=saying("Hi [[sandbox cached=5 tokens=10]]")),
        "reasoning tokens": Question(request=saying("Hi [[sandbox reasoning=4 tokens=10]]"), needs=("reasoning",)),
        "shown reasoning": Question(
            request=saying("Hi [[sandbox reasoning=4 show_reasoning tokens=10]]"), needs=("reasoning",)
        ),
        "no usage": Question(request=saying("Hi [[sandbox no_usage]]")),
    }
)
