"""Reads the bodies of Ollama's `/api/chat` and `/api/embed`, strictly: what Ollama would pass over is refused too."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Collection, Mapping
from hashlib import blake2b
from typing import Any

import orjson

from libs.sandbox.dialect import EmbeddingQuestion, Question, Refusal, Tool
from libs.sandbox.prompt import Prompt
from libs.sandbox.tokens import count_tokens
from libs.sandbox.vectors import MAX_DIMENSIONS, MIN_DIMENSIONS

CONTEXT = 32_768
"""What models are loaded with when a request does not say."""

TOO_LONG = "the input length exceeds the context length"

_ROLES = frozenset({"system", "user", "assistant", "tool"})
_COMMON = frozenset({"model", "options", "keep_alive", "truncate"})
_CHAT = _COMMON | {"messages", "stream", "format", "tools", "think", "shift", "logprobs", "top_logprobs"}
_EMBED = _COMMON | {"input", "dimensions"}
_MESSAGE = frozenset({"role", "content", "thinking", "images", "tool_calls", "tool_name", "tool_call_id"})
_DURATION = re.compile(r"-?(\d+(\.\d+)?(ns|us|ms|s|m|h))+|0")
_THOUGHTS: Mapping[object, int] = {True: 12, False: 0, "low": 6, "medium": 12, "high": 24, "max": 24}
_ANY_JSON = b'{"type":"object","properties":{"answer":{"type":"string"}},"required":["answer"]}'
_ANY_OBJECT = b'{"type":"object"}'
_INTEGERS = frozenset(
    {"num_ctx", "num_batch", "num_gpu", "main_gpu", "num_thread", "num_keep", "seed", "num_predict", "top_k"}
    | {"repeat_last_n", "mirostat"}
)
_FLOATS = frozenset(
    {"top_p", "min_p", "tfs_z", "typical_p", "temperature", "repeat_penalty", "presence_penalty", "frequency_penalty"}
    | {"mirostat_tau", "mirostat_eta"}
)
_FLAGS = frozenset({"numa", "low_vram", "use_mmap", "use_mlock", "penalize_newline"})

Json = dict[str, Any]


def read_question(body: bytes) -> Question:
    """The question in `body`; one without messages only loads the model, and has no prompt. Raises Refusal (400)."""
    request = _object(body, "ChatRequest", _CHAT)
    options = _options(request)
    messages = request.get("messages", [])
    if not isinstance(messages, list):
        raise _mistyped("ChatRequest.messages", "[]api.Message")
    prompt = _Conversation(messages).prompt
    tools = _tools(request.get("tools"))
    for tool in tools:
        prompt.text(tool.name + tool.parameters.decode())
    think = request.get("think")
    if think is not None and (not isinstance(think, bool | str) or think not in _THOUGHTS):
        raise Refusal(400, f'invalid think value: "{think}" (must be "high", "medium", "low", true, or false)')
    limit = options.get("num_predict")
    # Everything but the way of delivery: streamed or whole, the same question has the same answer.
    content = {key: value for key, value in request.items() if key not in {"stream", "keep_alive"}}
    return Question(
        model=request["model"],
        digest=blake2b(orjson.dumps(content, option=orjson.OPT_SORT_KEYS), digest_size=16).digest(),
        prompt_tokens=_fitted(prompt.tokens, options, request) if messages else 0,
        user_text=prompt.user_text,
        stream=_flag(request, "stream", default=True),
        include_usage=True,
        images=prompt.images,
        tool_result=prompt.tool_result,
        tools=tools,
        output_schema=_format(request.get("format")),
        max_tokens=limit if limit is not None and limit > 0 else None,
        stop=tuple(options.get("stop") or ()),
        reasoning_tokens=None if think is None else _THOUGHTS[think],
        show_reasoning=think is not False,
    )


def read_embedding(body: bytes) -> EmbeddingQuestion:
    """The texts in `body`. Raises Refusal (400)."""
    request = _object(body, "EmbedRequest", _EMBED)
    options = _options(request)
    inputs = request.get("input")
    if isinstance(inputs, str):
        inputs = [inputs]
    if not isinstance(inputs, list) or not all(isinstance(text, str) for text in inputs):
        raise Refusal(400, "invalid input type")
    dimensions = request.get("dimensions")
    if dimensions is not None and (isinstance(dimensions, bool) or not isinstance(dimensions, int)):
        raise _mistyped("EmbedRequest.dimensions", "int")
    if dimensions is not None and not MIN_DIMENSIONS <= dimensions <= MAX_DIMENSIONS:
        raise Refusal(400, f"dimensions must be from {MIN_DIMENSIONS} to {MAX_DIMENSIONS}")
    return EmbeddingQuestion(
        model=request["model"],
        inputs=tuple(inputs),
        prompt_tokens=sum(_fitted(count_tokens(text), options, request) for text in inputs),
        dimensions=dimensions,
    )


class _Conversation:
    """The messages, checked and counted."""

    def __init__(self, messages: list[object]) -> None:
        self.prompt = Prompt()
        self._waiting: list[str] = []
        for message in messages:
            self._read(message)

    def _read(self, message: object) -> None:
        fields = _checked(message, "Message", _MESSAGE)
        role = fields.get("role")
        if role not in _ROLES:
            raise Refusal(400, f"invalid role: {str(role)[:40]}, role must be one of {sorted(_ROLES)}")
        content = fields.get("content")
        if content is not None and not isinstance(content, str):
            raise _mistyped("ChatRequest.messages.content", "string")
        text = content or ""
        self.prompt.message()
        self.prompt.text(text)
        for image in _list(fields, "images"):
            _check_image(image)
            self.prompt.image()
        for call in _list(fields, "tool_calls"):
            self._call(call)
        if role == "user":
            self.prompt.said(text)
        elif role == "tool":
            name = fields.get("tool_name")
            # Ollama takes anything here; a gateway that sends the wrong name mixes up the results.
            if name not in self._waiting:
                raise Refusal(400, f"no call of the tool {str(name)[:64]!r} waits for a result")
            self._waiting.remove(name)
            self.prompt.answered(text)

    def _call(self, call: object) -> None:
        function = _checked(call, "ToolCall", {"id", "function"}).get("function")
        fields = _checked(function, "ToolCallFunction", {"index", "name", "arguments"})
        name, arguments = fields.get("name"), fields.get("arguments")
        if not isinstance(name, str):
            raise _mistyped("ToolCallFunction.name", "string")
        if not isinstance(arguments, dict):
            raise _mistyped("ToolCallFunction.arguments", "api.ToolCallFunctionArguments")
        self._waiting.append(name)
        self.prompt.text(name)
        self.prompt.text(orjson.dumps(arguments).decode())


def _object(body: bytes, kind: str, known: Collection[str]) -> Json:
    if not body:
        raise Refusal(400, "missing request body")
    try:
        request = _checked(orjson.loads(body), kind, known)
        orjson.dumps(request)
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        # The second: what is nested deeper than orjson writes.
        raise Refusal(400, "invalid character in the request body") from None
    model = request.get("model")
    if not isinstance(model, str):
        raise _mistyped(f"{kind}.model", "string")
    if not model:
        raise Refusal(400, "model is required")
    keep = request.get("keep_alive")
    if isinstance(keep, str) and _DURATION.fullmatch(keep) is None:
        raise Refusal(400, f'time: invalid duration "{keep[:40]}"')
    if keep is not None and (isinstance(keep, bool) or not isinstance(keep, str | int | float)):
        raise Refusal(400, "Unsupported type for keep_alive")
    for name in ("truncate", "shift"):
        _flag(request, name, default=True)
    return request


def _options(request: Json) -> Json:
    options = request.get("options")
    if options is None:
        return {}
    if not isinstance(options, dict):
        raise _mistyped(f"options of type {type(options).__name__}", "map[string]interface {}")
    for name, value in options.items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if name in _INTEGERS:
            wanted, right = "integer", number and float(value).is_integer()
        elif name in _FLOATS:
            wanted, right = "float32", number
        elif name in _FLAGS:
            wanted, right = "boolean", isinstance(value, bool)
        elif name == "stop":
            wanted, right = "array", isinstance(value, list) and all(isinstance(each, str) for each in value)
        else:
            raise Refusal(400, f'invalid option provided: "{name[:40]}"')
        if not right:
            raise Refusal(400, f'option "{name}" must be of type {wanted}')
    return options


def _fitted(tokens: int, options: Json, request: Json) -> int:
    """What is read of a prompt of so many tokens: the rest is cut off without a word, if the request allows it."""
    context = int(options.get("num_ctx") or CONTEXT)
    if tokens > context and request.get("truncate") is False:
        raise Refusal(400, TOO_LONG)
    return min(tokens, context)


def _format(wanted: object) -> bytes | None:
    match wanted:
        case None | "":
            return None
        case "json":
            return _ANY_JSON
        case dict():
            return orjson.dumps(wanted)
        case _:
            raise Refusal(400, 'invalid format: expected "json" or a JSON schema')


def _tools(tools: object) -> tuple[Tool, ...]:
    if tools is None:
        return ()
    if not isinstance(tools, list):
        raise _mistyped("ChatRequest.tools", "api.Tools")
    return tuple(_tool(tool) for tool in tools)


def _tool(tool: object) -> Tool:
    fields = _checked(tool, "Tool", {"type", "function"})
    if fields.get("type") != "function":
        raise Refusal(400, 'the type of a tool is "function"')
    function = _checked(fields.get("function"), "ToolFunction", {"name", "description", "parameters"})
    name, parameters = function.get("name"), function.get("parameters")
    if not isinstance(name, str) or not name:
        raise _mistyped("ToolFunction.name", "string")
    if parameters is not None and (not isinstance(parameters, dict) or parameters.get("type") != "object"):
        raise _mistyped("ToolFunction.parameters", "api.ToolFunctionParameters")
    return Tool(name=name, parameters=_ANY_OBJECT if parameters is None else orjson.dumps(parameters))


def _check_image(image: object) -> None:
    if not isinstance(image, str):
        raise _mistyped("Message.images", "[]uint8")
    try:
        data = base64.b64decode(image, validate=True)
    except binascii.Error:
        raise Refusal(400, "illegal base64 data in an image") from None
    if not data:
        raise Refusal(400, "an image is empty")


def _checked(value: object, kind: str, known: Collection[str]) -> Json:
    if not isinstance(value, dict):
        raise _mistyped(kind, f"api.{kind}")
    unknown = sorted(set(value) - set(known))
    if unknown:
        raise Refusal(400, f'json: unknown field "{unknown[0][:40]}" in api.{kind}')
    return value


def _list(fields: Json, name: str) -> list[object]:
    value = fields.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise _mistyped(f"Message.{name}", "a list")
    return value


def _flag(request: Json, name: str, *, default: bool) -> bool:
    value = request.get(name)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise _mistyped(name, "bool")
    return value


def _mistyped(where: str, wanted: str) -> Refusal:
    return Refusal(400, f"json: cannot unmarshal value into Go struct field {where} of type {wanted}")
