"""Calls that every dialect must carry, and the request that OpenAI's own types call right for each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from openai.types.chat import ChatCompletionToolParam
from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming

from services.router.domain.generation import (
    Generation,
    Image,
    JsonFormat,
    JsonSchemaFormat,
    Message,
    NamedTool,
    Role,
    Text,
    Tool,
    ToolCall,
    ToolChoiceMode,
    ToolResult,
)

MODEL = "sandbox-small"
CITY_SCHEMA_JSON = (
    '{"type":"object","properties":{"city":{"type":"string"},"days":{"type":"integer","minimum":1}},'
    '"required":["city","days"],"additionalProperties":false}'
)
CITY_SCHEMA: dict[str, object] = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
PIXEL = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
PIXEL_URL = (
    "data:image/png;base64,iVBORw0KGgoAAQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyAhIiMkJSYnKCkqKywtLi8wMTIzNDU2Nzg5Ojs8"
    "PT4/QEFCQ0RFRkdISUpLTE1OT1BRUlNUVVZXWFlaW1xdXl9gYWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXp7fH1+f4CBgoOEhYaHiImKi4yNjo+Qk"
    "ZKTlJWWl5iZmpucnZ6foKGio6SlpqeoqaqrrK2ur7CxsrO0tba3uLm6u7y9vr/AwcLDxMXGx8jJysvMzc7P0NHS09TV1tfY2drb3N3e3+Dh4uPk5e"
    "bn6Onq6+zt7u/w8fLz9PX29/j5+vv8/f7/"
)
WEATHER = Tool(name="get_weather", description="The weather of a city", parameters_json=CITY_SCHEMA_JSON)
CLOCK = Tool(name="get_time", description="", parameters_json="")
WEATHER_PARAM: ChatCompletionToolParam = {
    "type": "function",
    "function": {"name": "get_weather", "description": "The weather of a city", "parameters": CITY_SCHEMA},
}
# The SDK's caller may leave the parameters out; we always say that there are none, for some servers insist.
CLOCK_PARAM: ChatCompletionToolParam = {
    "type": "function",
    "function": {"name": "get_time", "parameters": {"type": "object", "properties": {}}},
}


def said(text: str) -> Message:
    return Message(Role.USER, (Text(text),))


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """`params` is checked by mypy against the SDK's types; `output_limit` goes under each dialect's own name."""

    generation: Generation
    params: CompletionCreateParamsNonStreaming
    output_limit: int | None = None


def _with_tools(text: str, **fields: object) -> Generation:
    call = Generation(messages=(said(text),), tools=(WEATHER, CLOCK))
    return replace(call, **fields)  # type: ignore[arg-type]  # the fields are checked where they are named


_ASKED = said("Weather in Oslo and Rome? [[sandbox tools=2]]")
_CALLED = Message(
    Role.ASSISTANT,
    (
        Text("Let me look."),
        ToolCall(id="call_1", name="get_weather", arguments_json='{"city":"Oslo","days":1}'),
        ToolCall(id="call_2", name="get_weather", arguments_json='{"city": "Rome"'),
    ),
)

CALLS: Mapping[str, Call] = MappingProxyType(
    {
        "text": Call(
            generation=Generation(messages=(said("Why is the sky blue? «é€😀»"),)),
            params={"model": MODEL, "messages": [{"role": "user", "content": "Why is the sky blue? «é€😀»"}]},
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
            params={
                "model": MODEL,
                "messages": [
                    {"role": "system", "content": "Be brief."},
                    {"role": "user", "content": "Hello"},
                    {"role": "assistant", "content": "Hi."},
                    {"role": "user", "content": [{"type": "text", "text": "And "}, {"type": "text", "text": "now?"}]},
                ],
            },
        ),
        "sampling": Call(
            generation=Generation(
                messages=(said("Hello"),),
                temperature=0.25,
                top_p=0.9,
                seed=-7,
                stop=("END", "\n\n"),
                max_output_tokens=9,
            ),
            params={
                "model": MODEL,
                "messages": [{"role": "user", "content": "Hello"}],
                "temperature": 0.25,
                "top_p": 0.9,
                "seed": -7,
                "stop": ["END", "\n\n"],
            },
            output_limit=9,
        ),
        "zeros are said": Call(
            generation=Generation(messages=(said("Hello"),), temperature=0.0, top_p=0.0, seed=0),
            params={
                "model": MODEL,
                "messages": [{"role": "user", "content": "Hello"}],
                "temperature": 0.0,
                "top_p": 0.0,
                "seed": 0,
            },
        ),
        "one tool on offer": Call(
            generation=_with_tools("Hello"),
            params={
                "model": MODEL,
                "messages": [{"role": "user", "content": "Hello"}],
                "tools": [WEATHER_PARAM, CLOCK_PARAM],
            },
        ),
        "tool choice auto, parallel calls": Call(
            generation=_with_tools("Weather? [[sandbox tools=3]]", tool_choice=ToolChoiceMode.AUTO),
            params={
                "model": MODEL,
                "messages": [{"role": "user", "content": "Weather? [[sandbox tools=3]]"}],
                "tools": [WEATHER_PARAM, CLOCK_PARAM],
                "tool_choice": "auto",
            },
        ),
        "tool choice required": Call(
            generation=_with_tools("Weather?", tool_choice=ToolChoiceMode.REQUIRED),
            params={
                "model": MODEL,
                "messages": [{"role": "user", "content": "Weather?"}],
                "tools": [WEATHER_PARAM, CLOCK_PARAM],
                "tool_choice": "required",
            },
        ),
        "tool choice none": Call(
            generation=_with_tools("Weather? [[sandbox tools=1]]", tool_choice=ToolChoiceMode.NONE),
            params={
                "model": MODEL,
                "messages": [{"role": "user", "content": "Weather? [[sandbox tools=1]]"}],
                "tools": [WEATHER_PARAM, CLOCK_PARAM],
                "tool_choice": "none",
            },
        ),
        "tool choice by name, no parallel calls": Call(
            generation=_with_tools(
                "Weather? [[sandbox tools=2]]", tool_choice=NamedTool("get_time"), parallel_tool_calls=False
            ),
            params={
                "model": MODEL,
                "messages": [{"role": "user", "content": "Weather? [[sandbox tools=2]]"}],
                "tools": [WEATHER_PARAM, CLOCK_PARAM],
                "tool_choice": {"type": "function", "function": {"name": "get_time"}},
                "parallel_tool_calls": False,
            },
        ),
        "several tool results in one message, one an error": Call(
            generation=Generation(
                messages=(
                    _ASKED,
                    _CALLED,
                    Message(
                        Role.TOOL,
                        (
                            ToolResult(tool_call_id="call_1", name="get_weather", parts=(Text('{"sky":"clear"}'),)),
                            ToolResult(
                                tool_call_id="call_2",
                                name="get_weather",
                                parts=(Text("malformed arguments"),),
                                is_error=True,
                            ),
                        ),
                    ),
                ),
                tools=(WEATHER,),
            ),
            params={
                "model": MODEL,
                "messages": [
                    {"role": "user", "content": "Weather in Oslo and Rome? [[sandbox tools=2]]"},
                    {
                        "role": "assistant",
                        "content": "Let me look.",
                        "tool_calls": [
                            {
                                "id": "call_1",
                                "type": "function",
                                "function": {"name": "get_weather", "arguments": '{"city":"Oslo","days":1}'},
                            },
                            {
                                "id": "call_2",
                                "type": "function",
                                "function": {"name": "get_weather", "arguments": '{"city": "Rome"'},
                            },
                        ],
                    },
                    {"role": "tool", "tool_call_id": "call_1", "content": '{"sky":"clear"}'},
                    # The format has no mark for a failed tool; the model is told in words.
                    {"role": "tool", "tool_call_id": "call_2", "content": "Error: malformed arguments"},
                ],
                "tools": [WEATHER_PARAM],
            },
        ),
        "a tool call without words": Call(
            generation=Generation(
                messages=(
                    said("Time?"),
                    Message(Role.ASSISTANT, (ToolCall(id="call_1", name="get_time", arguments_json="{}"),)),
                    Message(Role.TOOL, (ToolResult(tool_call_id="call_1", name="get_weather", parts=(Text("noon"),)),)),
                ),
                tools=(CLOCK,),
            ),
            params={
                "model": MODEL,
                "messages": [
                    {"role": "user", "content": "Time?"},
                    {
                        "role": "assistant",
                        "content": None,
                        "tool_calls": [
                            {"id": "call_1", "type": "function", "function": {"name": "get_time", "arguments": "{}"}}
                        ],
                    },
                    {"role": "tool", "tool_call_id": "call_1", "content": "noon"},
                ],
                "tools": [CLOCK_PARAM],
            },
        ),
        "any JSON": Call(
            generation=Generation(messages=(said("Answer in JSON"),), response_format=JsonFormat()),
            params={
                "model": MODEL,
                "messages": [{"role": "user", "content": "Answer in JSON"}],
                "response_format": {"type": "json_object"},
            },
        ),
        "JSON by a strict schema": Call(
            generation=Generation(
                messages=(said("A trip"),),
                response_format=JsonSchemaFormat(
                    name="trip", description="A short trip", schema_json=CITY_SCHEMA_JSON, strict=True
                ),
            ),
            params={
                "model": MODEL,
                "messages": [{"role": "user", "content": "A trip"}],
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {
                        "name": "trip",
                        "description": "A short trip",
                        "schema": CITY_SCHEMA,
                        "strict": True,
                    },
                },
            },
        ),
        "JSON by a loose schema": Call(
            generation=Generation(
                messages=(said("A trip"),),
                response_format=JsonSchemaFormat(
                    name="trip", description="", schema_json=CITY_SCHEMA_JSON, strict=False
                ),
            ),
            params={
                "model": MODEL,
                "messages": [{"role": "user", "content": "A trip"}],
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "trip", "schema": CITY_SCHEMA, "strict": False},
                },
            },
        ),
        "images by bytes and by URL": Call(
            generation=Generation(
                messages=(
                    Message(
                        Role.USER,
                        (
                            Text("What is on these?"),
                            Image(data=PIXEL, media_type="image/png"),
                            Image(url="https://example.com/cat.png?size=1&x=%20"),
                        ),
                    ),
                )
            ),
            params={
                "model": MODEL,
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {"type": "text", "text": "What is on these?"},
                            {"type": "image_url", "image_url": {"url": PIXEL_URL}},
                            {"type": "image_url", "image_url": {"url": "https://example.com/cat.png?size=1&x=%20"}},
                        ],
                    }
                ],
            },
        ),
        "an image alone": Call(
            generation=Generation(
                messages=(Message(Role.USER, (Image(url="https://example.com/cat.png", media_type="image/png"),)),)
            ),
            params={
                "model": MODEL,
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}}],
                    }
                ],
            },
        ),
        "an answer cut by its limit": Call(
            generation=Generation(messages=(said("Hello"),), max_output_tokens=3),
            params={"model": MODEL, "messages": [{"role": "user", "content": "Hello"}]},
            output_limit=3,
        ),
        "cached and reasoning tokens": Call(
            generation=Generation(messages=(said("Hi [[sandbox cached=5 reasoning=4 tokens=10]]"),)),
            params={
                "model": MODEL,
                "messages": [{"role": "user", "content": "Hi [[sandbox cached=5 reasoning=4 tokens=10]]"}],
            },
        ),
        "a finish reason nobody knows": Call(
            generation=Generation(messages=(said("Hi [[sandbox finish=tired]]"),)),
            params={"model": MODEL, "messages": [{"role": "user", "content": "Hi [[sandbox finish=tired]]"}]},
        ),
        "no usage": Call(
            generation=Generation(messages=(said("Hi [[sandbox no_usage]]"),)),
            params={"model": MODEL, "messages": [{"role": "user", "content": "Hi [[sandbox no_usage]]"}]},
        ),
    }
)
