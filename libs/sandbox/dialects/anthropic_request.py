"""Reads the body of a Messages request, as strictly as Anthropic does where a gateway could get it wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b

import orjson

from libs.sandbox.dialect import Call, Question, Refusal, Tool
from libs.sandbox.dialects.anthropic_messages import Reading
from libs.sandbox.dialects.anthropic_models import Model, model_of
from libs.sandbox.dialects.anthropic_rules import (
    COMBINATIONS,
    TOOL_NAME,
    Json,
    check_output_schema,
    flag,
    heeded,
    json_object,
    number_of,
    only,
    text_of,
    whole_number,
    wrong,
)

VERSIONS = ("2023-06-01", "2026-10-21")
_SAMPLING = ("temperature", "top_p", "top_k")
_FIELDS = frozenset(
    {
        "model", "max_tokens", "messages", "cache_control", "container", "diagnostics", "inference_geo", "metadata",
        "output_config", "service_tier", "speed", "stop_sequences", "stream", "system", "thinking", "tool_choice",
        "tools", *_SAMPLING,
    }
)  # fmt: skip
_TOOL_FIELDS = frozenset(
    {
        "name", "description", "input_schema", "cache_control", "type", "strict", "allowed_callers", "defer_loading",
        "eager_input_streaming", "input_examples",
    }
)  # fmt: skip
_EFFORTS: Mapping[str, int] = {"low": 4, "medium": 6, "high": 8, "xhigh": 10, "max": 12}
_LEAST_BUDGET = 1024
_LEAST_TOP_P = 0.95
_THOUGHT_TOKENS = 8
_MOST_TOP_K = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class MessagesQuestion(Question):
    """`written`: tokens of the prompt up to its last breakpoint. `thinks`: whether there are blocks of thoughts."""

    written: int = 0
    thinks: bool = False


def version_of(call: Call) -> str:
    """The version of the API that a request asks for, which it has to. Raises Refusal."""
    version = call.headers.get("anthropic-version", "")
    if not version:
        raise wrong("anthropic-version", "header is required")
    if version not in VERSIONS:
        raise wrong("anthropic-version", f'"{version[:40]}" is not a valid version')
    return version


def read_question(call: Call) -> MessagesQuestion:
    """The question in a request. Raises Refusal (400) naming the field that is wrong."""
    version = version_of(call)
    try:
        return _question(orjson.loads(call.body), version)
    except (orjson.JSONDecodeError, orjson.JSONEncodeError, RecursionError):
        raise Refusal(400, "The request body is not valid JSON") from None


def _question(request: object, version: str) -> MessagesQuestion:
    body = json_object(request, "")
    only(body, "", _FIELDS if version == VERSIONS[0] else _FIELDS - set(_SAMPLING))
    if not isinstance(body.get("model"), str) or not body["model"]:
        raise wrong("model", "Field required")
    model = model_of(body["model"])
    if "max_tokens" not in body:
        raise wrong("max_tokens", "Field required")
    limit = whole_number(body["max_tokens"], "max_tokens", 1)
    reading = Reading(system_turns=model.system_turns, prefill=model.prefill)
    tools = _tools(body.get("tools"), reading)
    reading.system(body.get("system"))
    reading.messages(body.get("messages"))
    if reading.uses_tools and not tools:
        raise Refusal(400, "Requests which include `tool_use` or `tool_result` blocks must define tools")
    forced, allowed, parallel = _tool_choice(body.get("tool_choice"), tools, model)
    thoughts, shown = _thinking(body, model, limit, reading, forced=forced is not None)
    _sampling(body, model)
    _others(body)
    content = {name: value for name, value in body.items() if name != "stream"}
    prompt = reading.prompt
    return MessagesQuestion(
        model=body["model"],
        digest=blake2b(orjson.dumps(content, option=orjson.OPT_SORT_KEYS), digest_size=16).digest(),
        prompt_tokens=prompt.tokens,
        user_text=prompt.user_text,
        stream=flag(body, "stream", ""),
        include_usage=True,
        images=prompt.images,
        documents=prompt.documents,
        thoughts=prompt.thoughts,
        tool_result=prompt.tool_result,
        tool_failed=prompt.tool_failed,
        tools=tools,
        forced_tool=forced,
        tools_allowed=allowed,
        parallel_tool_calls=parallel,
        output_schema=_output_schema(body.get("output_config"), model),
        max_tokens=limit,
        stop=_stops(body.get("stop_sequences")),
        reasoning_tokens=thoughts,
        show_reasoning=shown,
        written=reading.cached_to,
        thinks=bool(thoughts),
    )


def _tools(tools: object, reading: Reading) -> tuple[Tool, ...]:
    if tools is None:
        return ()
    if not isinstance(tools, list):
        raise wrong("tools", "Input should be a valid list")
    found: dict[str, Tool] = {}
    for at, each in enumerate(tools):
        where = f"tools.{at}"
        tool = json_object(each, where)
        only(tool, f"{where}.custom", _TOOL_FIELDS)
        name = text_of(tool, "name", f"{where}.custom")
        if TOOL_NAME.fullmatch(name) is None:
            raise wrong(f"{where}.custom.name", f"String should match pattern '^{TOOL_NAME.pattern}$'")
        if name in found:
            raise Refusal(400, "tools: Tool names must be unique.")
        schema = json_object(tool.get("input_schema"), f"{where}.custom.input_schema")
        if schema.get("type") != "object":
            raise wrong(f"{where}.custom.input_schema.type", "Input should be 'object'")
        if any(key in schema for key in COMBINATIONS):
            raise wrong(
                f"{where}.custom.input_schema", "input_schema does not support oneOf, allOf, or anyOf at the top level"
            )
        if tool.get("description") is not None:
            text_of(tool, "description", f"{where}.custom")
        found[name] = Tool(name=name, parameters=orjson.dumps(schema))
        reading.prompt.text(name)
        reading.prompt.text(orjson.dumps(schema).decode())
        reading.breakpoint(tool, where)
    return tuple(found.values())


def _tool_choice(given: object, tools: tuple[Tool, ...], model: Model) -> tuple[Tool | None, bool, bool]:
    """The tool that must be called, whether any may be, and whether several may."""
    if given is None:
        return None, True, True
    choice = json_object(given, "tool_choice")
    if not tools:
        raise Refusal(400, "tool_choice may only be specified while providing tools")
    kind = text_of(choice, "type", "tool_choice")
    if kind == "none":
        only(choice, "tool_choice.none", {"type"})
        return None, False, True
    parallel = not flag(choice, "disable_parallel_tool_use", "tool_choice")
    if kind == "auto":
        only(choice, "tool_choice.auto", {"type", "disable_parallel_tool_use"})
        return None, True, parallel
    if kind not in {"any", "tool"}:
        raise wrong("tool_choice", "Input tag should be 'auto', 'any', 'tool' or 'none'")
    if not model.forced_tools:
        raise Refusal(400, f"tool_choice '{kind}' is not supported for this model. Use 'auto' or 'none'.")
    if kind == "any":
        only(choice, "tool_choice.any", {"type", "disable_parallel_tool_use"})
        return tools[0], True, parallel
    only(choice, "tool_choice.tool", {"type", "name", "disable_parallel_tool_use"})
    name = text_of(choice, "name", "tool_choice.tool")
    named = next((tool for tool in tools if tool.name == name), None)
    if named is None:
        raise Refusal(400, f"Tool '{name[:64]}' not found in provided tools")
    return named, True, parallel


def _thinking(body: Json, model: Model, limit: int, reading: Reading, *, forced: bool) -> tuple[int | None, bool]:
    """How many tokens of thoughts, None where nothing was said; and whether they are shown."""
    config = _output_config(body)
    effort = config.get("effort")
    if effort is not None and effort not in _EFFORTS:
        raise wrong("output_config.effort", "Input should be 'low', 'medium', 'high', 'xhigh' or 'max'")
    if body.get("thinking") is None:
        return None, False
    thinking = json_object(body["thinking"], "thinking")
    kind = text_of(thinking, "type", "thinking")
    if kind not in {"enabled", "adaptive", "disabled", "between_tools"}:
        raise wrong("thinking", "Input tag should be 'adaptive', 'between_tools', 'disabled' or 'enabled'")
    if kind not in model.thinking:
        raise Refusal(
            400,
            f'"thinking.type.{kind}" is not supported for this model. Use "thinking.type.adaptive" and'
            ' "output_config.effort" to control thinking behavior.',
        )
    if kind in {"disabled", "between_tools"}:
        only(thinking, f"thinking.{kind}", {"type"})
        return 0, False
    only(thinking, f"thinking.{kind}", {"type", "display"} | ({"budget_tokens"} if kind == "enabled" else set()))
    if thinking.get("display") not in {None, "summarized", "omitted"}:
        raise wrong(f"thinking.{kind}.display", "Input should be 'summarized' or 'omitted'")
    shown = thinking.get("display") != "omitted"
    if kind == "adaptive":
        if not model.free_when_adaptive:
            _check_bound(body, forced=forced)
        return _EFFORTS[effort or "high"], shown
    budget = whole_number(thinking.get("budget_tokens"), "thinking.enabled.budget_tokens", _LEAST_BUDGET)
    if budget >= limit:
        raise Refusal(400, "`max_tokens` must be greater than `thinking.budget_tokens`.")
    _check_bound(body, forced=forced)
    if not reading.thinks_first():
        raise Refusal(
            400,
            "messages: Expected `thinking` or `redacted_thinking`, but found another block. When `thinking` is"
            " enabled, a final `assistant` message must start with a thinking block (preceeding the lastmost set of"
            " `tool_use` and `tool_result` blocks).",
        )
    return _THOUGHT_TOKENS, shown


def _check_bound(body: Json, *, forced: bool) -> None:
    if body.get("temperature", 1) != 1:
        raise Refusal(400, "`temperature` may only be set to 1 when thinking is enabled or in adaptive mode.")
    if "top_k" in body:
        raise Refusal(400, "`top_k` must be unset when thinking is enabled or in adaptive mode.")
    if body.get("top_p", 1) < _LEAST_TOP_P:
        raise Refusal(400, "`top_p` must be greater than or equal to 0.95 or unset when thinking is enabled.")
    if forced:
        raise Refusal(400, "Thinking may not be enabled when tool_choice forces tool use.")


def _sampling(body: Json, model: Model) -> None:
    number_of(body, "temperature", 0, 1)
    number_of(body, "top_p", 0, 1)
    number_of(body, "top_k", 0, _MOST_TOP_K)
    if not model.sampling:
        for name in _SAMPLING:
            if name in body:
                raise Refusal(400, f"`{name}` is deprecated for this model.")
    if not model.both_samplers and body.keys() >= {"temperature", "top_p"}:
        raise Refusal(400, "`temperature` and `top_p` cannot both be specified for this model. Please use only one.")


def _others(body: Json) -> None:
    if body.get("service_tier", "auto") not in ("auto", "standard_only"):
        raise wrong("service_tier", "Input should be 'auto' or 'standard_only'")
    if body.get("metadata") is not None:
        metadata = json_object(body["metadata"], "metadata")
        only(metadata, "metadata", {"user_id"})
        if metadata.get("user_id") is not None:
            text_of(metadata, "user_id", "metadata")


def _output_config(body: Json) -> Json:
    if body.get("output_config") is None:
        return {}
    config = json_object(body["output_config"], "output_config")
    only(config, "output_config", {"effort", "format"})
    return config


def _output_schema(given: object, model: Model) -> bytes | None:
    config = given if isinstance(given, dict) else {}
    if config.get("format") is None:
        return None
    if not model.output_schemas:
        raise Refusal(400, "This model does not support output_config.format.")
    wanted = json_object(config["format"], "output_config.format")
    only(wanted, "output_config.format", {"type", "schema"})
    if wanted.get("type") != "json_schema":
        raise wrong("output_config.format.type", "Input should be 'json_schema'")
    check_output_schema(wanted.get("schema"), "output_config.format.schema")
    return orjson.dumps(heeded(wanted["schema"]))


def _stops(stops: object) -> tuple[str, ...]:
    if stops is None:
        return ()
    if not isinstance(stops, list) or not all(isinstance(stop, str) for stop in stops):
        raise wrong("stop_sequences", "Input should be a valid list of strings")
    if any(not stop.strip() for stop in stops):
        raise Refusal(400, "stop_sequences: each stop sequence must contain non-whitespace")
    return tuple(stops)
