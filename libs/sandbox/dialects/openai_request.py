"""Reads the body of a Chat Completions request, as strictly as OpenAI does where a gateway could get it wrong."""

from __future__ import annotations

import binascii
import contextlib
import re
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

import orjson

from libs.sandbox.dialect import Question, Refusal, Tool
from libs.sandbox.tokens import TOKENS_PER_IMAGE, TOKENS_PER_MESSAGE, TOKENS_PER_PROMPT, count_tokens

_ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})
_FUNCTION_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_DATA_URL = re.compile(r"data:image/[a-z0-9.+-]+;base64,")
_ANY_OBJECT = b'{"type":"object"}'
_MAX_TOOLS = 128
_MAX_STOPS = 4

Json = dict[str, Any]


def read_question(body: bytes) -> Question:
    """The question in `body`. Raises Refusal (400) naming the parameter that is wrong."""
    try:
        return _question(orjson.loads(body))
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        # The second: what is nested deeper than orjson writes.
        raise Refusal(400, "We could not parse the JSON body of your request.") from None


def _question(request: object) -> Question:
    if not isinstance(request, dict):
        raise Refusal(400, "The body of your request must be a JSON object.")
    model = request.get("model")
    if not isinstance(model, str) or not model:
        raise Refusal(400, "you must provide a model parameter", param="model")
    prompt = _Prompt(request.get("messages"))
    tools = _tools(request.get("tools"))
    forced, allowed = _tool_choice(request.get("tool_choice"), tools)
    options = request.get("stream_options")
    stream = _flag(request, "stream", default=False)
    if options is not None and not (stream and isinstance(options, dict)):
        raise _wrong("stream_options", "The 'stream_options' parameter is only allowed when 'stream' is enabled.")
    _numbers(request)
    # Everything but the way of delivery: streamed or whole, the same question has the same answer.
    content = {key: value for key, value in request.items() if key not in {"stream", "stream_options"}}
    return Question(
        model=model,
        digest=blake2b(orjson.dumps(content, option=orjson.OPT_SORT_KEYS), digest_size=16).digest(),
        prompt_tokens=prompt.tokens + sum(_tool_tokens(tool) for tool in tools),
        user_text=prompt.user_text,
        stream=stream,
        include_usage=options is not None and _flag(options, "include_usage", default=False),
        images=prompt.images,
        tool_result=prompt.tool_result,
        tools=tools,
        forced_tool=forced,
        tools_allowed=allowed,
        parallel_tool_calls=_flag(request, "parallel_tool_calls", default=True),
        output_schema=_output_schema(request.get("response_format"), prompt),
        max_tokens=_max_tokens(request),
        stop=_stop(request.get("stop")),
    )


