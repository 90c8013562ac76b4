"""Calls, each with what Google's own types call right for it."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from google.genai import types

from services.router.domain.generation import (
    Audio,
    Document,
    Effort,
    Generation,
    Image,
    JsonFormat,
    JsonSchemaFormat,
    Message,
    NamedTool,
    Part,
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

MODEL, BUDGET, PRO, THIRD = "sandbox-small", "gemini-2.5-flash", "gemini-2.5-pro", "gemini-3-flash-preview"
LIMIT = 9000

PNG, PDF, MP3 = b"\x89PNG\r\n\x1a\n" + bytes(range(256)), b"%PDF-1.7 \x00\xff", b"ID3\x03\x00\xff"
# Base64 that is the same with either of its alphabets: the SDK writes the one for URLs.
SIGNATURE, OTHER_SIGNATURE = "QUJDREVG", "MTIzNDU2"
# Google's word for a call that its model did not make; it is base64 for URLs as it stands.
UNSIGNED = b64decode("skip_thought_signature_validator", altchars=b"-_")

TRIP: dict[str, Any] = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "description": "Where to"},
        "days": {"type": "integer", "minimum": 1, "maximum": 9},
        "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 3},
        "back": {"anyOf": [{"$ref": "#/$defs/Way"}, {"type": "null"}]},
    },
    "required": ["city", "days"],
    "additionalProperties": False,
    "$defs": {"Way": {"type": "object", "properties": {"by": {"type": "string", "enum": ["train", "ship"]}}}},
}
TRIP_JSON = (
    '{"type":"object","properties":{"city":{"type":"string","description":"Where to"},"days":{"type":"integer",'
    '"minimum":1,"maximum":9},"tags":{"type":"array","items":{"type":"string"},"maxItems":3},"back":{"anyOf":'
    '[{"$ref":"#/$defs/Way"},{"type":"null"}]}},"required":["city","days"],"additionalProperties":false,"$defs":'
    '{"Way":{"type":"object","properties":{"by":{"type":"string","enum":["train","ship"]}}}}}'
)
WEATHER = Tool(name="get_weather", description="The weather of a city", parameters_json=TRIP_JSON)
CLOCK = Tool(name="get_time", description="", parameters_json="")
FUNCTIONS = types.Tool(
    function_declarations=[
        types.FunctionDeclaration(name="get_weather", description="The weather of a city", parameters_json_schema=TRIP),
        types.FunctionDeclaration(name="get_time"),
    ]
)


def said(*parts: Part | str, role: Role = Role.USER) -> Message:
    return Message(role, tuple(Text(part) if isinstance(part, str) else part for part in parts))


def turn(role: str, *parts: types.Part | str) -> types.Content:
    return types.Content(role=role, parts=[types.Part(text=part) if isinstance(part, str) else part for part in parts])


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """`contents` and `config` are the SDK's own types; the limit on output goes into `config` for every call."""

    generation: Generation
    contents: list[types.Content]
    config: types.GenerateContentConfig = field(default_factory=types.GenerateContentConfig)
    model: str = MODEL


def asked(config: types.GenerateContentConfig | None = None, model: str = MODEL, **fields: Any) -> Call:
    """A call with one question and something to be said about it."""
    return Call(
        generation=Generation(messages=(said("Weather in Oslo? Answer in JSON."),), **fields),
        contents=[turn("user", "Weather in Oslo? Answer in JSON.")],
        config=config or types.GenerateContentConfig(),
        model=model,
    )


def calling(mode: str, *names: str) -> types.GenerateContentConfig:
    return types.GenerateContentConfig(
        tools=[FUNCTIONS],
        tool_config=types.ToolConfig(
            function_calling_config=types.FunctionCallingConfig(
                mode=types.FunctionCallingConfigMode(mode), allowed_function_names=list(names) or None
            )
        ),
    )


def thinking(**fields: Any) -> types.GenerateContentConfig:
    return types.GenerateContentConfig(thinking_config=types.ThinkingConfig(**fields))


def blob(data: bytes, media_type: str) -> types.Part:
    return types.Part(inline_data=types.Blob(data=data, mime_type=media_type))


def called(call_id: str, name: str, signature: bytes | None = None, **arguments: object) -> types.Part:
    return types.Part(
        function_call=types.FunctionCall(id=call_id, name=name, args=arguments), thought_signature=signature
    )


def answered(
    call_id: str, name: str, response: dict[str, Any], parts: list[types.FunctionResponsePart] | None = None
) -> types.Part:
    return types.Part(function_response=types.FunctionResponse(id=call_id, name=name, response=response, parts=parts))


