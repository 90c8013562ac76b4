"""A call as the body of `POST …/chat/completions`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import orjson

from services.router.domain.generation import (
    Effort,
    Generation,
    JsonSchemaFormat,
    NamedTool,
    ReasoningRequest,
    ResponseFormat,
    Tool,
    ToolChoice,
    ToolChoiceMode,
)
from services.router.providers.base import Options
from services.router.providers.formats.chat_completions.messages import encode_messages
from services.router.providers.formats.chat_completions.quirks import Quirks
from services.router.providers.formats.openai_schemas import strict_schema

_Json = dict[str, Any]
_T = TypeVar("_T", str, bool)

_NO_PARAMETERS = orjson.Fragment(b'{"type":"object","properties":{}}')
_ANY_OBJECT: _Json = {"type": "json_schema", "json_schema": {"name": "object", "schema": {"type": "object"}}}


def encode_request(
    request: Generation,
    quirks: Quirks,
    *,
    provider_model_id: str,
    output_limit: int | None,
    stream: bool,
    options: Options,
) -> bytes:
    """The body. Raises ProviderError for audio of a kind that the server does not take.

    The options `output_limit_field` and `stream_usage` overrule what is known of the server.
    """
    body: _Json = {"model": provider_model_id, "messages": encode_messages(request.messages, quirks)}
    if stream:
        body["stream"] = True
        if _overruled(options, "stream_usage", quirks.stream_usage):
            # Without this a stream never says what it used.
            body["stream_options"] = {"include_usage": True}
    if output_limit is not None:
        body[_overruled(options, "output_limit_field", quirks.output_limit_field)] = output_limit
    _add_sampling(body, request, quirks)
    if request.tools:
        _add_tools(body, request, quirks)
    if request.response_format is not None:
        body["response_format"] = _response_format(request.response_format, quirks)
    reasoning = request.reasoning
    if not quirks.thinks_when_forced and forces_a_tool(request):
        # It may think by default.
        reasoning = ReasoningRequest(effort=Effort.NONE)
    if reasoning is not None:
        body.update(quirks.reasoning(reasoning, provider_model_id))
    if request.service_tier is not None and request.service_tier in quirks.tiers:
        body["service_tier"] = quirks.tiers[request.service_tier]
    if request.end_user and quirks.end_user_field:
        body[quirks.end_user_field] = request.end_user
    if request.prompt_cache_key and quirks.cache_key_field:
        body[quirks.cache_key_field] = request.prompt_cache_key
    return orjson.dumps(body)


def forces_a_tool(request: Generation) -> bool:
    """Whether the model has to call one."""
    choice = request.tool_choice
    return bool(request.tools) and (choice is ToolChoiceMode.REQUIRED or isinstance(choice, NamedTool))


def _overruled(options: Options, name: str, known: _T) -> _T:
    value = options.get(name)
    return value if isinstance(value, type(known)) else known


def _add_sampling(body: _Json, request: Generation, quirks: Quirks) -> None:
    for name, value in (
        ("temperature", request.temperature),
        ("top_p", request.top_p),
        ("top_k", request.top_k),
        (quirks.seed_field, request.seed),
        ("frequency_penalty", request.frequency_penalty),
        ("presence_penalty", request.presence_penalty),
    ):
        if value is not None:
            body[name] = value
    if request.stop:
        body["stop"] = list(request.stop)


def _add_tools(body: _Json, request: Generation, quirks: Quirks) -> None:
    choice, offered = request.tool_choice, request.tools
    if isinstance(choice, NamedTool) and not quirks.named_tool:
        offered = tuple(tool for tool in offered if tool.name == choice.name)
        choice = ToolChoiceMode.REQUIRED
    body["tools"] = _tools(offered)
    if choice is not None:
        body["tool_choice"] = _tool_choice(choice, quirks)
    if request.parallel_tool_calls is not None:
        body["parallel_tool_calls"] = request.parallel_tool_calls


def _tools(tools: Sequence[Tool]) -> list[_Json]:
    encoded: list[_Json] = []
    for tool in tools:
        function: _Json = {"name": tool.name}
        if tool.description:
            function["description"] = tool.description
        # The schema was checked when the call came in; it goes on as the caller wrote it.
        function["parameters"] = orjson.Fragment(tool.parameters_json) if tool.parameters_json else _NO_PARAMETERS
        encoded.append({"type": "function", "function": function})
    return encoded


def _tool_choice(choice: ToolChoice, quirks: Quirks) -> str | _Json:
    if isinstance(choice, NamedTool):
        return {"type": "function", "function": {"name": choice.name}}
    return quirks.required_word if choice is ToolChoiceMode.REQUIRED else choice.value


def _response_format(wanted: ResponseFormat, quirks: Quirks) -> _Json:
    if not isinstance(wanted, JsonSchemaFormat):
        return {"type": "json_object"} if quirks.json_object else _ANY_OBJECT
    cleaned = wanted.strict and quirks.strict_schemas
    schema: _Json = {
        "name": wanted.name,
        "schema": orjson.Fragment(strict_schema(wanted.schema_json) if cleaned else wanted.schema_json),
        "strict": wanted.strict,
    }
    if wanted.description:
        schema["description"] = wanted.description
    return {"type": "json_schema", "json_schema": schema}
