"""A call as the body of `POST …/chat/completions`."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from services.router.domain.generation import (
    Generation,
    Image,
    JsonSchemaFormat,
    Message,
    NamedTool,
    ResponseFormat,
    Role,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from services.router.providers.base import Options

_Json = dict[str, Any]

_ROLES = {Role.SYSTEM: "system", Role.USER: "user", Role.ASSISTANT: "assistant", Role.TOOL: "tool"}
_NO_PARAMETERS = orjson.Fragment(b'{"type":"object","properties":{}}')


@dataclass(frozen=True, slots=True, kw_only=True)
class Quirks:
    """Where a server's Chat Completions differ from OpenAI's own.

    `stream_usage`: whether it knows `stream_options`; some refuse what they do not know.
    """

    output_limit_field: str = "max_completion_tokens"
    stream_usage: bool = True

    def of(self, options: Options) -> Quirks:
        """With a provider's own options where it has some."""
        field, usage = options.get("output_limit_field"), options.get("stream_usage")
        return Quirks(
            output_limit_field=field if isinstance(field, str) else self.output_limit_field,
            stream_usage=usage if isinstance(usage, bool) else self.stream_usage,
        )


def encode_request(
    request: Generation, quirks: Quirks, *, provider_model_id: str, output_limit: int | None, stream: bool
) -> bytes:
    """The body of `POST …/chat/completions`."""
    body: _Json = {
        "model": provider_model_id,
        "messages": [encoded for each in request.messages for encoded in _messages(each)],
    }
    if stream:
        body["stream"] = True
        if quirks.stream_usage:
            # Without this a stream never says what it used.
            body["stream_options"] = {"include_usage": True}
    if output_limit is not None:
        body[quirks.output_limit_field] = output_limit
    if request.temperature is not None:
        body["temperature"] = request.temperature
    if request.top_p is not None:
        body["top_p"] = request.top_p
    if request.stop:
        body["stop"] = list(request.stop)
    if request.seed is not None:
        body["seed"] = request.seed
    if request.tools:
        body["tools"] = [_tool(each) for each in request.tools]
        if request.tool_choice is not None:
            body["tool_choice"] = _tool_choice(request.tool_choice)
        if request.parallel_tool_calls is not None:
            body["parallel_tool_calls"] = request.parallel_tool_calls
    if request.response_format is not None:
        body["response_format"] = _response_format(request.response_format)
    return orjson.dumps(body)


def _messages(message: Message) -> Iterator[_Json]:
    """One message, but for tool results: the format takes each in a message of its own."""
    if message.role is not Role.TOOL:
        yield _message(message)
        return
    for part in message.parts:
        if isinstance(part, ToolResult):
            yield {"role": "tool", "tool_call_id": part.tool_call_id, "content": _tool_result(part)}


def _message(message: Message) -> _Json:
    parts = message.parts
    first = parts[0]
    if len(parts) == 1 and isinstance(first, Text):
        return {"role": _ROLES[message.role], "content": first.text}
    if message.role is Role.ASSISTANT:
        calls = [_tool_call(part) for part in parts if isinstance(part, ToolCall)]
        text = "".join(part.text for part in parts if isinstance(part, Text))
        encoded: _Json = {"role": "assistant", "content": text or None}
        if calls:
            encoded["tool_calls"] = calls
        return encoded
    return {
        "role": _ROLES[message.role],
        "content": [_content(part) for part in parts if isinstance(part, Text | Image)],
    }


def _tool_result(result: ToolResult) -> str:
    # The format has no field for it; models are told in words.
    return f"Error: {result.text}" if result.is_error else result.text


def _tool_call(call: ToolCall) -> _Json:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments_json}}


def _content(part: Text | Image) -> _Json:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    url = part.url or f"data:{part.media_type};base64,{base64.b64encode(part.data or b'').decode()}"
    return {"type": "image_url", "image_url": {"url": url}}


def _tool(tool: Tool) -> _Json:
    function: _Json = {"name": tool.name}
    if tool.description:
        function["description"] = tool.description
    # The schema was checked when the call came in; it goes on as the caller wrote it.
    function["parameters"] = orjson.Fragment(tool.parameters_json) if tool.parameters_json else _NO_PARAMETERS
    return {"type": "function", "function": function}


def _tool_choice(choice: ToolChoice) -> str | _Json:
    if isinstance(choice, NamedTool):
        return {"type": "function", "function": {"name": choice.name}}
    return choice.value


def _response_format(wanted: ResponseFormat) -> _Json:
    if not isinstance(wanted, JsonSchemaFormat):
        return {"type": "json_object"}
    schema: _Json = {"name": wanted.name, "schema": orjson.Fragment(wanted.schema_json), "strict": wanted.strict}
    if wanted.description:
        schema["description"] = wanted.description
    return {"type": "json_schema", "json_schema": schema}
