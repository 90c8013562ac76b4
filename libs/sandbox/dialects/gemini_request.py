"""Reads the bodies of Gemini's requests, strictly: a field that is unknown or of a wrong type is refused."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

import orjson

from libs.sandbox.dialect import Call, EmbeddingQuestion, Question
from libs.sandbox.dialects.gemini_contents import Conversation
from libs.sandbox.dialects.gemini_rules import (
    ANY_JSON,
    Json,
    camel_cased,
    check_schema,
    checked,
    listed,
    number,
    text,
    wrong,
)
from libs.sandbox.dialects.gemini_tools import read_tools, tool_choice
from libs.sandbox.tokens import count_tokens
from libs.sandbox.vectors import MAX_DIMENSIONS, MIN_DIMENSIONS

_REQUEST = frozenset(
    {"contents", "systemInstruction", "tools", "toolConfig", "generationConfig", "safetySettings", "serviceTier"}
)
_CONFIG = frozenset(
    {"temperature", "topP", "topK", "maxOutputTokens", "stopSequences", "seed", "presencePenalty", "frequencyPenalty"}
    | {"responseMimeType", "responseJsonSchema", "thinkingConfig"}
)
_TIERS = frozenset({"standard", "flex", "priority"})
_LEVELS: Mapping[object, int] = {"MINIMAL": 2, "LOW": 6, "MEDIUM": 12, "HIGH": 24}
_USUAL_THOUGHTS, _MOST_THOUGHTS = 12, 24
_MOST_STOPS = 5
_INT32 = 2**31 - 1
_MOST_BATCH = 100
_TASKS = frozenset(
    {"RETRIEVAL_QUERY", "RETRIEVAL_DOCUMENT", "SEMANTIC_SIMILARITY", "CLASSIFICATION", "CLUSTERING"}
    | {"QUESTION_ANSWERING", "FACT_VERIFICATION", "CODE_RETRIEVAL_QUERY"}
)


def read_question(call: Call) -> Question:
    """The question in a request. Raises Refusal (400)."""
    route = call.route
    if dict(call.query) != ({"alt": "sse"} if route.stream else {}):
        raise wrong("The sandbox takes no other parameters in the URL than alt=sse of a stream, and no key above all.")
    request = load(call.body, _REQUEST)
    prompt = Conversation(request, strict=route.model.startswith("gemini-3")).prompt
    tools = read_tools(request)
    for tool in tools:
        prompt.text(tool.name + tool.parameters.decode())
    forced, allowed = tool_choice(request, tools)
    config = checked(request.get("generationConfig", {}), "generation_config", _CONFIG)
    _check_numbers(config)
    if request.get("serviceTier", "standard") not in _TIERS:
        raise wrong("Invalid value at 'service_tier'.")
    limit = number(config, "maxOutputTokens", 1, _INT32, whole=True)
    reasoning, shown = _thinking(config)
    return Question(
        model=route.model,
        digest=blake2b(orjson.dumps(request, option=orjson.OPT_SORT_KEYS), digest_size=16).digest(),
        prompt_tokens=prompt.tokens,
        user_text=prompt.user_text,
        stream=route.stream,
        include_usage=True,
        images=prompt.images,
        audio=prompt.audio,
        documents=prompt.documents,
        thoughts=prompt.thoughts,
        tool_result=prompt.tool_result,
        tool_failed=prompt.tool_failed,
        tools=tools,
        forced_tool=forced,
        tools_allowed=allowed,
        output_schema=_output_schema(config),
        max_tokens=None if limit is None else int(limit),
        stop=_stops(config),
        reasoning_tokens=reasoning,
        show_reasoning=shown,
    )


def load(body: bytes, known: frozenset[str]) -> Json:
    """The request in a body. Raises Refusal."""
    try:
        return checked(camel_cased(orjson.loads(body)), "request", known)
    except orjson.JSONDecodeError:
        raise wrong("Invalid JSON payload received. Unexpected end of string.") from None


def _check_numbers(config: Json) -> None:
    number(config, "temperature", 0, 2, whole=False)
    number(config, "topP", 0, 1, whole=False)
    number(config, "topK", 1, 1000, whole=True)
    number(config, "seed", -_INT32 - 1, _INT32, whole=True)
    number(config, "presencePenalty", -2, 2, whole=False)
    number(config, "frequencyPenalty", -2, 2, whole=False)


def _stops(config: Json) -> tuple[str, ...]:
    stops = listed(config, "stopSequences", "generation_config")
    if len(stops) > _MOST_STOPS or not all(isinstance(stop, str) and stop for stop in stops):
        raise wrong("Unable to submit request because stopSequences takes up to 5 texts that are not empty.")
    return tuple(stops)


def _output_schema(config: Json) -> bytes | None:
    kind = config.get("responseMimeType", "text/plain")
    schema = config.get("responseJsonSchema")
    if kind not in {"text/plain", "application/json"}:
        raise wrong("* GenerateContentRequest.generation_config.response_mime_type: allowed mimetypes are `text/plain`"
                    " and `application/json`.")  # fmt: skip
    if schema is None:
        return ANY_JSON if kind == "application/json" else None
    if kind != "application/json":
        raise wrong("Function calling with a response schema needs response_mime_type 'application/json'.")
    check_schema(schema, "generation_config.response_json_schema")
    return orjson.dumps(schema)


def _thinking(config: Json) -> tuple[int | None, bool]:
    """How many tokens of thought, None when it is not said, and whether they are shown."""
    if "thinkingConfig" not in config:
        return None, False
    where = "generation_config.thinking_config"
    thinking = checked(config["thinkingConfig"], where, {"thinkingBudget", "thinkingLevel", "includeThoughts"})
    shown = thinking.get("includeThoughts", False)
    if not isinstance(shown, bool):
        raise wrong(f"Invalid value at '{where}.include_thoughts' (TYPE_BOOL).")
    if "thinkingBudget" in thinking and "thinkingLevel" in thinking:
        raise wrong("You can only set only one of thinking budget and thinking level.")
    if "thinkingLevel" in thinking:
        if thinking["thinkingLevel"] not in _LEVELS:
            raise wrong(f"Invalid value at '{where}.thinking_level'.")
        return _LEVELS[thinking["thinkingLevel"]], shown
    budget = number(thinking, "thinkingBudget", -1, 32_768, whole=True)
    if budget is None:
        return None, shown
    if budget == 0 and shown:
        raise wrong("Thinking_config.include_thoughts is only enabled when thinking is enabled.")
    return (_USUAL_THOUGHTS if budget < 0 else min(int(budget), _MOST_THOUGHTS)), shown


def read_embedding(call: Call) -> EmbeddingQuestion:
    """The texts of `embedContent`, `batchEmbedContents` or Vertex AI's `predict`. Raises Refusal (400)."""
    action = call.route.action
    if action.endswith("predict"):
        return _prediction(call)
    vertex = action.startswith("vertex")
    single = frozenset({"content", "embedContentConfig"} if vertex else {"content", "taskType", "outputDimensionality"})
    if action.endswith("embedContent"):
        entries = [load(call.body, single | {"model"})]
    else:
        entries = listed(load(call.body, frozenset({"requests"})), "requests", "request")
    if not 1 <= len(entries) <= _MOST_BATCH:
        raise wrong(f"* BatchEmbedContentsRequest.requests: at most {_MOST_BATCH} requests can be in one batch")
    inputs = [_embedded(each, call, single, vertex=vertex) for each in entries]
    sizes = {size for _, size in inputs}
    if len(sizes) > 1:
        raise wrong("The sandbox takes one output_dimensionality in a batch.")
    return _embedding(call, [said for said, _ in inputs], sizes.pop())


