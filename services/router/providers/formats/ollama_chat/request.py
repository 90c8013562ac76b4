"""Calls as the body of `POST /api/chat`.

The format gives tool calls no ids: results are matched to calls by the name of the tool and their order. Images stand
beside the text of a message, so their place within it is lost; Ollama shows them to the model before the text.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from itertools import pairwise

import orjson

from services.router.domain.generation import (
    Effort,
    Generation,
    Image,
    JsonSchemaFormat,
    Message,
    ReasoningRequest,
    Role,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from services.router.providers.base import Options
from services.router.providers.reading.json_values import Json

# Of so many parts none can stand between two others.
_TOO_FEW = 2
_NO_PARAMETERS: Json = {"type": "object", "properties": {}}
# The models that take words for how much they think, and cannot but think.
_THINKS_IN_LEVELS = "gpt-oss"
_LEVELS = {Effort.NONE: "low", Effort.LOW: "low", Effort.MEDIUM: "medium", Effort.HIGH: "high", Effort.MAX: "high"}
# See ReasoningRequest.budget_tokens in the API.
_LOW_BUDGET, _MEDIUM_BUDGET = 2048, 16_384


def encode_request(
    request: Generation, *, provider_model_id: str, output_limit: int | None, stream: bool, options: Options
) -> bytes:
    """The body of `POST /api/chat`."""
    body: Json = {
        "model": provider_model_id,
        "messages": list(_messages(request.messages)),
        # Streaming is Ollama's default.
        "stream": stream,
        # What does not fit the context is an error; by default the oldest messages are cut off without a word, and
        # long answers go on without the beginning of the prompt.
        "truncate": False,
        "shift": False,
    }
    if request.tools:
        body["tools"] = [_tool(each) for each in request.tools]
    if isinstance(request.response_format, JsonSchemaFormat):
        body["format"] = orjson.Fragment(request.response_format.schema_json)
    elif request.response_format is not None:
        body["format"] = "json"
    think = _think(request.reasoning, options, provider_model_id)
    if think is not None:
        body["think"] = think
    settings = _settings(request, output_limit) | load_settings(options)
    if settings:
        body["options"] = settings
    body |= kept_alive(options)
    return orjson.dumps(body)


def misplaces_images(messages: Iterable[Message]) -> bool:
    """Whether a message has images between texts, or texts between images: all its images come before all its text."""
    return any(len(message.parts) > _TOO_FEW and _alternates(message) for message in messages)


def _alternates(message: Message) -> bool:
    kinds = [isinstance(part, Image) for part in message.parts if isinstance(part, Text | Image)]
    return sum(one is not other for one, other in pairwise(kinds)) > 1


def load_settings(options: Options) -> Json:
    """How models are loaded, of the provider's options."""
    context = options.get("num_ctx")
    # Numbers of options come as floats.
    return {"num_ctx": int(context)} if isinstance(context, int | float) else {}


def kept_alive(options: Options) -> Json:
    """How long models stay loaded, of the provider's options."""
    duration = options.get("keep_alive")
    if not isinstance(duration, str) or not duration:
        return {}
    # Without a unit only a number is understood.
    return {"keep_alive": int(duration) if duration.lstrip("-").isdigit() else duration}


def _settings(request: Generation, output_limit: int | None) -> Json:
    said = {
        "num_predict": output_limit,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "top_k": request.top_k,
        "seed": request.seed,
        "stop": list(request.stop) or None,
        "frequency_penalty": request.frequency_penalty,
        "presence_penalty": request.presence_penalty,
    }
    return {name: value for name, value in said.items() if value is not None}


def _think(wanted: ReasoningRequest | None, options: Options, model: str) -> bool | str | None:
    """Whether the model thinks, or how much; None leaves it to the model."""
    if wanted is None:
        usual = options.get("think")
        return usual if isinstance(usual, bool) else None
    effort = wanted.effort if wanted.effort is not None else _effort(wanted.budget_tokens or 0)
    if _THINKS_IN_LEVELS in model:
        return _LEVELS[effort]
    return effort is not Effort.NONE


def _effort(budget_tokens: int) -> Effort:
    if budget_tokens <= _LOW_BUDGET:
        return Effort.LOW
    return Effort.MEDIUM if budget_tokens <= _MEDIUM_BUDGET else Effort.HIGH


def _messages(messages: Iterable[Message]) -> Iterator[Json]:
    """The messages; results of tools that follow each other are brought into the order of their calls."""
    order: dict[str, int] = {}
    results: list[ToolResult] = []
    for message in messages:
        if message.role is Role.TOOL:
            results += (part for part in message.parts if isinstance(part, ToolResult))
            continue
        yield from _tool_results(results, order)
        results = []
        if message.role is Role.ASSISTANT:
            calls = (part.id for part in message.parts if isinstance(part, ToolCall))
            order = {call_id: place for place, call_id in enumerate(calls)}
        yield _message(message)
    yield from _tool_results(results, order)


def _message(message: Message) -> Json:
    parts = message.parts
    first = parts[0]
    if len(parts) == 1 and isinstance(first, Text):
        return {"role": message.role.value, "content": first.text}
    encoded: Json = {
        "role": message.role.value,
        "content": "".join(part.text for part in parts if isinstance(part, Text)),
    }
    images = [_image(part) for part in parts if isinstance(part, Image)]
    if images:
        encoded["images"] = images
    calls = [_tool_call(part) for part in parts if isinstance(part, ToolCall)]
    if calls:
        encoded["tool_calls"] = calls
    return encoded


def _image(image: Image) -> str:
    return base64.b64encode(image.data or b"").decode()


def _tool_call(call: ToolCall) -> Json:
    arguments = orjson.Fragment(call.arguments_json or "{}")
    return {"function": {"name": call.name, "arguments": arguments}}


def _tool_results(results: list[ToolResult], order: dict[str, int]) -> Iterator[Json]:
    """One message for each, then one of the user with the images that results held."""
    results = sorted(results, key=lambda result: order.get(result.tool_call_id, len(order)))
    notes: list[str] = []
    images: list[str] = []
    for result in results:
        # The format has no field for it; models are told in words.
        text = f"Error: {result.text}" if result.is_error else result.text
        yield {"role": "tool", "tool_name": result.name, "content": text}
        held = [_image(part) for part in result.parts if isinstance(part, Image)]
        if held:
            what = "An image" if len(held) == 1 else f"{len(held)} images"
            notes.append(f"{what} from the tool {result.name} (call {result.tool_call_id})")
            images += held
    if images:
        yield {"role": "user", "content": f"In this order: {'; '.join(notes)}.", "images": images}


def _tool(tool: Tool) -> Json:
    function: Json = {"name": tool.name}
    if tool.description:
        function["description"] = tool.description
    function["parameters"] = orjson.Fragment(tool.parameters_json) if tool.parameters_json else _NO_PARAMETERS
    return {"type": "function", "function": function}
