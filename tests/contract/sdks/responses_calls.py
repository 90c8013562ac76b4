"""Calls in the Responses format, and the request that OpenAI's own types call right for each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from openai.types.responses.function_tool_param import FunctionToolParam
from openai.types.responses.response_create_params import ResponseCreateParamsNonStreaming

from services.router.domain.generation import (
    Document,
    Effort,
    Generation,
    Image,
    JsonFormat,
    JsonSchemaFormat,
    Message,
    NamedTool,
    Reasoning,
    ReasoningRequest,
    Role,
    ServiceTier,
    Signature,
    Text,
    ToolCall,
    ToolChoiceMode,
    ToolResult,
)
from tests.contract.dialects.calls import (
    CITY_SCHEMA,
    CLOCK,
    MODEL,
    PIXEL,
    PIXEL_URL,
    WEATHER,
    said,
)

WEATHER_PARAM: FunctionToolParam = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather of a city",
    "parameters": CITY_SCHEMA,
    "strict": False,
}
CLOCK_PARAM: FunctionToolParam = {
    "type": "function",
    "name": "get_time",
    "parameters": {"type": "object", "properties": {}},
    "strict": False,
}
LOOSE_SCHEMA_JSON = (
    '{"type":"object","properties":{"city":{"type":"string"},"days":{"type":"integer"}},"required":["city"]}'
)
LOOSE_SCHEMA: dict[str, object] = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city"],
}
CLEANED_SCHEMA: dict[str, object] = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": ["integer", "null"]}},
    "required": ["city", "days"],
    "additionalProperties": False,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """`params` is checked by mypy against the SDK's types; what every call says is added by `with_usual`."""

    generation: Generation
    params: ResponseCreateParamsNonStreaming
    output_limit: int | None = None


def with_usual(params: ResponseCreateParamsNonStreaming) -> ResponseCreateParamsNonStreaming:
    """Nothing is kept at the provider, so thoughts have to come along sealed."""
    return {"store": False, "include": ["reasoning.encrypted_content"], **params}


def _asking(text: str = "Hello", **fields: object) -> Generation:
    return Generation(messages=(said(text),), **fields)  # type: ignore[arg-type]  # checked where they are named


def _params(text: str = "Hello") -> ResponseCreateParamsNonStreaming:
    return {"model": MODEL, "input": [{"type": "message", "role": "user", "content": text}]}


_RESULTS = Message(
    Role.TOOL,
    (
        ToolResult(tool_call_id="call_1", name="get_weather", parts=(Text('{"sky":"clear"}'),)),
        ToolResult(tool_call_id="call_2", name="get_weather", parts=(Text("no network"),), is_error=True),
    ),
)