def _tool_turns(model: str, *, signed: bool, media_inside: bool) -> Call:
    """Two calls in one turn: of one the answer is an object, of the other an error; the third gives a picture."""
    mark = SIGNATURE.encode() if signed else None
    first_mark = b64decode(SIGNATURE) if signed else UNSIGNED if model == THIRD else None
    picture = [types.FunctionResponsePart(inline_data=types.FunctionResponseBlob(data=PNG, mime_type="image/png"))]
    followers: list[types.Part | str] = (
        [] if media_inside else ["From the tool get_map (call call_3):", blob(PNG, "image/png")]
    )
    return Call(
        generation=Generation(
            messages=(
                said("Weather in Oslo?"),
                said(
                    "Let me look.",
                    ToolCall(
                        id="call_1",
                        name="get_weather",
                        arguments_json='{"city":"Oslo","days":1}',
                        signature=Signature(mark) if mark else None,
                    ),
                    ToolCall(id="call_2", name="get_time", arguments_json="{}"),
                    ToolCall(id="call_3", name="get_map", arguments_json='{"zoom":2.5}'),
                    role=Role.ASSISTANT,
                ),
                said(
                    ToolResult(tool_call_id="call_1", name="get_weather", parts=(Text('{"sky":"clear"}'),)),
                    ToolResult(tool_call_id="call_2", name="get_time", parts=(Text("no clock"),), is_error=True),
                    role=Role.TOOL,
                ),
                said(
                    ToolResult(
                        tool_call_id="call_3",
                        name="get_map",
                        parts=(Text("A map:"), Image(data=PNG, media_type="image/png")),
                    ),
                    role=Role.TOOL,
                ),
                said("And tomorrow?"),
            ),
            tools=(WEATHER, CLOCK),
        ),
        contents=[
            turn("user", "Weather in Oslo?"),
            turn(
                "model",
                "Let me look.",
                called("call_1", "get_weather", first_mark, city="Oslo", days=1),
                called("call_2", "get_time"),
                called("call_3", "get_map", zoom=2.5),
            ),
            turn(
                "user",
                answered("call_1", "get_weather", {"sky": "clear"}),
                answered("call_2", "get_time", {"error": "no clock"}),
                answered("call_3", "get_map", {"output": "A map:"}, picture if media_inside else None),
            ),
            # Newer models refuse other parts beside responses.
            turn("user", *followers, "And tomorrow?"),
        ],
        config=types.GenerateContentConfig(tools=[FUNCTIONS]),
        model=model,
    )