class _Prompt:
    """The messages, checked and counted."""

    def __init__(self, messages: object) -> None:
        if not isinstance(messages, list):
            raise _wrong("messages", "Missing required parameter: 'messages'.")
        if not messages:
            raise _wrong("messages", "Invalid 'messages': empty array. Expected an array with minimum length 1.")
        self.tokens = TOKENS_PER_PROMPT
        self.user_text = ""
        self.images = 0
        self.mentions_json = False
        self.tool_result: str | None = None
        self._open_calls: set[str] = set()
        for index, message in enumerate(messages):
            self._read(message, f"messages[{index}]")
        if self._open_calls:
            raise self._unanswered()

    def _read(self, message: object, where: str) -> None:
        if not isinstance(message, dict):
            raise _wrong(where, f"Invalid type for '{where}': expected an object.")
        role = message.get("role")
        if role not in _ROLES:
            allowed = ", ".join(f"'{name}'" for name in sorted(_ROLES))
            raise _wrong(f"{where}.role", f"Invalid value for '{where}.role'. Supported values are: {allowed}.")
        calls = message.get("tool_calls") if role == "assistant" else None
        text = self._content(message.get("content"), where, optional=role == "assistant" and bool(calls))
        self.tokens += TOKENS_PER_MESSAGE + count_tokens(text)
        self.mentions_json = self.mentions_json or "json" in text.lower()
        self.tool_result = text if role == "tool" else None
        if role == "tool":
            self._close_call(message.get("tool_call_id"), where)
        elif self._open_calls:
            raise self._unanswered()
        elif role == "user":
            self.user_text = text
        if calls is not None:
            self._open(calls, where)

    def _content(self, content: object, where: str, *, optional: bool) -> str:
        if isinstance(content, str):
            return content
        if content is None and optional:
            return ""
        if not isinstance(content, list) or not content:
            raise _wrong(f"{where}.content", f"Invalid type for '{where}.content': expected a string or parts.")
        return "".join(self._part(part, f"{where}.content[{index}]") for index, part in enumerate(content))

    def _part(self, part: object, where: str) -> str:
        kind = part.get("type") if isinstance(part, dict) else None
        match part:
            case {"type": "text", "text": str(text)} | {"type": "refusal", "refusal": str(text)}:
                return text
            case {"type": "image_url", "image_url": {"url": str(url)}}:
                _check_image(url, where)
                self.images += 1
                self.tokens += TOKENS_PER_IMAGE
                return ""
            case _:
                raise _wrong(where, f"Invalid content part '{where}' of type '{str(kind)[:40]}'.")

    def _open(self, calls: object, where: str) -> None:
        if not isinstance(calls, list) or not calls:
            raise _wrong(f"{where}.tool_calls", f"Invalid '{where}.tool_calls': expected a non-empty array.")
        for index, call in enumerate(calls):
            match call:
                case {"id": str(call_id), "type": "function", "function": {"name": str(name), "arguments": str(text)}}:
                    self._open_calls.add(call_id)
                    self.tokens += count_tokens(name) + count_tokens(text)
                case _:
                    place = f"{where}.tool_calls[{index}]"
                    raise _wrong(place, f"Invalid '{place}': a call has an id, a type and a function whose arguments"
                                 " are a string.")  # fmt: skip

    def _close_call(self, call_id: object, where: str) -> None:
        if not isinstance(call_id, str) or call_id not in self._open_calls:
            raise _wrong(
                f"{where}.role",
                "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with"
                " 'tool_calls'.",
            )
        self._open_calls.discard(call_id)

    def _unanswered(self) -> Refusal:
        return _wrong(
            "messages",
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each"
            f" 'tool_call_id'. The following had no response messages: {', '.join(sorted(self._open_calls))[:200]}.",
        )


def _check_image(url: str, where: str) -> None:
    if url.startswith(("https://", "http://")):
        return
    match = _DATA_URL.match(url)
    image = b""
    if match is not None:
        with contextlib.suppress(ValueError):
            image = binascii.a2b_base64(url[match.end() :], strict_mode=True)
    if not image:
        raise Refusal(
            400,
            "Invalid image: expected an http(s) URL or a base64-encoded data URL of an image.",
            code="invalid_image_url",
            param=where,
        )


def _tools(tools: object) -> tuple[Tool, ...]:
    if tools is None:
        return ()
    if not isinstance(tools, list) or not 1 <= len(tools) <= _MAX_TOOLS:
        raise _wrong("tools", f"Invalid 'tools': expected an array of 1 to {_MAX_TOOLS} tools.")
    return tuple(_tool(tool, f"tools[{index}]") for index, tool in enumerate(tools))


def _tool(tool: object, where: str) -> Tool:
    match tool:
        case {"type": "function", "function": {"name": str(name), **rest}}:
            if _FUNCTION_NAME.fullmatch(name) is None:
                raise _wrong(
                    f"{where}.function.name", f"Invalid '{where}.function.name': expected {_FUNCTION_NAME.pattern}."
                )
            parameters = rest.get("parameters")
            if parameters is None:
                return Tool(name=name, parameters=_ANY_OBJECT)
            if not isinstance(parameters, dict) or parameters.get("type") != "object":
                raise Refusal(
                    400,
                    f"Invalid schema for function '{name}': schema must be a JSON Schema of 'type: \"object\"'.",
                    code="invalid_function_parameters",
                    param=f"{where}.function.parameters",
                )
            return Tool(name=name, parameters=orjson.dumps(parameters))
        case _:
            raise _wrong(where, f"Invalid '{where}': expected type 'function' and a function with a name.")


