"""A call as the body of `POST …/v1/messages`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from services.router.domain.generation import Effort, Generation, ServiceTier
from services.router.providers.formats.anthropic_messages.conversation import UNCHANGED, Conversation
from services.router.providers.formats.anthropic_messages.model_families import Family
from services.router.providers.formats.anthropic_messages.structured_output import StructuredOutput, structured_output
from services.router.providers.formats.anthropic_messages.thinking import NOT_SAID, ThinkingRequest, thinking_request
from services.router.providers.formats.anthropic_messages.tools import (
    called_tools,
    forces_a_tool,
    tool_choice,
    tool_definition,
)
from services.router.providers.formats.anthropic_messages.warnings import (
    BLANK_STOPS,
    HIGH_TEMPERATURE,
    SECOND_SAMPLER,
    Changed,
    NotThinking,
    warnings_of,
)

_Json = dict[str, Any]

# The API insists on a limit; this one is for callers that have none.
_DEFAULT_LIMIT = 4096
# There is one better tier than the standard one, for those who bought it, and no cheaper one.
_TIERS = {
    ServiceTier.AUTO: "auto",
    ServiceTier.PRIORITY: "auto",
    ServiceTier.STANDARD: "standard_only",
    ServiceTier.FLEX: "standard_only",
}
_HIGHEST_TEMPERATURE = _FIXED_TEMPERATURE = 1.0
_LEAST_TOP_P = 0.95
_NO_WARNINGS: tuple[str, ...] = ()
_ONE_CALL = {"disable_parallel_tool_use": True}


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedMessages:
    """The body; `answer_tool` is the tool whose input is the answer, or empty; `warnings` as in `EncodedRequest`."""

    body: bytes
    answer_tool: str
    warnings: tuple[str, ...]


def encode_request(
    request: Generation, family: Family, *, provider_model_id: str, output_limit: int | None, stream: bool
) -> EncodedMessages:
    """The body of `POST …/v1/messages`.

    Some things do not go together with thinking: forced tools, for all models before 4.8, and sampling but for the
    highest top_p. Nor are temperatures above 1 taken, and some models take no top_p beside one. A strict call is sent
    as it is, and the provider says what it refuses; one that lets things be left out loses the thinking for a forced
    tool, the sampling for the thinking, and top_p for the temperature.
    """
    limit = output_limit or _DEFAULT_LIMIT
    conversation = Conversation(
        request.messages, model=provider_model_id, system_turns=family.system_turns, continues=family.continues
    )
    thinking, not_thinking = _thinking(request, family, conversation, limit)
    output = structured_output(request, family, called=conversation.tools, thinks=thinking.budgeted)
    body: _Json = {"model": provider_model_id, "max_tokens": limit, "messages": conversation.turns}
    if stream:
        body["stream"] = True
    system = conversation.system
    if output.words:
        system = [*system, {"type": "text", "text": output.words}]
    if system:
        body["system"] = system[0]["text"] if len(system) == 1 and len(system[0]) == len(("type", "text")) else system
    _add_tools(body, request, conversation, output)
    if thinking.config is not None:
        body["thinking"] = thinking.config
    output_config = {"effort": thinking.effort, "format": output.format}
    if any(output_config.values()):
        body["output_config"] = {name: value for name, value in output_config.items() if value}
    bound = _add_sampling(body, request, family, thinking)
    if request.service_tier is not None:
        body["service_tier"] = _TIERS[request.service_tier]
    if request.end_user:
        body["metadata"] = {"user_id": request.end_user}
    changes, warnings = conversation.changes, _NO_WARNINGS
    if changes is not UNCHANGED or request.reasoning or request.service_tier or bound or output.weaker:
        changed = Changed(
            request=request, thinking=thinking, not_thinking=not_thinking, bound=bound, weaker=output.weaker
        )
        warnings = warnings_of(changed, changes, provider_model_id, limit)
    return EncodedMessages(body=orjson.dumps(body), answer_tool=output.answer_tool, warnings=warnings)


def _thinking(
    request: Generation, family: Family, conversation: Conversation, limit: int
) -> tuple[ThinkingRequest, NotThinking | None]:
    """What to ask for, and why less than is wanted."""
    wanted = request.reasoning
    thinking = thinking_request(wanted, family, limit)
    if wanted is None or wanted.effort is Effort.NONE:
        return thinking, None
    if not thinking.thinks:
        return thinking, NotThinking.NO_ROOM
    if thinking.budgeted and not conversation.opens_with_thoughts:
        # Thoughts of another provider's model are not to be had, and the API takes none for this turn without them.
        return NOT_SAID, NotThinking.UNDER_WAY
    if request.drop_unsupported and forces_a_tool(request) and (thinking.budgeted or not family.thinks_when_forced):
        return NOT_SAID, NotThinking.FORCED_TOOL
    return thinking, None


def _add_tools(body: _Json, request: Generation, conversation: Conversation, output: StructuredOutput) -> None:
    offered = [tool_definition(tool) for tool in request.tools]
    known = {tool.name for tool in request.tools}
    left = called_tools(name for name in conversation.tools if name not in known)
    tools = [*offered, *left]
    choice = tool_choice(request) if offered else None
    if left and not offered:
        # Only what was called before is defined; nothing is to be called now.
        choice = {"type": "none"}
    if output.tool is not None:
        tools.append(output.tool)
        choice = output.choice or ({"type": "auto"} if left and not offered else choice)
        if output.choice and offered and request.parallel_tool_calls is False:
            choice = output.choice | _ONE_CALL
    if tools:
        body["tools"] = tools
        if choice is not None:
            body["tool_choice"] = choice


def _add_sampling(body: _Json, request: Generation, family: Family, thinking: ThinkingRequest) -> tuple[str, ...]:
    """Add what the call says of it; what had to be left out is returned."""
    bound = thinking.thinks and request.drop_unsupported
    left_out: tuple[str, ...] = ()
    for name, value, fits in (
        ("temperature", request.temperature, request.temperature == _FIXED_TEMPERATURE),
        ("top_p", request.top_p, request.top_p is not None and request.top_p >= _LEAST_TOP_P),
        ("top_k", request.top_k, False),
    ):
        if value is None:
            continue
        if bound and not fits:
            left_out += (name,)
        else:
            body[name] = value
    if request.drop_unsupported:
        if body.get("temperature", 0) > _HIGHEST_TEMPERATURE:
            del body["temperature"]
            left_out += (HIGH_TEMPERATURE,)
        if family.one_sampler and body.keys() >= {"temperature", "top_p"}:
            del body["top_p"]
            left_out += (SECOND_SAMPLER,)
    stops = [stop for stop in request.stop if not (request.drop_unsupported and stop.isspace())]
    if stops:
        # Of white space alone the API takes none.
        body["stop_sequences"] = stops
    if len(stops) < len(request.stop):
        left_out += (BLANK_STOPS,)
    return left_out
