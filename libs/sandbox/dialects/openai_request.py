"""Reads the body of a Chat Completions request, as strictly as OpenAI does where a gateway could get it wrong."""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import blake2b

import orjson

from libs.sandbox.dialect import Question, Refusal, Tool
from libs.sandbox.dialects.openai_messages import Json, MessageReader, wrong
from libs.sandbox.dialects.openai_responses_request import check_strict
from libs.sandbox.tokens import count_tokens

_FUNCTION_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_ANY_OBJECT = b'{"type":"object"}'
_MAX_TOOLS = 128
_MAX_STOPS = 4

PARAMETERS = frozenset(
    {
        *("model", "messages", "stream", "stream_options", "max_completion_tokens", "max_tokens", "temperature"),
        *("top_p", "stop", "seed", "n", "frequency_penalty", "presence_penalty", "logit_bias", "logprobs"),
        *("top_logprobs", "tools", "tool_choice", "parallel_tool_calls", "response_format", "reasoning_effort"),
        *("service_tier", "safety_identifier", "user", "prompt_cache_key", "metadata", "store", "verbosity"),
        *("modalities", "audio", "prediction", "prompt_cache_retention", "web_search_options"),
    }
)
"""What OpenAI knows, by its SDK's types; anything else is refused."""

_TIERS = frozenset({"auto", "default", "flex", "scale", "priority", "fast"})
_TEXTS: Mapping[str, int] = {"safety_identifier": 128, "prompt_cache_key": 64, "user": 512}
_EFFORT_TOKENS: Mapping[str, int] = {
    "none": 0,
    "minimal": 2,
    "low": 4,
    "medium": 8,
    "high": 16,
    "xhigh": 24,
    "max": 32,
}
# Of the models under their real names; those named after the sandbox do all there is.
_NEVER_REASONS = re.compile(r"gpt-[34]|chatgpt-")


def read_question(body: bytes, *, model: str = "", parameters: frozenset[str] = PARAMETERS) -> Question:
    """The question in `body`. Raises Refusal (400) naming the parameter that is wrong.

    `model` is for a server that names it elsewhere, `parameters` for one that knows others.
    """
    try:
        return _question(orjson.loads(body), model, parameters)
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        # The second: what is nested deeper than orjson writes.
        raise Refusal(400, "We could not parse the JSON body of your request.") from None


def _question(request: object, path_model: str, parameters: frozenset[str]) -> Question:
    if not isinstance(request, dict):
        raise Refusal(400, "The body of your request must be a JSON object.")
    for name in request:
        if name not in parameters:
            raise Refusal(400, f"Unrecognized request argument supplied: {name[:64]}")
    model = path_model or request.get("model")
    if not isinstance(model, str) or not model:
        raise Refusal(400, "you must provide a model parameter", param="model")
    reader = MessageReader(request.get("messages"))
    prompt = reader.prompt
    tools = _tools(request.get("tools"))
    forced, allowed = _tool_choice(request.get("tool_choice"), tools)
    options = request.get("stream_options")
    stream = _flag(request, "stream", default=False)
    if options is not None and not (stream and isinstance(options, dict)):
        raise wrong("stream_options", "The 'stream_options' parameter is only allowed when 'stream' is enabled.")
    if options is not None and (unknown := options.keys() - {"include_usage", "include_obfuscation"}):
        raise wrong("stream_options", f"Unknown parameter: 'stream_options.{min(unknown)[:64]}'.")
    _numbers(request)
    _words(request)
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
        audio=prompt.audio,
        documents=prompt.documents,
        tool_result=prompt.tool_result,
        tools=tools,
        forced_tool=forced,
        tools_allowed=allowed,
        parallel_tool_calls=_flag(request, "parallel_tool_calls", default=True),
        output_schema=_output_schema(request.get("response_format"), mentions_json=reader.mentions_json),
        max_tokens=_max_tokens(request),
        stop=_stop(request.get("stop")),
        reasoning_tokens=_reasoning_tokens(request.get("reasoning_effort"), model),
    )


def _tools(tools: object) -> tuple[Tool, ...]:
    if tools is None:
        return ()
    if not isinstance(tools, list) or not 1 <= len(tools) <= _MAX_TOOLS:
        raise wrong("tools", f"Invalid 'tools': expected an array of 1 to {_MAX_TOOLS} tools.")
    return tuple(_tool(tool, f"tools[{index}]") for index, tool in enumerate(tools))