def _tool_tokens(tool: Tool) -> int:
    return count_tokens(tool.name) + count_tokens(tool.parameters.decode())


def _tool_choice(choice: object, tools: tuple[Tool, ...]) -> tuple[Tool | None, bool]:
    """The tool that must be called, and whether any may be."""
    if choice is None:
        return None, True
    if not tools:
        raise _wrong("tool_choice", "Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are"
                     " specified.")  # fmt: skip
    match choice:
        case "auto":
            return None, True
        case "none":
            return None, False
        case "required":
            return tools[0], True
        case {"type": "function", "function": {"name": str(name)}}:
            named = next((tool for tool in tools if tool.name == name), None)
            if named is not None:
                return named, True
            raise _wrong("tool_choice", f"Tool choice '{name[:64]}' not found in 'tools' parameter.")
        case _:
            raise _wrong("tool_choice", "Invalid 'tool_choice': expected 'none', 'auto', 'required' or a function.")


def _output_schema(response_format: object, prompt: _Prompt) -> bytes | None:
    match response_format:
        case None | {"type": "text"}:
            return None
        case {"type": "json_object"}:
            if not prompt.mentions_json:
                raise _wrong(
                    "messages",
                    "'messages' must contain the word 'json' in some form, to use 'response_format' of type"
                    " 'json_object'.",
                )
            return b'{"type":"object","properties":{"answer":{"type":"string"}},"required":["answer"]}'
        case {"type": "json_schema", "json_schema": {"name": str(name), "schema": dict(schema)}}:
            if _FUNCTION_NAME.fullmatch(name) is None:
                raise _wrong("response_format.json_schema.name", "Invalid 'response_format.json_schema.name'.")
            return orjson.dumps(schema)
        case _:
            raise _wrong("response_format", "Invalid 'response_format': expected text, json_object or a json_schema"
                         " with a name and a schema.")  # fmt: skip


def _max_tokens(request: Json) -> int | None:
    for name in ("max_completion_tokens", "max_tokens"):
        value = request.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int):
            raise _wrong(name, f"Invalid type for '{name}': expected an integer.", code="invalid_type")
        if value < 1:
            raise _wrong(
                name,
                f"Invalid '{name}': integer below minimum value. Expected a value >= 1, but got {value} instead.",
                code="integer_below_min_value",
            )
        return value
    return None


def _stop(stop: object) -> tuple[str, ...]:
    match stop:
        case None:
            return ()
        case str(text) if text:
            return (text,)
        case list(texts) if len(texts) <= _MAX_STOPS and all(isinstance(text, str) and text for text in texts):
            return tuple(texts)
        case _:
            raise _wrong("stop", f"Invalid 'stop': expected a string or up to {_MAX_STOPS} strings, none empty.")


_RANGES: Mapping[str, tuple[float, float]] = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "presence_penalty": (-2, 2),
    "frequency_penalty": (-2, 2),
    "n": (1, 1),
}


def _numbers(request: Json) -> None:
    for name, (least, most) in _RANGES.items():
        value = request.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise _wrong(name, f"Invalid type for '{name}': expected a number.", code="invalid_type")
        if not least <= value <= most:
            raise _wrong(name, f"Invalid '{name}': expected a value from {least} to {most}, but got {value} instead.")


def _flag(request: Json, name: str, *, default: bool) -> bool:
    value = request.get(name)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise _wrong(name, f"Invalid type for '{name}': expected a boolean.", code="invalid_type")
    return value


def _wrong(param: str, message: str, *, code: str | None = None) -> Refusal:
    return Refusal(400, message, code=code, param=param)
