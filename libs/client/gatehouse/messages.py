"""Short ways to write a conversation: `[system("Be brief."), user("What is this?", image("cat.png"))]`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from os import PathLike
from pathlib import Path

from gatehouse.router.v1.message_pb2 import (
    ROLE_ASSISTANT,
    ROLE_SYSTEM,
    ROLE_TOOL,
    ROLE_USER,
    Image,
    JsonSchemaFormat,
    Message,
    Part,
    ResponseFormat,
    Role,
    Tool,
    ToolCall,
    ToolResult,
)

_SIGNATURES = (
    ("image/png", b"\x89PNG\r\n\x1a\n"),
    ("image/jpeg", b"\xff\xd8\xff"),
    ("image/gif", b"GIF8"),
)


def system(text: str) -> Message:
    """Instructions that stand above the conversation."""
    return _message(ROLE_SYSTEM, text)


def user(*parts: str | Part) -> Message:
    """What the person or program asks: texts and images, in order."""
    return _message(ROLE_USER, *parts)


def assistant(*parts: str | Part) -> Message:
    """What the model said earlier; an answer's `message` can be used as it is instead."""
    return _message(ROLE_ASSISTANT, *parts)


def tool_result(call: ToolCall | str, content: object, *, is_error: bool = False) -> Message:
    """What a tool answered to `call` (or to the call with this id). Anything but a text is sent as JSON."""
    call_id = call if isinstance(call, str) else call.id
    text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
    return _message(ROLE_TOOL, Part(tool_result=ToolResult(tool_call_id=call_id, content=text, is_error=is_error)))


def tool(name: str, description: str = "", parameters: Mapping[str, object] | str | None = None) -> Tool:
    """A tool the model may call. `parameters` is the JSON Schema of its arguments, None when it takes none."""
    return Tool(name=name, description=description, parameters_schema_json=_schema(parameters))


def json_schema(
    name: str, schema: Mapping[str, object] | str, *, description: str = "", strict: bool = True
) -> ResponseFormat:
    """An answer in the shape of `schema`; `strict` asks the provider to hold the model to it."""
    return ResponseFormat(
        json_schema=JsonSchemaFormat(name=name, description=description, schema_json=_schema(schema), strict=strict)
    )


def image(source: str | PathLike[str] | bytes, *, media_type: str = "") -> Part:
    """An image by its https URL (the provider fetches it), its file or its bytes.

    `media_type` is recognised for PNG, JPEG, GIF and WebP. Raises OSError when the file cannot be read, ValueError
    when the type must be said.
    """
    if isinstance(source, str) and source.lower().startswith(("https://", "http://")):
        return Part(image=Image(url=source, media_type=media_type))
    data = source if isinstance(source, bytes) else Path(source).read_bytes()
    return Part(image=Image(data=data, media_type=media_type or _media_type(data)))


def _media_type(data: bytes) -> str:
    for media_type, signature in _SIGNATURES:
        if data.startswith(signature):
            return media_type
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    raise ValueError("not a PNG, JPEG, GIF or WebP image: say its media_type")


def _message(role: Role.ValueType, *parts: str | Part) -> Message:
    return Message(role=role, parts=[Part(text=part) if isinstance(part, str) else part for part in parts])


def _schema(schema: Mapping[str, object] | str | None) -> str:
    if schema is None or isinstance(schema, str):
        return schema or ""
    return json.dumps(schema, ensure_ascii=False)