CALLS: Mapping[str, Call] = MappingProxyType(
    {
        "text": Call(
            generation=Generation(messages=(said("Why is the sky blue? «é€😀»"),)),
            contents=[turn("user", "Why is the sky blue? «é€😀»")],
        ),
        "several turns, instructions": Call(
            generation=Generation(
                messages=(
                    said("Be brief.", role=Role.SYSTEM),
                    said("Hello"),
                    said("Hi.", role=Role.ASSISTANT),
                    said("And ", "now?"),
                    said("Well?"),
                )
            ),
            contents=[turn("user", "Hello"), turn("model", "Hi."), turn("user", "And ", "now?", "Well?")],
            config=types.GenerateContentConfig(system_instruction=types.Content(parts=[types.Part(text="Be brief.")])),
        ),
        "sampling": asked(
            types.GenerateContentConfig(
                temperature=0.25,
                top_p=0.9,
                top_k=7,
                seed=-7,
                stop_sequences=["END", "\n\n"],
                presence_penalty=0.5,
                frequency_penalty=-0.5,
            ),
            temperature=0.25,
            top_p=0.9,
            top_k=7,
            seed=-7,
            stop=("END", "\n\n"),
            presence_penalty=0.5,
            frequency_penalty=-0.5,
        ),
        "zeros are said": asked(
            types.GenerateContentConfig(temperature=0.0, top_p=0.0, seed=0), temperature=0.0, top_p=0.0, seed=0
        ),
        "tools on offer": asked(types.GenerateContentConfig(tools=[FUNCTIONS]), tools=(WEATHER, CLOCK)),
        "tool choice auto": asked(calling("AUTO"), tools=(WEATHER, CLOCK), tool_choice=ToolChoiceMode.AUTO),
        "tool choice required": asked(calling("ANY"), tools=(WEATHER, CLOCK), tool_choice=ToolChoiceMode.REQUIRED),
        "tool choice none": asked(calling("NONE"), tools=(WEATHER, CLOCK), tool_choice=ToolChoiceMode.NONE),
        "tool choice by name": asked(
            calling("ANY", "get_time"), tools=(WEATHER, CLOCK), tool_choice=NamedTool("get_time")
        ),
        "tools, another provider's calls": _tool_turns(MODEL, signed=False, media_inside=False),
        "tools, signed calls": _tool_turns(MODEL, signed=True, media_inside=False),
        "tools, another provider's calls, third generation": _tool_turns(THIRD, signed=False, media_inside=True),
        "tools, signed calls, third generation": _tool_turns(THIRD, signed=True, media_inside=True),
        "any JSON": asked(
            types.GenerateContentConfig(response_mime_type="application/json"), response_format=JsonFormat()
        ),
        "JSON by a schema": asked(
            types.GenerateContentConfig(
                response_mime_type="application/json", response_json_schema={**TRIP, "description": "A short trip"}
            ),
            response_format=JsonSchemaFormat(
                name="trip", description="A short trip", schema_json=TRIP_JSON, strict=True
            ),
        ),
        "media by bytes and by URL": Call(
            generation=Generation(
                messages=(
                    said(
                        "What is this?",
                        Image(data=PNG, media_type="image/png"),
                        Audio(data=MP3, media_type="audio/mpeg"),
                        Document(data=PDF, media_type="application/pdf", name="plan.pdf"),
                        Image(url="https://example.com/cat.JPG?size=1"),
                        Document(url="https://example.com/plan", media_type="application/pdf"),
                    ),
                )
            ),
            contents=[
                turn(
                    "user",
                    "What is this?",
                    blob(PNG, "image/png"),
                    blob(MP3, "audio/mp3"),
                    "Document: plan.pdf",
                    blob(PDF, "application/pdf"),
                    types.Part.from_uri(file_uri="https://example.com/cat.JPG?size=1", mime_type="image/jpeg"),
                    types.Part.from_uri(file_uri="https://example.com/plan", mime_type="application/pdf"),
                )
            ],
        ),
        "thoughts and signatures sent back": Call(
            generation=Generation(
                messages=(
                    said("Hello"),
                    said(
                        Reasoning("Hm.", Signature(SIGNATURE.encode())),
                        "So it is. Indeed.",
                        Reasoning("", Signature(b"8:" + OTHER_SIGNATURE.encode())),
                        Reasoning("unsigned"),
                        role=Role.ASSISTANT,
                    ),
                    said("And?"),
                )
            ),
            contents=[
                turn("user", "Hello"),
                turn(
                    "model",
                    types.Part(text="Hm.", thought=True, thought_signature=b64decode(SIGNATURE)),
                    "So it is.",
                    types.Part(text=" Indeed.", thought_signature=b64decode(OTHER_SIGNATURE)),
                ),
                turn("user", "And?"),
            ],
        ),
        "budget by effort": asked(
            thinking(thinking_budget=1024, include_thoughts=True),
            model=BUDGET,
            reasoning=ReasoningRequest(effort=Effort.LOW),
        ),
        "budget by tokens, hidden": asked(
            thinking(thinking_budget=3000), model=BUDGET, reasoning=ReasoningRequest(budget_tokens=3000, hide=True)
        ),
        "no thinking": asked(thinking(thinking_budget=0), model=BUDGET, reasoning=ReasoningRequest(effort=Effort.NONE)),
        "as little thinking as a model allows": asked(
            thinking(thinking_budget=128), model=PRO, reasoning=ReasoningRequest(effort=Effort.NONE)
        ),
        "as much thinking as a quarter of the limit leaves": asked(
            thinking(thinking_budget=LIMIT * 3 // 4, include_thoughts=True),
            model=PRO,
            reasoning=ReasoningRequest(effort=Effort.MAX),
        ),
        "level by effort": asked(
            thinking(thinking_level=types.ThinkingLevel.MEDIUM, include_thoughts=True),
            model=THIRD,
            reasoning=ReasoningRequest(effort=Effort.MEDIUM),
        ),
        "level by tokens, hidden": asked(
            thinking(thinking_level=types.ThinkingLevel.HIGH),
            model=THIRD,
            reasoning=ReasoningRequest(budget_tokens=20_000, hide=True),
        ),
        "the lowest level": asked(
            thinking(thinking_level=types.ThinkingLevel.MINIMAL),
            model=THIRD,
            reasoning=ReasoningRequest(effort=Effort.NONE),
        ),
        "service tier": asked(
            types.GenerateContentConfig(service_tier=types.ServiceTier.FLEX), service_tier=ServiceTier.FLEX
        ),
        "the best service there is": asked(service_tier=ServiceTier.AUTO),
    }
)

ANSWERS = (
    "text", "several turns, instructions", "tool choice required", "tool choice none", "JSON by a schema",
    "media by bytes and by URL",
)  # fmt: skip
"""Those that the sandbox answers: the others hold what it did not say."""

PNG_TEXT = b64encode(PNG).decode()
