"""Reads the body of a Responses request, as strictly as OpenAI does where a gateway could get it wrong."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import orjson

from libs.sandbox.dialect import Question, Refusal, Tool
from libs.sandbox.dialects.openai_responses_input import InputReader, Json, wrong
from libs.sandbox.prompt import Prompt

_FUNCTION_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_MAX_TOOLS = 128
_PARAMETERS = frozenset(
    {
        *("model", "input", "instructions", "store", "include", "stream", "stream_options", "max_output_tokens"),
        *("temperature", "top_p", "tools", "tool_choice", "parallel_tool_calls", "text", "reasoning", "service_tier"),
        *("safety_identifier", "prompt_cache_key", "metadata", "truncation", "user"),
    }
)
# What the SDK's types know besides, and the sandbox has not.
_STATEFUL = frozenset({"previous_response_id", "conversation", "background", "prompt", "context_management"})
_INCLUDABLE = frozenset(
    {"reasoning.encrypted_content", "message.output_text.logprobs", "web_search_call.action.sources"}
)
_TIERS = frozenset({"auto", "default", "flex", "scale", "priority", "fast"})
_STRINGS = {"instructions": 2**24, "safety_identifier": 64, "prompt_cache_key": 64, "user": 512}
_RANGES: Mapping[str, tuple[float, float]] = {"temperature": (0, 2), "top_p": (0, 1)}
_EFFORT_TOKENS: Mapping[str, int] = {
    "none": 0,
    "minimal": 2,
    "low": 4,
    "medium": 8,
    "high": 16,
    "xhigh": 24,
    "max": 32,
}
_SUMMARIES = frozenset({"auto", "concise", "detailed"})
# Of the models under their real names; those named after the sandbox do all there is.
_NEVER_REASONS = re.compile(r"gpt-[34]|chatgpt-|gpt-[\d.]+-chat")
_OPEN_KEYWORDS = frozenset(
    {"allOf", "oneOf", "not", "if", "then", "else", "dependentRequired", "dependentSchemas", "patternProperties"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponsesQuestion(Question):
    """`sealed`: whether thoughts come back with what the next call needs; `echo` is said again in the answer."""

    sealed: bool
    echo: Mapping[str, Any]


def read_question(body: bytes) -> ResponsesQuestion:
    """The question in `body`. Raises Refusal (400) naming the parameter that is wrong."""
    try:
        return _question(orjson.loads(body))
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        # The second: what is nested deeper than orjson writes.
        raise Refusal(400, "We could not parse the JSON body of your request.") from None


def _question(request: object) -> ResponsesQuestion:
    if not isinstance(request, dict):
        raise Refusal(400, "The body of your request must be a JSON object.")
    model = request.get("model")
    if not isinstance(model, str) or not model:
        raise wrong("model", "Missing required parameter: 'model'.", code="missing_required_parameter")
    _check_parameters(request)
    prompt = Prompt()
    if request.get("instructions"):
        prompt.message()
        prompt.text(request["instructions"])
    reader = InputReader(prompt)
    reader.read(request.get("input"))
    tools = _tools(request.get("tools"), prompt)
    forced, allowed = _tool_choice(request.get("tool_choice"), tools)
    reasoning = _reasoning(request.get("reasoning"), model)
    sealed = "reasoning.encrypted_content" in (request.get("include") or ())
    if sealed and _NEVER_REASONS.match(model):
        raise wrong("include", "Encrypted content is not supported with this model.")
    # Everything but the way of delivery: streamed or whole, the same question has the same answer.
    content = {key: value for key, value in request.items() if key not in {"stream", "stream_options"}}
    return ResponsesQuestion(
        model=model,
        digest=blake2b(orjson.dumps(content, option=orjson.OPT_SORT_KEYS), digest_size=16).digest(),
        prompt_tokens=prompt.tokens,
        user_text=prompt.user_text,
        stream=bool(request.get("stream")),
        include_usage=True,
        images=prompt.images,
        documents=prompt.documents,
        thoughts=prompt.thoughts,
        tool_result=prompt.tool_result,
        tools=tools,
        forced_tool=forced,
        tools_allowed=allowed,
        parallel_tool_calls=request.get("parallel_tool_calls") is not False,
        output_schema=_output_schema(request.get("text"), reader),
        max_tokens=request.get("max_output_tokens"),
        reasoning_tokens=_EFFORT_TOKENS[reasoning["effort"]] if "effort" in reasoning else None,
        show_reasoning="summary" in reasoning,
        sealed=sealed,
        echo=_echo(request, reasoning),
    )


def _echo(request: Json, reasoning: Json) -> Json:
    return {
        "instructions": request.get("instructions"),
        "max_output_tokens": request.get("max_output_tokens"),
        "metadata": request.get("metadata") or {},
        "parallel_tool_calls": request.get("parallel_tool_calls") is not False,
        "prompt_cache_key": request.get("prompt_cache_key"),
        "reasoning": {"effort": reasoning.get("effort"), "summary": reasoning.get("summary")},
        "safety_identifier": request.get("safety_identifier"),
        "store": request.get("store") is not False,
        "temperature": request.get("temperature", 1.0),
        "text": request.get("text") or {"format": {"type": "text"}},
        "tool_choice": request.get("tool_choice", "auto"),
        "tools": request.get("tools") or [],
        "top_p": request.get("top_p", 1.0),
        "truncation": request.get("truncation") or "disabled",
    }


def _check_parameters(request: Json) -> None:
    for name in request:
        if name in _STATEFUL:
            raise wrong(
                name, f"Unsupported parameter: '{name}': the sandbox keeps nothing.", code="unsupported_parameter"
            )
        if name not in _PARAMETERS:
            raise wrong(name, f"Unknown parameter: '{name[:64]}'.", code="unknown_parameter")
    for name in ("store", "stream", "parallel_tool_calls"):
        if request.get(name) is not None and not isinstance(request[name], bool):
            raise _wrong_type(name, "a boolean")
    for name, longest in _STRINGS.items():
        value = request.get(name)
        if value is not None and not (isinstance(value, str) and len(value) <= longest):
            raise _wrong_type(name, f"a string of at most {longest} characters")
    for name, (least, most) in _RANGES.items():
        value = request.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise _wrong_type(name, "a number")
        if not least <= value <= most:
            raise wrong(name, f"Invalid '{name}': expected a value from {least} to {most}, but got {value} instead.")
    _check_words(request)


def _check_words(request: Json) -> None:
    limit = request.get("max_output_tokens")
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int)):
        raise _wrong_type("max_output_tokens", "an integer")
    if limit is not None and limit < 1:
        # OpenAI's own least value is 16. The sandbox takes less, for tests want short answers.
        raise wrong("max_output_tokens", "Invalid 'max_output_tokens'.", code="integer_below_min_value")
    include = request.get("include")
    if include is not None and not (isinstance(include, list) and all(each in _INCLUDABLE for each in include)):
        raise wrong("include", "Invalid value in 'include'.", code="invalid_value")
    options = request.get("stream_options")
    if options is not None and not (
        request.get("stream") and isinstance(options, dict) and options.keys() <= {"include_obfuscation"}
    ):
        raise wrong("stream_options", "The 'stream_options' parameter is only allowed when 'stream' is enabled.")
    if request.get("service_tier") is not None and request["service_tier"] not in _TIERS:
        raise wrong("service_tier", "Invalid value for 'service_tier'.", code="invalid_value")


def _wrong_type(name: str, expected: str) -> Refusal:
    return wrong(name, f"Invalid type for '{name}': expected {expected}.", code="invalid_type")


def _reasoning(reasoning: object, model: str) -> Json:
    if reasoning is None:
        return {}
    if not isinstance(reasoning, dict) or not reasoning.keys() <= {"effort", "summary"}:
        raise wrong("reasoning", "Unknown parameter in 'reasoning'.", code="unknown_parameter")
    if _NEVER_REASONS.match(model):
        raise wrong(
            "reasoning.effort",
            "Unsupported parameter: 'reasoning.effort' is not supported with this model.",
            code="unsupported_parameter",
        )
    said = {name: value for name, value in reasoning.items() if value is not None}
    if said.get("effort", "low") not in _EFFORT_TOKENS or said.get("summary", "auto") not in _SUMMARIES:
        raise wrong("reasoning", "Invalid value in 'reasoning'.", code="invalid_value")
    return said


def _tools(tools: object, prompt: Prompt) -> tuple[Tool, ...]:
    if tools is None:
        return ()
    if not isinstance(tools, list) or len(tools) > _MAX_TOOLS:
        raise wrong("tools", f"Invalid 'tools': expected an array of at most {_MAX_TOOLS} tools.")
    return tuple(_tool(tool, f"tools[{index}]", prompt) for index, tool in enumerate(tools))


def _tool(tool: object, where: str, prompt: Prompt) -> Tool:
    if not isinstance(tool, dict) or tool.get("type") != "function":
        raise wrong(f"{where}.type", f"Invalid '{where}': the sandbox has functions only.", code="invalid_value")
    for name in tool.keys() - {"type", "name", "description", "parameters", "strict"}:
        raise wrong(f"{where}.{name}", f"Unknown parameter: '{where}.{name}'.", code="unknown_parameter")
    name, parameters, description = tool.get("name"), tool.get("parameters"), tool.get("description")
    if not isinstance(name, str) or _FUNCTION_NAME.fullmatch(name) is None:
        raise wrong(f"{where}.name", f"Missing required parameter: '{where}.name'.", code="missing_required_parameter")
    if description is not None and not isinstance(description, str):
        raise wrong(f"{where}.description", "Invalid type for a description: expected a string.", code="invalid_type")
    if not isinstance(parameters, dict) or parameters.get("type") != "object":
        raise wrong(
            f"{where}.parameters",
            f"Invalid schema for function '{name}': schema must be a JSON Schema of 'type: \"object\"'.",
            code="invalid_function_parameters",
        )
    if tool.get("strict") in (None, True):
        # Unsaid it is strict here, unlike in Chat Completions.
        check_strict(parameters, f"function '{name}'", f"{where}.parameters")
    schema = orjson.dumps(parameters)
    prompt.text(name)
    prompt.text(schema.decode())
    return Tool(name=name, parameters=schema)


def check_strict(schema: object, what: str, param: str) -> None:
    """Raises Refusal for a schema that strict mode does not take."""
    if isinstance(schema, list):
        for each in schema:
            check_strict(each, what, param)
    if not isinstance(schema, dict):
        return
    for keyword in sorted(_OPEN_KEYWORDS & schema.keys()):
        raise wrong(param, f"Invalid schema for {what}: '{keyword}' is not permitted.", code="invalid_json_schema")
    kinds = schema.get("type")
    if kinds == "object" or (isinstance(kinds, list) and "object" in kinds):
        properties = schema.get("properties") or {}
        if schema.get("additionalProperties") is not False:
            message = "'additionalProperties' is required to be supplied and to be false."
            raise wrong(param, f"Invalid schema for {what}: {message}", code="invalid_json_schema")
        if set(schema.get("required") or ()) != set(properties):
            message = "'required' is required to be supplied and to be an array including every key in properties."
            raise wrong(param, f"Invalid schema for {what}: {message}", code="invalid_json_schema")
    for holder in ("properties", "$defs", "definitions"):
        if isinstance(schema.get(holder), dict):
            check_strict(list(schema[holder].values()), what, param)
    for holder in ("items", "anyOf"):
        check_strict(schema.get(holder), what, param)


def _tool_choice(choice: object, tools: tuple[Tool, ...]) -> tuple[Tool | None, bool]:
    """The tool that must be called, and whether any may be."""
    match choice:
        case None | "auto":
            return None, True
        case "none":
            return None, False
        case "required" if tools:
            return tools[0], True
        case {"type": "function", "name": str(name), **rest} if not rest:
            named = next((tool for tool in tools if tool.name == name), None)
            if named is not None:
                return named, True
            raise wrong("tool_choice", f"Tool choice '{name[:64]}' not found in 'tools' parameter.")
        case _:
            raise wrong("tool_choice", "Invalid 'tool_choice': expected 'none', 'auto', 'required' or a function.")


def _output_schema(text: object, reader: InputReader) -> bytes | None:
    if text is None:
        return None
    if not isinstance(text, dict) or not text.keys() <= {"format", "verbosity"}:
        raise wrong("text", "Unknown parameter in 'text'.", code="unknown_parameter")
    match text.get("format"):
        case None | {"type": "text"}:
            return None
        case {"type": "json_object", **rest} if not rest:
            if not reader.mentions_json:
                raise wrong(
                    "input",
                    "Response input messages must contain the word 'json' in some form to use 'text.format' of type"
                    " 'json_object'.",
                )
            return b'{"type":"object","properties":{"answer":{"type":"string"}},"required":["answer"]}'
        case {"type": "json_schema", "name": str(name), "schema": dict(schema), **rest}:
            if _FUNCTION_NAME.fullmatch(name) is None:
                raise wrong("text.format.name", "Invalid 'text.format.name'.")
            if not rest.keys() <= {"strict", "description"}:
                raise wrong("text.format", "Unknown parameter in 'text.format'.", code="unknown_parameter")
            if rest.get("strict"):
                check_strict(schema, f"response_format '{name}'", "text.format.schema")
            return orjson.dumps(schema)
        case _:
            raise wrong("text.format", "Invalid 'text.format': expected text, json_object or a json_schema with a name"
                        " and a schema.")  # fmt: skip
