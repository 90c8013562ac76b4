"""A call as the body of `POST …/responses`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from services.router.domain import features
from services.router.domain.generation import (
    Effort,
    Generation,
    JsonFormat,
    JsonSchemaFormat,
    NamedTool,
    Reasoning,
    ReasoningRequest,
    ResponseFormat,
    ServiceTier,
    Tool,
    ToolChoice,
)
from services.router.providers.formats.openai_models import effort_word, facts_of
from services.router.providers.formats.openai_responses.items import (
    input_items,
    leading_instructions,
    without_lonely_thoughts,
)
from services.router.providers.formats.openai_schemas import strict_schema, strict_warnings

_Json = dict[str, Any]

FEATURES = (
    features.STREAMING
    | features.TOOLS
    | features.JSON_SCHEMA
    | features.IMAGES
    | features.DOCUMENTS
    | features.REASONING
    | features.SAMPLING
    | features.JSON
    | features.TOOL_CHOICE
    | features.PARALLEL_TOOL_CALLS
    | features.SERVICE_TIER
    | features.END_USER
)
"""What the format carries: no seed, no stop texts, no penalties, no top_k, no sound."""

_LONELY_THOUGHTS = "reasoning left out: thoughts of earlier answers led to nothing, and OpenAI takes none of these"
_NO_PARAMETERS = orjson.Fragment(b'{"type":"object","properties":{}}')
_TIERS: Mapping[ServiceTier, str] = {
    ServiceTier.AUTO: "auto",
    ServiceTier.STANDARD: "default",
    ServiceTier.FLEX: "flex",
    ServiceTier.PRIORITY: "priority",
}


def encode_request(
    request: Generation, *, provider_model_id: str, output_limit: int | None, stream: bool
) -> tuple[bytes, tuple[str, ...]]:
    """The body of `POST …/responses`, and warnings. Nothing is stored at the provider: a call brings all it needs."""
    instructions, rest = leading_instructions(request.messages)
    said = input_items(rest, say_json=isinstance(request.response_format, JsonFormat))
    items = without_lonely_thoughts(said)
    body: _Json = {
        "model": provider_model_id,
        "input": items,
        "store": False,
    }
    if instructions:
        body["instructions"] = instructions
    if _wants_signatures(request, provider_model_id):
        body["include"] = ["reasoning.encrypted_content"]
    if stream:
        body["stream"] = True
    if output_limit is not None:
        body["max_output_tokens"] = output_limit
    if request.reasoning is not None:
        body["reasoning"] = _reasoning(request.reasoning, provider_model_id)
    if request.response_format is not None:
        body["text"] = {"format": _format(request.response_format)}
    _add_tools(body, request)
    _add_options(body, request)
    warnings = _of_schema(request.response_format)
    if len(items) < len(said):
        warnings += (_LONELY_THOUGHTS,)
    return orjson.dumps(body), warnings


def _of_schema(wanted: ResponseFormat | None) -> tuple[str, ...]:
    return strict_warnings(wanted.schema_json) if isinstance(wanted, JsonSchemaFormat) and wanted.strict else ()


def _wants_signatures(request: Generation, provider_model_id: str) -> bool:
    """Models that never reason refuse the call that asks for them."""
    return (
        facts_of(provider_model_id).reasons
        or request.reasoning is not None
        or any(isinstance(part, Reasoning) for message in request.messages for part in message.parts)
    )


def _reasoning(wanted: ReasoningRequest, provider_model_id: str) -> _Json:
    effort = effort_word(wanted, provider_model_id)
    reasoning: _Json = {"effort": effort}
    if not wanted.hide and wanted.effort is not Effort.NONE:
        reasoning["summary"] = "auto"
    return reasoning


def _format(wanted: ResponseFormat) -> _Json:
    if not isinstance(wanted, JsonSchemaFormat):
        return {"type": "json_object"}
    schema = strict_schema(wanted.schema_json) if wanted.strict else wanted.schema_json
    encoded: _Json = {
        "type": "json_schema",
        "name": wanted.name,
        "schema": orjson.Fragment(schema),
        "strict": wanted.strict,
    }
    if wanted.description:
        encoded["description"] = wanted.description
    return encoded


def _add_tools(body: _Json, request: Generation) -> None:
    if not request.tools:
        return
    body["tools"] = [_tool(each) for each in request.tools]
    if request.tool_choice is not None:
        body["tool_choice"] = _tool_choice(request.tool_choice)
    if request.parallel_tool_calls is not None:
        body["parallel_tool_calls"] = request.parallel_tool_calls


def _tool(tool: Tool) -> _Json:
    encoded: _Json = {"type": "function", "name": tool.name}
    if tool.description:
        encoded["description"] = tool.description
    # The schema was checked when the call came in; it goes on as the caller wrote it.
    encoded["parameters"] = orjson.Fragment(tool.parameters_json) if tool.parameters_json else _NO_PARAMETERS
    # Unsaid it would be true, which refuses most schemas that were not written for it.
    encoded["strict"] = False
    return encoded


def _tool_choice(choice: ToolChoice) -> str | _Json:
    if isinstance(choice, NamedTool):
        return {"type": "function", "name": choice.name}
    return choice.value


def _add_options(body: _Json, request: Generation) -> None:
    if request.temperature is not None:
        body["temperature"] = request.temperature
    if request.top_p is not None:
        body["top_p"] = request.top_p
    if request.service_tier is not None:
        body["service_tier"] = _TIERS[request.service_tier]
    if request.end_user:
        body["safety_identifier"] = request.end_user
    if request.prompt_cache_key:
        body["prompt_cache_key"] = request.prompt_cache_key