CALLS: Mapping[str, Call] = MappingProxyType(
    {
        "text": Call(generation=_asking("Why is the sky blue? «é€😀»"), params=_params("Why is the sky blue? «é€😀»")),
        "instructions, and more of them later": Call(
            generation=Generation(
                messages=(
                    Message(Role.SYSTEM, (Text("Be brief."),)),
                    Message(Role.SYSTEM, (Text("Be kind."), Text("Be true."))),
                    said("Hello"),
                    Message(Role.ASSISTANT, (Text("Hi."), Text(" You?"))),
                    Message(Role.SYSTEM, (Text("Be long."),)),
                    Message(Role.USER, (Text("And "), Text("now?"))),
                )
            ),
            params={
                "model": MODEL,
                "instructions": "Be brief.\n\nBe kind.\n\nBe true.",
                "input": [
                    {"type": "message", "role": "user", "content": "Hello"},
                    {"type": "message", "role": "assistant", "content": "Hi. You?"},
                    {"type": "message", "role": "developer", "content": "Be long."},
                    {
                        "type": "message",
                        "role": "user",
                        "content": [{"type": "input_text", "text": "And "}, {"type": "input_text", "text": "now?"}],
                    },
                ],
            },
        ),
        "instructions alone": Call(
            generation=Generation(messages=(Message(Role.SYSTEM, (Text("Say hello."),)),)),
            params={"model": MODEL, "input": [{"type": "message", "role": "developer", "content": "Say hello."}]},
        ),
        "settings": Call(
            generation=_asking(
                temperature=0.25,
                top_p=0.9,
                max_output_tokens=99,
                service_tier=ServiceTier.STANDARD,
                end_user="u-7f3a",
                prompt_cache_key="chat-1",
            ),
            params={
                **_params(),
                "temperature": 0.25,
                "top_p": 0.9,
                "max_output_tokens": 99,
                "service_tier": "default",
                "safety_identifier": "u-7f3a",
                "prompt_cache_key": "chat-1",
            },
            output_limit=99,
        ),
        "zeros are said": Call(
            generation=_asking(temperature=0.0, top_p=0.0), params={**_params(), "temperature": 0.0, "top_p": 0.0}
        ),
        "tools, parallel calls": Call(
            generation=_asking("Weather? [[sandbox tools=3]]", tools=(WEATHER, CLOCK), tool_choice=ToolChoiceMode.AUTO),
            params={
                **_params("Weather? [[sandbox tools=3]]"),
                "tools": [WEATHER_PARAM, CLOCK_PARAM],
                "tool_choice": "auto",
            },
        ),
        "tool choice required": Call(
            generation=_asking("Weather?", tools=(WEATHER,), tool_choice=ToolChoiceMode.REQUIRED),
            params={**_params("Weather?"), "tools": [WEATHER_PARAM], "tool_choice": "required"},
        ),
        "tool choice none": Call(
            generation=_asking("Weather?", tools=(WEATHER,), tool_choice=ToolChoiceMode.NONE),
            params={**_params("Weather?"), "tools": [WEATHER_PARAM], "tool_choice": "none"},
        ),
        "tool choice by name, no parallel calls": Call(
            generation=_asking(
                "Weather? [[sandbox tools=2]]",
                tools=(WEATHER, CLOCK),
                tool_choice=NamedTool("get_time"),
                parallel_tool_calls=False,
            ),
            params={
                **_params("Weather? [[sandbox tools=2]]"),
                "tools": [WEATHER_PARAM, CLOCK_PARAM],
                "tool_choice": {"type": "function", "name": "get_time"},
                "parallel_tool_calls": False,
            },
        ),
        "tool results, one a failure": Call(
            generation=Generation(
                messages=(
                    said("Weather?"),
                    Message(
                        Role.ASSISTANT,
                        (
                            Text("Let me look."),
                            ToolCall(id="call_1", name="get_weather", arguments_json='{"city":"Oslo","days":1}'),
                            ToolCall(id="call_2", name="get_weather", arguments_json='{"city":"Rome"}'),
                        ),
                    ),
                    _RESULTS,
                ),
                tools=(WEATHER,),
            ),
            params={
                "model": MODEL,
                "input": [
                    {"type": "message", "role": "user", "content": "Weather?"},
                    {"type": "message", "role": "assistant", "content": "Let me look."},
                    {
                        "type": "function_call",
                        "call_id": "call_1",
                        "name": "get_weather",
                        "arguments": '{"city":"Oslo","days":1}',
                    },
                    {
                        "type": "function_call",
                        "call_id": "call_2",
                        "name": "get_weather",
                        "arguments": '{"city":"Rome"}',
                    },
                    {"type": "function_call_output", "call_id": "call_1", "output": '{"sky":"clear"}'},
                    # The format has no mark for a failed tool; the model is told in words.
                    {"type": "function_call_output", "call_id": "call_2", "output": "Error: no network"},
                ],
                "tools": [WEATHER_PARAM],
            },
        ),
        "images and documents in tool results": Call(
            generation=Generation(
                messages=(
                    said("A map?"),
                    Message(
                        Role.ASSISTANT,
                        tuple(ToolCall(id=f"call_{each}", name="get_weather", arguments_json="{}") for each in "123"),
                    ),
                    Message(
                        Role.TOOL,
                        (
                            ToolResult(
                                tool_call_id="call_1",
                                name="get_weather",
                                parts=(Text("a map"), Image(data=PIXEL, media_type="image/png")),
                                is_error=True,
                            ),
                            ToolResult(
                                tool_call_id="call_2",
                                name="get_weather",
                                parts=(Document(data=b"%PDF", media_type="application/pdf", name="map.pdf"),),
                                is_error=True,
                            ),
                            ToolResult(tool_call_id="call_3", name="get_weather", parts=()),
                        ),
                    ),
                ),
                tools=(WEATHER,),
            ),
            params={
                "model": MODEL,
                "input": [
                    {"type": "message", "role": "user", "content": "A map?"},
                    {"type": "function_call", "call_id": "call_1", "name": "get_weather", "arguments": "{}"},
                    {"type": "function_call", "call_id": "call_2", "name": "get_weather", "arguments": "{}"},
                    {"type": "function_call", "call_id": "call_3", "name": "get_weather", "arguments": "{}"},
                    {
                        "type": "function_call_output",
                        "call_id": "call_1",
                        "output": [
                            {"type": "input_text", "text": "Error: a map"},
                            {"type": "input_image", "detail": "auto", "image_url": PIXEL_URL},
                        ],
                    },
                    {
                        "type": "function_call_output",
                        "call_id": "call_2",
                        "output": [
                            {"type": "input_text", "text": "Error: "},
                            {
                                "type": "input_file",
                                "filename": "map.pdf",
                                "file_data": "data:application/pdf;base64,JVBERg==",
                            },
                        ],
                    },
                    {"type": "function_call_output", "call_id": "call_3", "output": ""},
                ],
                "tools": [WEATHER_PARAM],
            },
        ),
        "any JSON": Call(
            generation=_asking("Answer in JSON", response_format=JsonFormat()),
            params={**_params("Answer in JSON"), "text": {"format": {"type": "json_object"}}},
        ),
        "any JSON, where only the instructions say so": Call(
            generation=Generation(
                messages=(Message(Role.SYSTEM, (Text("Answer in JSON."),)), said("Hello")),
                response_format=JsonFormat(),
            ),
            params={
                "model": MODEL,
                "instructions": "Answer in JSON.",
                "input": [
                    {"type": "message", "role": "developer", "content": "Answer with JSON."},
                    {"type": "message", "role": "user", "content": "Hello"},
                ],
                "text": {"format": {"type": "json_object"}},
            },
        ),
        "JSON by a strict schema": Call(
            generation=_asking(
                "A trip",
                response_format=JsonSchemaFormat(
                    name="trip", description="A short trip", schema_json=LOOSE_SCHEMA_JSON, strict=True
                ),
            ),
            params={
                **_params("A trip"),
                "text": {
                    "format": {
                        "type": "json_schema",
                        "name": "trip",
                        "description": "A short trip",
                        "schema": CLEANED_SCHEMA,
                        "strict": True,
                    }
                },
            },
        ),
        "JSON by a loose schema": Call(
            generation=_asking(
                "A trip",
                response_format=JsonSchemaFormat(
                    name="trip", description="", schema_json=LOOSE_SCHEMA_JSON, strict=False
                ),
            ),
            params={
                **_params("A trip"),
                "text": {"format": {"type": "json_schema", "name": "trip", "schema": LOOSE_SCHEMA, "strict": False}},
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
                "input": [
                    {
                        "type": "message",
                        "role": "user",
                        "content": [
                            {"type": "input_text", "text": "What is on these?"},
                            {"type": "input_image", "detail": "auto", "image_url": PIXEL_URL},
                            {
                                "type": "input_image",
                                "detail": "auto",
                                "image_url": "https://example.com/cat.png?size=1&x=%20",
                            },
                        ],
                    }
                ],
            },
        ),
        "documents by bytes and by URL": Call(
            generation=Generation(
                messages=(
                    Message(
                        Role.USER,
                        (
                            Document(data=b"%PDF", media_type="application/pdf", name="a.pdf"),
                            Document(data=b"Hi", media_type="text/plain"),
                            Document(url="https://example.com/b.pdf", media_type="application/pdf"),
                            Document(url="https://example.com/c.pdf", media_type="application/pdf", name="c.pdf"),
                        ),
                    ),
                )
            ),
            params={
                "model": MODEL,
                "input": [
                    {
                        "type": "message",
                        "role": "user",
                        "content": [
                            {
                                "type": "input_file",
                                "filename": "a.pdf",
                                "file_data": "data:application/pdf;base64,JVBERg==",
                            },
                            {
                                "type": "input_file",
                                "filename": "document.txt",
                                "file_data": "data:text/plain;base64,SGk=",
                            },
                            {"type": "input_file", "file_url": "https://example.com/b.pdf"},
                            # A name beside a URL is refused.
                            {"type": "input_text", "text": "c.pdf:"},
                            {"type": "input_file", "file_url": "https://example.com/c.pdf"},
                        ],
                    }
                ],
            },
        ),
        "reasoning": Call(
            generation=_asking(reasoning=ReasoningRequest(effort=Effort.HIGH)),
            params={**_params(), "reasoning": {"effort": "high", "summary": "auto"}},
        ),
        "reasoning by budget, hidden": Call(
            generation=_asking(reasoning=ReasoningRequest(budget_tokens=4096, hide=True)),
            params={**_params(), "reasoning": {"effort": "medium"}},
        ),
        "no reasoning": Call(
            generation=_asking(reasoning=ReasoningRequest(effort=Effort.NONE)),
            params={**_params(), "reasoning": {"effort": "none"}},
        ),
        "an answer cut by its limit": Call(
            generation=_asking(max_output_tokens=3), params={**_params(), "max_output_tokens": 3}, output_limit=3
        ),
        "cached and reasoning tokens": Call(
            generation=_asking("Hi [[sandbox cached=5 reasoning=9 tokens=10 show_reasoning]]"),
            params=_params("Hi [[sandbox cached=5 reasoning=9 tokens=10 show_reasoning]]"),
        ),
        "hidden reasoning before tools": Call(
            generation=_asking("Hi [[sandbox reasoning=4 tools=2 text_before_tools]]", tools=(WEATHER,)),
            params={**_params("Hi [[sandbox reasoning=4 tools=2 text_before_tools]]"), "tools": [WEATHER_PARAM]},
        ),
        "a refusal": Call(
            generation=_asking("Hi [[sandbox finish=refusal]]"), params=_params("Hi [[sandbox finish=refusal]]")
        ),
        "filtered": Call(
            generation=_asking("Hi [[sandbox finish=content_filter]]"),
            params=_params("Hi [[sandbox finish=content_filter]]"),
        ),
        "a finish reason nobody knows": Call(
            generation=_asking("Hi [[sandbox finish=steered]]"), params=_params("Hi [[sandbox finish=steered]]")
        ),
        "no usage": Call(generation=_asking("Hi [[sandbox no_usage]]"), params=_params("Hi [[sandbox no_usage]]")),
    }
)
"""Each is sent to a server that records it, and to the sandbox."""

