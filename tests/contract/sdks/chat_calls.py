"""Calls that only Chat Completions carry in full, and the request that OpenAI's own types call right for each."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from openai.types.chat import ChatCompletionContentPartParam
from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming

from services.router.domain.generation import (
    Audio,
    Document,
    Effort,
    Generation,
    Image,
    JsonSchemaFormat,
    Message,
    Part,
    ReasoningRequest,
    Role,
    ServiceTier,
    Text,
    ToolCall,
    ToolResult,
)
from tests.contract.dialects.calls import CALLS, MODEL, PIXEL, PIXEL_URL, WEATHER, WEATHER_PARAM, Call, said

WAV, PDF = b"RIFF\x24\x00\x00\x00WAVEfmt ", b"%PDF-1.4 a page"
WAV_TEXT, PDF_URL = base64.b64encode(WAV).decode(), "data:application/pdf;base64," + base64.b64encode(PDF).decode()

# What a caller of strict mode writes by hand for what `OPTIONAL_SCHEMA_JSON` says loosely.
OPTIONAL_SCHEMA_JSON = (
    '{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","properties":{'
    '"city":{"type":"string","minLength":1},"days":{"type":"integer","minimum":1},'
    '"mood":{"enum":["good","bad"],"type":"string"},"pace":{"type":"string","default":"slow"}},"required":["city"]}'
)
STRICT_SCHEMA: dict[str, object] = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "description": "(minLength: 1)"},
        "days": {"type": ["integer", "null"], "minimum": 1},
        "mood": {"enum": ["good", "bad", None], "type": ["string", "null"]},
        "pace": {"type": "string", "description": '(default: "slow")'},
    },
    "required": ["city", "days", "mood", "pace"],
    "additionalProperties": False,
}


def _asking(params: Mapping[str, Any], **fields: Any) -> Call:
    """A call that says hello with these fields, and the SDK's."""
    all_params: Any = {"model": MODEL, "messages": [{"role": "user", "content": "Hello"}], **params}
    return Call(generation=replace(Generation(messages=(said("Hello"),)), **fields), params=all_params)


def _showing(*parts: Part, content: list[ChatCompletionContentPartParam]) -> Call:
    params: CompletionCreateParamsNonStreaming = {"model": MODEL, "messages": [{"role": "user", "content": content}]}
    return Call(generation=Generation(messages=(Message(Role.USER, parts),)), params=params)


def _effort(effort: Effort, word: str) -> Call:
    return _asking({"reasoning_effort": word}, reasoning=ReasoningRequest(effort=effort))


def _tier(tier: ServiceTier, word: str) -> Call:
    return _asking({"service_tier": word}, service_tier=tier)


CHAT_CALLS: Mapping[str, Call] = MappingProxyType(
    {
        **CALLS,
        "sound": _showing(
            Text("What is said?"),
            Audio(data=WAV, media_type="audio/wav"),
            Audio(data=WAV, media_type="audio/mpeg"),
            content=[
                {"type": "text", "text": "What is said?"},
                {"type": "input_audio", "input_audio": {"data": WAV_TEXT, "format": "wav"}},
                {"type": "input_audio", "input_audio": {"data": WAV_TEXT, "format": "mp3"}},
            ],
        ),
        "penalties": _asking(
            {"frequency_penalty": 0.5, "presence_penalty": -2.0}, frequency_penalty=0.5, presence_penalty=-2.0
        ),
        "thoughts that are shown": Call(
            generation=Generation(messages=(said("Why? [[sandbox reasoning=6 show_reasoning]]"),)),
            params={
                "model": MODEL,
                "messages": [{"role": "user", "content": "Why? [[sandbox reasoning=6 show_reasoning]]"}],
            },
        ),
        "media in results of tools": Call(
            generation=Generation(
                messages=(
                    said("Weather?"),
                    Message(
                        Role.ASSISTANT, (ToolCall(id="call_1", name="get_weather", arguments_json='{"city":"Oslo"}'),)
                    ),
                    Message(
                        Role.TOOL,
                        (
                            ToolResult(
                                tool_call_id="call_1",
                                name="get_weather",
                                parts=(Text("a map:"), Image(data=PIXEL, media_type="image/png"), Text("of Oslo")),
                            ),
                        ),
                    ),
                ),
                tools=(WEATHER,),
            ),
            params={
                "model": MODEL,
                "messages": [
                    {"role": "user", "content": "Weather?"},
                    {
                        "role": "assistant",
                        "content": None,
                        "tool_calls": [
                            {
                                "id": "call_1",
                                "type": "function",
                                "function": {"name": "get_weather", "arguments": '{"city":"Oslo"}'},
                            }
                        ],
                    },
                    {"role": "tool", "tool_call_id": "call_1", "content": "a map:\nof Oslo"},
                    {
                        "role": "user",
                        "content": [
                            {"type": "text", "text": "Image from the result of tool get_weather (call call_1):"},
                            {"type": "image_url", "image_url": {"url": PIXEL_URL}},
                        ],
                    },
                ],
                "tools": [WEATHER_PARAM],
            },
        ),
    }
)
"""What all dialects of the format carry."""

OPENAI_CALLS: Mapping[str, Call] = MappingProxyType(
    {
        "documents": _showing(
            Text("Sum up."),
            Document(data=PDF, media_type="application/pdf", name="report.pdf"),
            Document(data=PDF, media_type="application/pdf", name="Annual report"),
            Document(data=PDF, media_type="application/pdf"),
            Document(data="Once é.".encode(), media_type="text/plain", name="tale.txt"),
            content=[
                {"type": "text", "text": "Sum up."},
                {"type": "file", "file": {"filename": "report.pdf", "file_data": PDF_URL}},
                {"type": "file", "file": {"filename": "Annual report.pdf", "file_data": PDF_URL}},
                {"type": "file", "file": {"filename": "document.pdf", "file_data": PDF_URL}},
                {"type": "text", "text": "tale.txt:\nOnce é."},
            ],
        ),
        "a strict schema, written loosely": _asking(
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "trip", "schema": STRICT_SCHEMA, "strict": True},
                }
            },
            response_format=JsonSchemaFormat(
                name="trip", description="", schema_json=OPTIONAL_SCHEMA_JSON, strict=True
            ),
        ),
        "no reasoning": _effort(Effort.NONE, "none"),
        "a little reasoning": _effort(Effort.LOW, "low"),
        "some reasoning": _effort(Effort.MEDIUM, "medium"),
        "much reasoning": _effort(Effort.HIGH, "high"),
        # Of a model that no table knows the words beyond are not.
        "all the reasoning there is": _effort(Effort.MAX, "high"),
        "a budget of reasoning": _asking(
            {"reasoning_effort": "medium"}, reasoning=ReasoningRequest(budget_tokens=4096)
        ),
        "tier auto": _tier(ServiceTier.AUTO, "auto"),
        "tier standard": _tier(ServiceTier.STANDARD, "default"),
        "tier flex": _tier(ServiceTier.FLEX, "flex"),
        "tier priority": _tier(ServiceTier.PRIORITY, "priority"),
        "a key of the cache": _asking({"prompt_cache_key": "chat-7"}, prompt_cache_key="chat-7"),
    }
)
"""What only OpenAI itself, and Azure in its newest version, carry."""

END_USERS: Mapping[str, Call] = MappingProxyType(
    {name: _asking({name: "u-7f3a"}, end_user="u-7f3a") for name in ("safety_identifier", "user")}
)
"""An end user, by the name of the field."""