def _embedded(value: object, call: Call, known: frozenset[str], *, vertex: bool) -> tuple[str, int | None]:
    entry = checked(value, "requests", known if vertex else known | {"model"})
    if call.route.action == "batchEmbedContents" and entry.get("model") != f"models/{call.route.model}":
        raise wrong("* BatchEmbedContentsRequest.requests[0].model: must be the same as the model of the request.")
    content = checked(entry.get("content"), "requests.content", {"role", "parts"})
    parts = [checked(part, "requests.content.parts", {"text"}) for part in listed(content, "parts", "content")]
    if not parts:
        raise wrong("* EmbedContentRequest.content: contents is not specified")
    settings = checked(entry.get("embedContentConfig", {}), "config", {"taskType", "outputDimensionality"})
    return "".join(text(part, "text", "parts") for part in parts), _settings(settings if vertex else entry)


def _prediction(call: Call) -> EmbeddingQuestion:
    request = load(call.body, frozenset({"instances", "parameters"}))
    instances = [checked(each, "instances", {"content", "taskType"}) for each in listed(request, "instances", "")]
    parameters = checked(request.get("parameters", {}), "parameters", {"outputDimensionality"})
    for each in instances:
        _settings({name: value for name, value in each.items() if name == "taskType"})
    return _embedding(call, [text(each, "content", "instances") for each in instances], _settings(parameters))


def _settings(fields: Json) -> int | None:
    """The dimensions that are asked for. Raises Refusal, also for a wrong purpose."""
    if fields.get("taskType", "CLUSTERING") not in _TASKS:
        raise wrong("Invalid value at 'task_type'.")
    size = number(fields, "outputDimensionality", MIN_DIMENSIONS, MAX_DIMENSIONS, whole=True)
    return None if size is None else int(size)


def _embedding(call: Call, inputs: list[Any], dimensions: int | None) -> EmbeddingQuestion:
    return EmbeddingQuestion(
        model=call.route.model,
        inputs=tuple(inputs),
        prompt_tokens=sum(count_tokens(said) for said in inputs),
        dimensions=dimensions,
        details={"action": call.route.action},
    )
