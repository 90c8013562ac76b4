"""Calls, each with what Anthropic's own types call right for it."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from anthropic import transform_schema
from anthropic.types import ToolParam
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming

from libs.sandbox.sealing import seal
from services.router.domain.generation import (
    Document,
    Effort,
    Generation,
    Image,
    JsonSchemaFormat,
    Message,
    NamedTool,
    Part,
    Reasoning,
    ReasoningRequest,
    ResultPart,
    Role,
    ServiceTier,
    Signature,
    Text,
    Tool,
    ToolCall,
    ToolChoiceMode,
    ToolResult,
)

ANY, BUDGET, EITHER = "sandbox-small", "sandbox-claude-sonnet-4-5", "sandbox-claude-opus-4-6"
NEW, TURNS, ALWAYS = "sandbox-claude-opus-4-7", "sandbox-claude-opus-4-8", "sandbox-claude-opus-5-5"
BETWEEN, OLD = "sandbox-claude-sonnet-5-5", "sandbox-claude-opus-4-1"
LIMIT = 9000

PDF, PNG = b"%PDF-1.7 \x00\xff", b"\x89PNG\r\n\x1a\n" + bytes(range(256))
TRIP: dict[str, Any] = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "minLength": 2, "description": "Where to"},
        "days": {"type": "integer", "minimum": 1, "maximum": 9},
        "on": {"type": "string", "format": "date"},
        "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 3},
        "back": {"anyOf": [{"$ref": "#/$defs/Way"}, {"type": "null"}]},
    },
    "required": ["city", "days"],
    "additionalProperties": False,
    "$defs": {"Way": {"type": "object", "properties": {"by": {"enum": ["train", "ship"]}}, "required": ["by"]}},
}
TRIP_JSON = (
    '{"type":"object","properties":{"city":{"type":"string","minLength":2,"description":"Where to"},'
    '"days":{"type":"integer","minimum":1,"maximum":9},"on":{"type":"string","format":"date"},'
    '"tags":{"type":"array","items":{"type":"string"},"maxItems":3},'
    '"back":{"anyOf":[{"$ref":"#/$defs/Way"},{"type":"null"}]}},"required":["city","days"],'
    '"additionalProperties":false,"$defs":{"Way":{"type":"object","properties":{"by":{"enum":["train","ship"]}},'
    '"required":["by"]}}}'
)
CITY: dict[str, object] = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
CITY_JSON = '{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}'
WEATHER = Tool(name="get_weather", description="The weather of a city", parameters_json=CITY_JSON)
CLOCK = Tool(name="get_time", description="", parameters_json="")
WEATHER_PARAM: ToolParam = {"name": "get_weather", "description": "The weather of a city", "input_schema": CITY}
CLOCK_PARAM: ToolParam = {"name": "get_time", "input_schema": {"type": "object", "properties": {}}}
THOUGHT = "Where might that be?"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """`params` is checked by mypy against the SDK's types; `sampling` is what they no longer hold."""

    generation: Generation
    params: MessageCreateParamsNonStreaming
    sampling: Mapping[str, float] = field(default_factory=dict)


def user(*parts: Part | str) -> Message:
    return Message(Role.USER, tuple(Text(part) if isinstance(part, str) else part for part in parts))


def assistant(*parts: Part | str) -> Message:
    return Message(Role.ASSISTANT, tuple(Text(part) if isinstance(part, str) else part for part in parts))


def system(*texts: str) -> Message:
    return Message(Role.SYSTEM, tuple(map(Text, texts)))


def results(*parts: ToolResult) -> Message:
    return Message(Role.TOOL, parts)


def result(call_id: str, *parts: ResultPart, is_error: bool = False) -> ToolResult:
    return ToolResult(tool_call_id=call_id, name="get_weather", parts=parts, is_error=is_error)


def called(call_id: str, city: str) -> ToolCall:
    return ToolCall(id=call_id, name="get_weather", arguments_json=f'{{"city": "{city}"}}')


def hello(**fields: Any) -> Generation:
    return Generation(messages=(user("Hello"),), **fields)


