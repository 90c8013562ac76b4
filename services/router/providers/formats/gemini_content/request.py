"""A call as the body of `POST …/models/{model}:generateContent`."""

from __future__ import annotations

from typing import Any

import orjson

from services.router.domain.generation import (
    Generation,
    JsonSchemaFormat,
    NamedTool,
    ResponseFormat,
    ServiceTier,
    Tool,
    ToolChoice,
    ToolChoiceMode,
)
from services.router.providers.base import Options
from services.router.providers.formats.gemini_content.contents import BEGINNING, contents, system_parts
from services.router.providers.formats.gemini_content.function_names import wire_name
from services.router.providers.formats.gemini_content.schemas import cleaned_answer_schema, cleaned_parameters
from services.router.providers.formats.gemini_content.thinking import Family, family_of, thinking_config
from services.router.providers.formats.gemini_content.warnings import warnings_of

_Json = dict[str, Any]

_MODES = {ToolChoiceMode.AUTO: "AUTO", ToolChoiceMode.REQUIRED: "ANY", ToolChoiceMode.NONE: "NONE"}
_TIERS = {ServiceTier.STANDARD: "standard", ServiceTier.FLEX: "flex", ServiceTier.PRIORITY: "priority"}
_JSON_TYPE = "application/json"


def encode_request(
    request: Generation, *, provider_model_id: str, output_limit: int | None, options: Options
) -> tuple[bytes, tuple[str, ...]]:
    """The body, the same for a stream, and warnings.

    Older models take no form of an answer beside functions: it is said to them in words, unless no function is to be
    called.
    """
    family = family_of(provider_model_id, options)
    turns, changes = contents(request.messages, family)
    instructions = system_parts(request.messages)
    tools, form = request.tools, request.response_format
    if tools and form is not None and not family.json_with_tools:
        if request.tool_choice is ToolChoiceMode.NONE:
            tools = ()
        else:
            instructions.append({"text": _in_words(form)})
            form = None
    body: _Json = {}
    if turns:
        body["contents"] = turns
        if instructions:
            body["systemInstruction"] = {"parts": instructions}
    else:
        # Nothing but instructions: there has to be a turn to answer.
        body["contents"] = [{"role": "user", "parts": instructions or [{"text": BEGINNING}]}]
    if tools:
        body["tools"] = [{"functionDeclarations": [_declaration(tool) for tool in tools]}]
        if request.tool_choice is not None:
            body["toolConfig"] = {"functionCallingConfig": _calling(request.tool_choice)}
    config = _generation_config(request, form, family, output_limit)
    if config:
        body["generationConfig"] = config
    if request.service_tier in _TIERS:
        # The best the account has is what comes without it.
        body["serviceTier"] = _TIERS[request.service_tier]
    in_words = form is not request.response_format
    thinking = config.get("thinkingConfig")
    return orjson.dumps(body), warnings_of(request, changes, thinking, provider_model_id, in_words=in_words)


def renamed_functions(request: Generation) -> dict[str, str]:
    """The tools that have another name on the wire: their own names by those."""
    return {sent: tool.name for tool in request.tools if (sent := wire_name(tool.name)) != tool.name}


def _in_words(form: ResponseFormat) -> str:
    if not isinstance(form, JsonSchemaFormat):
        return "Unless you call a tool, answer with JSON, and with nothing else."
    described = f" ({form.description})" if form.description else ""
    return (
        f"Unless you call a tool, answer with JSON{described} that fits this schema, and with nothing else:\n"
        f"{form.schema_json}"
    )


def _generation_config(
    request: Generation, form: ResponseFormat | None, family: Family, output_limit: int | None
) -> _Json:
    seed = request.seed
    config: _Json = {
        "temperature": request.temperature,
        "topP": request.top_p,
        "topK": request.top_k,
        "maxOutputTokens": output_limit,
        "stopSequences": list(request.stop) or None,
        # It has 32 bits there; the same seed stays the same.
        "seed": None if seed is None else (seed + 2**31) % 2**32 - 2**31,
        "frequencyPenalty": request.frequency_penalty,
        "presencePenalty": request.presence_penalty,
    }
    config = {name: value for name, value in config.items() if value is not None}
    if form is not None:
        config["responseMimeType"] = _JSON_TYPE
        if isinstance(form, JsonSchemaFormat):
            config["responseJsonSchema"] = cleaned_answer_schema(form.schema_json, form.description)
    if request.reasoning is not None:
        thinking = thinking_config(request.reasoning, family, output_limit)
        if thinking is not None:
            config["thinkingConfig"] = thinking
    return config


def _declaration(tool: Tool) -> _Json:
    declaration: _Json = {"name": wire_name(tool.name)}
    if tool.description:
        declaration["description"] = tool.description
    parameters = cleaned_parameters(tool.parameters_json)
    if parameters is not None:
        declaration["parametersJsonSchema"] = parameters
    return declaration


def _calling(choice: ToolChoice) -> _Json:
    if isinstance(choice, NamedTool):
        return {"mode": "ANY", "allowedFunctionNames": [wire_name(choice.name)]}
    return {"mode": _MODES[choice]}