def _tool(tool: object, where: str) -> Tool:
    match tool:
        case {"type": "function", "function": {"name": str(name), **rest}}:
            if _FUNCTION_NAME.fullmatch(name) is None:
                raise wrong(
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
            raise wrong(where, f"Invalid '{where}': expected type 'function' and a function with a name.")


def _tool_tokens(tool: Tool) -> int:
    return count_tokens(tool.name) + count_tokens(tool.parameters.decode())


def _tool_choice(choice: object, tools: tuple[Tool, ...]) -> tuple[Tool | None, bool]:
    """The tool that must be called, and whether any may be."""
    if choice is None:
        return None, True
    if not tools:
        raise wrong("tool_choice", "Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are"
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
            raise wrong("tool_choice", f"Tool choice '{name[:64]}' not found in 'tools' parameter.")
        case _:
            raise wrong("tool_choice", "Invalid 'tool_choice': expected 'none', 'auto', 'required' or a function.")


def _output_schema(response_format: object, *, mentions_json: bool) -> bytes | None:
    match response_format:
        case None | {"type": "text"}:
            return None
        case {"type": "json_object"}:
            if not mentions_json:
                raise wrong(
                    "messages",
                    "'messages' must contain the word 'json' in some form, to use 'response_format' of type"
                    " 'json_object'.",
                )
            return b'{"type":"object","properties":{"answer":{"type":"string"}},"required":["answer"]}'
        case {"type": "json_schema", "json_schema": {"name": str(name), "schema": dict(schema), **rest}}:
            if _FUNCTION_NAME.fullmatch(name) is None:
                raise wrong("response_format.json_schema.name", "Invalid 'response_format.json_schema.name'.")
            if not rest.keys() <= {"strict", "description"}:
                raise wrong("response_format.json_schema", "Unknown parameter in 'response_format.json_schema'.")
            if rest.get("strict"):
                check_strict(schema, f"response_format '{name}'", "response_format")
            return orjson.dumps(schema)
        case _:
            raise wrong("response_format", "Invalid 'response_format': expected text, json_object or a json_schema"
                         " with a name and a schema.")  # fmt: skip


def _max_tokens(request: Json) -> int | None:
    for name in ("max_completion_tokens", "max_tokens"):
        value = request.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int):
            raise wrong(name, f"Invalid type for '{name}': expected an integer.", code="invalid_type")
        if value < 1:
            raise wrong(
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
            raise wrong("stop", f"Invalid 'stop': expected a string or up to {_MAX_STOPS} strings, none empty.")


_RANGES: Mapping[str, tuple[float, float]] = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "presence_penalty": (-2, 2),
    "frequency_penalty": (-2, 2),
    "n": (1, 1),
}
_SEEDS = 2**63


def _numbers(request: Json) -> None:
    for name, (least, most) in _RANGES.items():
        value = request.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise wrong(name, f"Invalid type for '{name}': expected a number.", code="invalid_type")
        if not least <= value <= most:
            raise wrong(name, f"Invalid '{name}': expected a value from {least} to {most}, but got {value} instead.")
    seed = request.get("seed")
    if seed is not None and not (isinstance(seed, int) and not isinstance(seed, bool) and -_SEEDS <= seed < _SEEDS):
        raise wrong("seed", "Invalid type for 'seed': expected an integer.", code="invalid_type")


def _words(request: Json) -> None:
    tier = request.get("service_tier")
    if tier is not None and tier not in _TIERS:
        raise wrong("service_tier", f"Invalid value: '{str(tier)[:64]}'. Supported values are: {sorted(_TIERS)}.")
    for name, longest in _TEXTS.items():
        value = request.get(name)
        if value is not None and not (isinstance(value, str) and len(value) <= longest):
            raise wrong(name, f"Invalid '{name}': expected a string of at most {longest} characters.")


def _reasoning_tokens(effort: object, model: str) -> int | None:
    if effort is None:
        return None
    if _NEVER_REASONS.match(model):
        raise Refusal(400, "Unrecognized request argument supplied: reasoning_effort")
    if not isinstance(effort, str) or effort not in _EFFORT_TOKENS:
        raise wrong(
            "reasoning_effort",
            f"Unsupported value: 'reasoning_effort' does not support '{str(effort)[:64]}' with this model.",
            code="unsupported_value",
        )
    return _EFFORT_TOKENS[effort]


def _flag(request: Json, name: str, *, default: bool) -> bool:
    value = request.get(name)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise wrong(name, f"Invalid type for '{name}': expected a boolean.", code="invalid_type")
    return value
