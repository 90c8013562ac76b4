"""Calls that Ollama must be able to carry, and how a caller of its own client makes each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from services.router.domain.generation import (
    Effort,
    Generation,
    Image,
    JsonFormat,
    JsonSchemaFormat,
    Message,
    ReasoningRequest,
    Role,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from tests.contract.dialects.calls import CITY_SCHEMA, CITY_SCHEMA_JSON, PIXEL, said

MODEL = "sandbox-small"
# The SDK's type of a tool keeps only the most usual words of JSON Schema.
PLAIN_SCHEMA_JSON = (
    '{"type":"object","required":["city"],'
    '"properties":{"city":{"type":"string","description":"Which","enum":["Oslo"]}}}'
)
PLAIN_SCHEMA = {
    "type": "object",
    "required": ["city"],
    "properties": {"city": {"type": "string", "description": "Which", "enum": ["Oslo"]}},
}
WEATHER = Tool(name="get_weather", description="The weather of a city", parameters_json=PLAIN_SCHEMA_JSON)
CLOCK = Tool(name="get_time", description="", parameters_json="")
TOOLS = [
    {
        "type": "function",
        "function": {"name": "get_weather", "description": "The weather of a city", "parameters": PLAIN_SCHEMA},
    },
    {"type": "function", "function": {"name": "get_time", "parameters": {"type": "object", "properties": {}}}},
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """`arguments` are those of `AsyncClient.chat`, `options` those of our provider."""

    generation: Generation
    arguments: Mapping[str, Any]
    output_limit: int | None = None
    options: Mapping[str, object] = field(default_factory=dict)


def _user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def _thinking(**fields: Any) -> Generation:
    return Generation(messages=(said("Hi [[sandbox tokens=9]]"),), reasoning=ReasoningRequest(**fields))


_THOUGHT = [_user("Hi [[sandbox tokens=9]]")]

CALLS: Mapping[str, Call] = MappingProxyType(
    {
        "text": Call(
            generation=Generation(messages=(said("Why is the sky blue? «é€😀»"),)),
            arguments={"messages": [_user("Why is the sky blue? «é€😀»")]},
        ),
        "several turns": Call(
            generation=Generation(
                messages=(
                    Message(Role.SYSTEM, (Text("Be brief."),)),
                    said("Hello"),
                    Message(Role.ASSISTANT, (Text("Hi."),)),
                    Message(Role.USER, (Text("And "), Text("now?"))),
                )
            ),
            arguments={
                "messages": [
                    {"role": "system", "content": "Be brief."},
                    _user("Hello"),
                    {"role": "assistant", "content": "Hi."},
                    _user("And now?"),
                ]
            },
        ),
        "sampling": Call(
            generation=Generation(
                messages=(said("Hello"),),
                temperature=0.25,
                top_p=0.9,
                top_k=40,
                seed=-7,
                stop=("END", "\n\n"),
                frequency_penalty=0.5,
                presence_penalty=-0.5,
            ),
            output_limit=9,
            arguments={
                "messages": [_user("Hello")],
                "options": {
                    "num_predict": 9,
                    "temperature": 0.25,
                    "top_p": 0.9,
                    "top_k": 40,
                    "seed": -7,
                    "stop": ["END", "\n\n"],
                    "frequency_penalty": 0.5,
                    "presence_penalty": -0.5,
                },
            },
        ),
        "zeros are said": Call(
            generation=Generation(messages=(said("Hello"),), temperature=0.0, top_p=0.0, seed=0, presence_penalty=0.0),
            arguments={
                "messages": [_user("Hello")],
                "options": {"temperature": 0.0, "top_p": 0.0, "seed": 0, "presence_penalty": 0.0},
            },
        ),
        "options of the provider": Call(
            generation=Generation(messages=(said("Hello"),)),
            options={"num_ctx": 8192.0, "keep_alive": "10m", "think": False},
            arguments={
                "messages": [_user("Hello")],
                "options": {"num_ctx": 8192},
                "keep_alive": "10m",
                "think": False,
            },
        ),
        "a model that stays loaded": Call(
            generation=Generation(messages=(said("Hello"),)),
            options={"keep_alive": "-1"},
            arguments={"messages": [_user("Hello")], "keep_alive": -1},
        ),
        "tools": Call(
            generation=Generation(messages=(said("Weather? [[sandbox tools=3]]"),), tools=(WEATHER, CLOCK)),
            arguments={"messages": [_user("Weather? [[sandbox tools=3]]")], "tools": TOOLS},
        ),
        "tools after words and thoughts": Call(
            generation=Generation(
                messages=(said("Weather? [[sandbox tools=2 reasoning=5 text_before_tools]]"),), tools=(WEATHER, CLOCK)
            ),
            arguments={
                "messages": [_user("Weather? [[sandbox tools=2 reasoning=5 text_before_tools]]")],
                "tools": TOOLS,
            },
        ),
        "results of tools, one an error, in another order": Call(
            generation=Generation(
                messages=(
                    said("Weather in Oslo and Rome? And the time?"),
                    Message(
                        Role.ASSISTANT,
                        (
                            Text("Let me look."),
                            ToolCall(id="a", name="get_weather", arguments_json='{"city":"Oslo"}'),
                            ToolCall(id="b", name="get_weather", arguments_json='{"city":"Rome"}'),
                            ToolCall(id="c", name="get_time", arguments_json="{}"),
                        ),
                    ),
                    Message(
                        Role.TOOL,
                        (
                            ToolResult(tool_call_id="c", name="get_time", parts=(Text("noon"), Text("sharp"))),
                            ToolResult(tool_call_id="b", name="get_weather", parts=(Text("no"),), is_error=True),
                        ),
                    ),
                    Message(Role.TOOL, (ToolResult(tool_call_id="a", name="get_weather", parts=(Text("clear"),)),)),
                ),
                tools=(WEATHER, CLOCK),
            ),
            arguments={
                "messages": [
                    _user("Weather in Oslo and Rome? And the time?"),
                    {
                        "role": "assistant",
                        "content": "Let me look.",
                        "tool_calls": [
                            {"function": {"name": "get_weather", "arguments": {"city": "Oslo"}}},
                            {"function": {"name": "get_weather", "arguments": {"city": "Rome"}}},
                            {"function": {"name": "get_time", "arguments": {}}},
                        ],
                    },
                    {"role": "tool", "tool_name": "get_weather", "content": "clear"},
                    # The format has no mark for a failed tool; the model is told in words.
                    {"role": "tool", "tool_name": "get_weather", "content": "Error: no"},
                    {"role": "tool", "tool_name": "get_time", "content": "noon\nsharp"},
                ],
                "tools": TOOLS,
            },
        ),
        "any JSON": Call(
            generation=Generation(messages=(said("Answer in JSON"),), response_format=JsonFormat()),
            arguments={"messages": [_user("Answer in JSON")], "format": "json"},
        ),
        "JSON by a schema": Call(
            generation=Generation(
                messages=(said("A trip"),),
                response_format=JsonSchemaFormat(
                    name="trip", description="A short trip", schema_json=CITY_SCHEMA_JSON, strict=True
                ),
            ),
            arguments={"messages": [_user("A trip")], "format": CITY_SCHEMA},
        ),
        "images": Call(
            generation=Generation(
                messages=(
                    Message(
                        Role.USER,
                        (
                            Text("What is on these?"),
                            Image(data=PIXEL, media_type="image/png"),
                            Image(data=PIXEL, media_type="image/png"),
                        ),
                    ),
                )
            ),
            arguments={"messages": [{"role": "user", "content": "What is on these?", "images": [PIXEL, PIXEL]}]},
        ),
        "thinking": Call(generation=_thinking(effort=Effort.LOW), arguments={"messages": _THOUGHT, "think": True}),
        "thinking by budget": Call(
            generation=_thinking(budget_tokens=5000), arguments={"messages": _THOUGHT, "think": True}
        ),
        "no thinking": Call(generation=_thinking(effort=Effort.NONE), arguments={"messages": _THOUGHT, "think": False}),
        "an answer cut by its limit": Call(
            generation=Generation(messages=(said("Hello"),)),
            output_limit=3,
            arguments={"messages": [_user("Hello")], "options": {"num_predict": 3}},
        ),
        "a finish reason nobody knows": Call(
            generation=Generation(messages=(said("Hi [[sandbox finish=tired]]"),)),
            arguments={"messages": [_user("Hi [[sandbox finish=tired]]")]},
        ),
        "no usage": Call(
            generation=Generation(messages=(said("Hi [[sandbox no_usage]]"),)),
            arguments={"messages": [_user("Hi [[sandbox no_usage]]")]},
        ),
    }
)