def plain(model: str = ANY) -> MessageCreateParamsNonStreaming:
    return {"model": model, "max_tokens": LIMIT, "messages": [{"role": "user", "content": "Hello"}]}


def thinking(_model: str, **how: Any) -> Generation:
    return hello(reasoning=ReasoningRequest(**how))


def _base64(data: bytes) -> str:
    return b64encode(data).decode()


CALLS: Mapping[str, Call] = MappingProxyType(
    {
        "text": Call(generation=hello(), params=plain()),
        "system, turns": Call(
            generation=Generation(
                messages=(system("Be brief."), user("Hello «é€😀»"), assistant("Hi."), user("And ", "now?"))
            ),
            params={
                "model": ANY,
                "max_tokens": LIMIT,
                "system": "Be brief.",
                "messages": [
                    {"role": "user", "content": "Hello «é€😀»"},
                    {"role": "assistant", "content": "Hi."},
                    {"role": "user", "content": [{"type": "text", "text": "And "}, {"type": "text", "text": "now?"}]},
                ],
            },
        ),
        "a system message later": Call(
            generation=Generation(
                messages=(system("Be brief."), user("Hello"), assistant("Hi."), user("Now?"), system("In French."))
            ),
            params={
                "model": TURNS,
                "max_tokens": LIMIT,
                "system": "Be brief.",
                "messages": [
                    {"role": "user", "content": "Hello"},
                    {"role": "assistant", "content": "Hi."},
                    {"role": "user", "content": "Now?"},
                    {"role": "system", "content": "In French."},
                ],
            },
        ),
        "sampling": Call(
            generation=hello(temperature=0.25, top_p=0.9, top_k=40),
            params=plain(),
            sampling={"temperature": 0.25, "top_p": 0.9, "top_k": 40},
        ),
        "zeros are said": Call(generation=hello(temperature=0.0), params=plain(), sampling={"temperature": 0.0}),
        "stop, user, tier": Call(
            generation=hello(stop=("END", "practice"), end_user="u-7f3a", service_tier=ServiceTier.STANDARD),
            params={
                **plain(),
                "stop_sequences": ["END", "practice"],
                "metadata": {"user_id": "u-7f3a"},
                "service_tier": "standard_only",
            },
        ),
        "the best tier": Call(
            generation=hello(service_tier=ServiceTier.PRIORITY), params={**plain(), "service_tier": "auto"}
        ),
        "images": Call(
            generation=Generation(
                messages=(user("See", Image(data=PNG, media_type="image/png"), Image(url="https://example.com/c.png")),)
            ),
            params={
                "model": ANY,
                "max_tokens": LIMIT,
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {"type": "text", "text": "See"},
                            {
                                "type": "image",
                                "source": {"type": "base64", "media_type": "image/png", "data": _base64(PNG)},
                            },
                            {"type": "image", "source": {"type": "url", "url": "https://example.com/c.png"}},
                        ],
                    }
                ],
            },
        ),
        "documents": Call(
            generation=Generation(
                messages=(
                    user(
                        Document(data=PDF, media_type="application/pdf", name="a.pdf"),
                        Document(url="https://example.com/b.pdf", media_type="application/pdf"),
                        Document(data="Süß".encode(), media_type="text/plain", name="c.txt"),
                        "Read",
                    ),
                )
            ),
            params={
                "model": ANY,
                "max_tokens": LIMIT,
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {
                                "type": "document",
                                "source": {"type": "base64", "media_type": "application/pdf", "data": _base64(PDF)},
                                "title": "a.pdf",
                            },
                            {"type": "document", "source": {"type": "url", "url": "https://example.com/b.pdf"}},
                            {
                                "type": "document",
                                "source": {"type": "text", "media_type": "text/plain", "data": "Süß"},
                                "title": "c.txt",
                            },
                            {"type": "text", "text": "Read"},
                        ],
                    }
                ],
            },
        ),
        "tools": Call(
            generation=Generation(messages=(user("Hello [[sandbox tools=3]]"),), tools=(WEATHER, CLOCK)),
            params={
                "model": ANY,
                "max_tokens": LIMIT,
                "messages": [{"role": "user", "content": "Hello [[sandbox tools=3]]"}],
                "tools": [WEATHER_PARAM, CLOCK_PARAM],
            },
        ),
        "no parallel calls": Call(
            generation=Generation(
                messages=(user("Hello [[sandbox tools=3]]"),), tools=(WEATHER,), parallel_tool_calls=False
            ),
            params={
                "model": ANY,
                "max_tokens": LIMIT,
                "messages": [{"role": "user", "content": "Hello [[sandbox tools=3]]"}],
                "tools": [WEATHER_PARAM],
                "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
            },
        ),
        "a tool is required": Call(
            generation=hello(tools=(WEATHER, CLOCK), tool_choice=ToolChoiceMode.REQUIRED, parallel_tool_calls=True),
            params={**plain(), "tools": [WEATHER_PARAM, CLOCK_PARAM], "tool_choice": {"type": "any"}},
        ),
        "a tool by name": Call(
            generation=hello(tools=(WEATHER, CLOCK), tool_choice=NamedTool("get_time"), parallel_tool_calls=False),
            params={
                **plain(),
                "tools": [WEATHER_PARAM, CLOCK_PARAM],
                "tool_choice": {"type": "tool", "name": "get_time", "disable_parallel_tool_use": True},
            },
        ),
        "no tool": Call(
            generation=hello(tools=(WEATHER,), tool_choice=ToolChoiceMode.NONE, parallel_tool_calls=False),
            params={**plain(), "tools": [WEATHER_PARAM], "tool_choice": {"type": "none"}},
        ),
        "results": Call(
            generation=Generation(
                messages=(
                    user("Weather?"),
                    assistant("Let me see.", called("a", "Oslo"), called("b", "Rome")),
                    results(result("b", Text("no network"), is_error=True)),
                    results(result("a", Text("a map"), Image(data=PNG, media_type="image/png"))),
                    user("Well?"),
                ),
                tools=(WEATHER,),
            ),
            params={
                "model": ANY,
                "max_tokens": LIMIT,
                "messages": [
                    {"role": "user", "content": "Weather?"},
                    {
                        "role": "assistant",
                        "content": [
                            {"type": "text", "text": "Let me see."},
                            {"type": "tool_use", "id": "a", "name": "get_weather", "input": {"city": "Oslo"}},
                            {"type": "tool_use", "id": "b", "name": "get_weather", "input": {"city": "Rome"}},
                        ],
                    },
                    {
                        "role": "user",
                        "content": [
                            {"type": "tool_result", "tool_use_id": "b", "content": "no network", "is_error": True},
                            {
                                "type": "tool_result",
                                "tool_use_id": "a",
                                "content": [
                                    {"type": "text", "text": "a map"},
                                    {
                                        "type": "image",
                                        "source": {"type": "base64", "media_type": "image/png", "data": _base64(PNG)},
                                    },
                                ],
                            },
                            {"type": "text", "text": "Well?"},
                        ],
                    },
                ],
                "tools": [WEATHER_PARAM],
            },
        ),
        "cache hints": Call(
            generation=Generation(
                messages=(
                    Message(Role.SYSTEM, (Text("Be brief."),), (0,)),
                    Message(Role.USER, (Text("A long story."), Text("Hello")), (0,)),
                ),
                tools=(Tool(name="get_time", description="", parameters_json="", cache_breakpoint=True),),
            ),
            params={
                "model": ANY,
                "max_tokens": LIMIT,
                "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {"type": "text", "text": "A long story.", "cache_control": {"type": "ephemeral"}},
                            {"type": "text", "text": "Hello"},
                        ],
                    }
                ],
                "tools": [{**CLOCK_PARAM, "cache_control": {"type": "ephemeral"}}],
            },
        ),
        "JSON by a schema": Call(
            generation=hello(
                response_format=JsonSchemaFormat(name="trip", description="A trip", schema_json=TRIP_JSON, strict=True)
            ),
            params={
                **plain(BUDGET),
                "output_config": {
                    "format": {"type": "json_schema", "schema": {**transform_schema(TRIP), "description": "A trip"}}
                },
            },
        ),
        "thinking by a budget": Call(
            generation=thinking(BUDGET, budget_tokens=2048),
            params={**plain(BUDGET), "thinking": {"type": "enabled", "budget_tokens": 2048}},
        ),
        "an effort as a budget, hidden": Call(
            generation=thinking(BUDGET, effort=Effort.LOW, hide=True),
            params={**plain(BUDGET), "thinking": {"type": "enabled", "budget_tokens": 1024, "display": "omitted"}},
        ),
        "a budget where both ways go": Call(
            generation=thinking(EITHER, budget_tokens=2048),
            params={**plain(EITHER), "thinking": {"type": "enabled", "budget_tokens": 2048}},
        ),
        "an effort where both ways go": Call(
            generation=thinking(EITHER, effort=Effort.MAX),
            params={**plain(EITHER), "thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}},
        ),
        "thinking by effort": Call(
            generation=thinking(NEW, effort=Effort.MEDIUM),
            params={
                **plain(NEW),
                "thinking": {"type": "adaptive", "display": "summarized"},
                "output_config": {"effort": "medium"},
            },
        ),
        "a budget as effort, hidden": Call(
            generation=thinking(NEW, budget_tokens=20_000, hide=True),
            params={
                **plain(NEW),
                "thinking": {"type": "adaptive", "display": "omitted"},
                "output_config": {"effort": "high"},
            },
        ),
        "effort and a schema": Call(
            generation=hello(
                reasoning=ReasoningRequest(effort=Effort.LOW),
                response_format=JsonSchemaFormat(name="trip", description="", schema_json=CITY_JSON, strict=False),
            ),
            params={
                **plain(ALWAYS),
                "thinking": {"type": "adaptive", "display": "summarized"},
                "output_config": {
                    "effort": "low",
                    "format": {"type": "json_schema", "schema": transform_schema(CITY)},
                },
            },
        ),
        "no thinking": Call(
            generation=thinking(NEW, effort=Effort.NONE), params={**plain(NEW), "thinking": {"type": "disabled"}}
        ),
        "no thinking but between tools": Call(
            generation=thinking(BETWEEN, effort=Effort.NONE),
            params={**plain(BETWEEN), "thinking": {"type": "between_tools"}},
        ),
        "no thinking where it is always on": Call(
            generation=thinking(ALWAYS, effort=Effort.NONE),
            params={
                **plain(ALWAYS),
                "thinking": {"type": "adaptive", "display": "summarized"},
                "output_config": {"effort": "low"},
            },
        ),
        "thoughts sent back": Call(
            generation=Generation(
                messages=(
                    user("Weather?"),
                    assistant(
                        Reasoning(THOUGHT, Signature(b"t" + seal(THOUGHT).encode())),
                        Reasoning("", Signature(b"t" + seal("hidden").encode())),
                        Reasoning("", Signature(b"r" + seal("redacted").encode())),
                        Reasoning("of somebody else"),
                        called("a", "Oslo"),
                    ),
                    results(result("a", Text("sunny"))),
                ),
                tools=(WEATHER,),
                reasoning=ReasoningRequest(budget_tokens=1024),
            ),
            params={
                "model": BUDGET,
                "max_tokens": LIMIT,
                "messages": [
                    {"role": "user", "content": "Weather?"},
                    {
                        "role": "assistant",
                        "content": [
                            {"type": "thinking", "thinking": THOUGHT, "signature": seal(THOUGHT)},
                            {"type": "thinking", "thinking": "", "signature": seal("hidden")},
                            {"type": "redacted_thinking", "data": seal("redacted")},
                            {"type": "tool_use", "id": "a", "name": "get_weather", "input": {"city": "Oslo"}},
                        ],
                    },
                    {
                        "role": "user",
                        "content": [{"type": "tool_result", "tool_use_id": "a", "content": "sunny"}],
                    },
                ],
                "tools": [WEATHER_PARAM],
                "thinking": {"type": "enabled", "budget_tokens": 1024},
            },
        ),
    }
)
