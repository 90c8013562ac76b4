"""Short ways to write a conversation: `[system("Be brief."), user("What is this?", image("cat.png"))]`."""

from __future__ import annotations

import json
from collections.abc import Mapping

from gatehouse.router.v1.message_pb2 import (
    ROLE_ASSISTANT,
    ROLE_SYSTEM,
    ROLE_TOOL,
    ROLE_USER,
    JsonSchemaFormat,
    Message,
    Part,
    ResponseFormat,
    Role,
    Tool,
    ToolCall,
    ToolResult,
    ToolResultPart,
)


def system(*parts: str | Part) -> Message:
    """Instructions that stand above the conversation."""
    return _message(ROLE_SYSTEM, *parts)


def user(*parts: str | Part) -> Message:
    """What the person or program asks: texts, images, sound and documents, in order (see `gatehouse.media`)."""
    return _message(ROLE_USER, *parts)


def assistant(*parts: str | Part) -> Message:
    """What the model said earlier; an answer's `message` can be used as it is instead, and keeps what it thought."""
    return _message(ROLE_ASSISTANT, *parts)


def text(text: str, *, cache: bool = False) -> Part:
    """A text that says where the provider's prompt cache may end: `cache` keeps the prompt up to here for next time.

    `user(text(long_manual, cache=True), "How do I reset it?")`. Without `cache` a plain str does as well.
    """
    return Part(text=text, cache_breakpoint=cache)


def tool_result(call: ToolCall | str, content: object, *, is_error: bool = False) -> Message:
    """What a tool answered to `call` (or to the call with this id).

    A text, a part such as `image("chart.png")`, or a list with parts among its texts. Anything else is sent as JSON.
    """
    result = ToolResult(tool_call_id=_id_of(call), is_error=is_error)
    pieces = content if isinstance(content, list | tuple) else (content,)
    if any(isinstance(piece, Part) for piece in pieces):
        result.parts.extend(map(_result_part, pieces))
    else:
        result.content = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
    return _message(ROLE_TOOL, Part(tool_result=result))


def mcp_tool_result(call: ToolCall | str, result: object) -> Message:
    """What an MCP server answered to `tools/call`: its `result` as a dict, as JSON text, or as the MCP SDK's object."""
    return _message(ROLE_TOOL, Part(tool_result=ToolResult(tool_call_id=_id_of(call), mcp_json=_mcp_json(result))))


def tool(
    name: str, description: str = "", parameters: Mapping[str, object] | str | None = None, *, cache: bool = False
) -> Tool:
    """A tool the model may call. `parameters` is the JSON Schema of its arguments, None when it takes none.

    `cache`: as for `text`; all tools up to this one.
    """
    return Tool(name=name, description=description, parameters_schema_json=_schema(parameters), cache_breakpoint=cache)


def mcp_tools(listed: object) -> list[Tool]:
    """The tools that an MCP server lists, as they are: the result of `tools/list`, its `tools`, or one of them.

    Takes dicts, JSON text and the MCP SDK's objects. Raises ValueError for what is no list of tools.
    """
    found = json.loads(_mcp_json(listed))
    if isinstance(found, dict):
        # An error, or a response that still has its JSON-RPC envelope.
        found = found.get("result", found)
        found = found["tools"] if isinstance(found, dict) and isinstance(found.get("tools"), list) else [found]
    if not isinstance(found, list) or not all(isinstance(each, dict) and "inputSchema" in each for each in found):
        raise ValueError('an MCP server lists its tools as {"tools": [{"name": …, "inputSchema": …}]}')
    return [Tool(mcp_json=json.dumps(each, ensure_ascii=False)) for each in found]


def json_schema(
    name: str, schema: Mapping[str, object] | str, *, description: str = "", strict: bool = True
) -> ResponseFormat:
    """An answer in the shape of `schema`; `strict` asks the provider to hold the model to it."""
    return ResponseFormat(
        json_schema=JsonSchemaFormat(name=name, description=description, schema_json=_schema(schema), strict=strict)
    )


def _message(role: Role.ValueType, *parts: str | Part) -> Message:
    return Message(role=role, parts=[Part(text=part) if isinstance(part, str) else part for part in parts])


def _schema(schema: Mapping[str, object] | str | None) -> str:
    if schema is None or isinstance(schema, str):
        return schema or ""
    return json.dumps(schema, ensure_ascii=False)


def _id_of(call: ToolCall | str) -> str:
    return call if isinstance(call, str) else call.id


def _result_part(piece: object) -> ToolResultPart:
    if isinstance(piece, str):
        return ToolResultPart(text=piece)
    if not isinstance(piece, Part):
        raise TypeError("a tool answers with texts and parts")
    match piece.WhichOneof("content"):
        case "text":
            return ToolResultPart(text=piece.text)
        case "image":
            return ToolResultPart(image=piece.image)
        case "audio":
            return ToolResultPart(audio=piece.audio)
        case "document":
            return ToolResultPart(document=piece.document)
        case kind:
            raise ValueError(f"a tool answers with texts, images, sound and documents, not with {kind or 'nothing'}")


def _mcp_json(value: object) -> str:
    """JSON text of what an MCP server said; the MCP SDK's objects are pydantic models."""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, default=_dumped)


def _dumped(value: object) -> object:
    dump = getattr(value, "model_dump", None)
    if dump is None:
        raise TypeError(f"{type(value).__name__} is no JSON and no object of the MCP SDK")
    return dump(mode="json", by_alias=True, exclude_none=True)