SENT_BACK = Call(
    generation=Generation(
        messages=(
            said("Weather?"),
            Message(
                Role.ASSISTANT,
                (
                    Reasoning("", Signature(b'{"id":"rs_1","encrypted_content":"c2VhbGVk"}')),
                    Reasoning(
                        "One.\n\nTwo.", Signature(b'{"id":"rs_2","encrypted_content":"bW9yZQ==","summary":[4,4]}')
                    ),
                    Text("Let me look."),
                    Reasoning("", Signature(b'{"phase":"commentary"}')),
                    ToolCall(id="call_1", name="get_weather", arguments_json="{}"),
                ),
            ),
            Message(Role.TOOL, (ToolResult(tool_call_id="call_1", name="get_weather", parts=(Text("sunny"),)),)),
        ),
        tools=(WEATHER,),
    ),
    params={
        "model": MODEL,
        "input": [
            {"type": "message", "role": "user", "content": "Weather?"},
            {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "c2VhbGVk"},
            {
                "type": "reasoning",
                "id": "rs_2",
                "summary": [{"type": "summary_text", "text": "One."}, {"type": "summary_text", "text": "Two."}],
                "encrypted_content": "bW9yZQ==",
            },
            {"type": "message", "role": "assistant", "content": "Let me look.", "phase": "commentary"},
            {"type": "function_call", "call_id": "call_1", "name": "get_weather", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "call_1", "output": "sunny"},
        ],
        "tools": [WEATHER_PARAM],
    },
)
"""Thoughts that no sandbox made: for the recording server only."""
