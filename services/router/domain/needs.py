"""What a call needs of its target, as bits of `features`: worked out once for a call, held against each target."""

from __future__ import annotations

from typing import NamedTuple

from services.router.domain import features
from services.router.domain.call_request import CallRequest
from services.router.domain.embedding import Embedding, needed_by
from services.router.domain.generation import (
    Effort,
    Generation,
    JsonSchemaFormat,
    ReasoningRequest,
    ServiceTier,
    ToolChoiceMode,
)
from services.router.domain.tokens import RequestSize

# Nothing is left of a call without them.
_NEVER_LEFT_OUT = features.STREAMING | features.EMBEDDINGS
_ORDINARY_TIERS = frozenset({ServiceTier.AUTO, ServiceTier.STANDARD})


class Needs(NamedTuple):
    """What a call touches and needs.

    `used`: all that its fields speak of. `needed`: the part of it without which the call is not what was asked for. The
    rest can be left out unsaid, for the target does the same by itself: a model without parallel tool calls makes none,
    one that cannot think does not think, a provider without tiers serves everything in the ordinary one.
    `required`: the part of `needed` that a target must be able to do, or it is left out.
    """

    used: int
    needed: int
    required: int


def needs_of(request: CallRequest, size: RequestSize, *, streaming: bool) -> Needs:
    """What a request needs; `size` is its own."""
    if isinstance(request, Embedding):
        used = needed = needed_by(request)
    else:
        used, needed = _of_generation(request, size)
    if streaming:
        used, needed = used | features.STREAMING, needed | features.STREAMING
    return Needs(used, needed, needed & _NEVER_LEFT_OUT if request.drop_unsupported else needed)


def _of_generation(request: Generation, size: RequestSize) -> tuple[int, int]:
    needed = size.kinds
    used = needed
    # Nearly every call has none of these.
    if request.tools or request.tool_choice is not None or request.parallel_tool_calls is not None:
        of_tools, needed_tools = _of_tools(request)
        used, needed = used | of_tools, needed | needed_tools
    if request.response_format is not None:
        needed |= features.JSON_SCHEMA if isinstance(request.response_format, JsonSchemaFormat) else features.JSON
    if request.reasoning is not None:
        used |= features.REASONING
        needed |= 0 if _asks_for_none(request.reasoning) else features.REASONING
    if request.service_tier is not None:
        used |= features.SERVICE_TIER
        needed |= 0 if request.service_tier in _ORDINARY_TIERS else features.SERVICE_TIER
    if request.temperature is not None or request.top_p is not None:
        needed |= features.SAMPLING
    if request.top_k is not None:
        needed |= features.SAMPLING | features.TOP_K
    if request.frequency_penalty is not None or request.presence_penalty is not None:
        needed |= features.PENALTIES
    if request.stop:
        needed |= features.STOP
    if request.seed is not None:
        needed |= features.SEED
    if request.end_user:
        needed |= features.END_USER
    return used | needed, needed


def _of_tools(request: Generation) -> tuple[int, int]:
    """What the tools and the settings of their use touch and need.

    That no tool may be called needs nothing: where it cannot be said, the tools are not sent. What only settings
    without tools say needs nothing either.
    """
    choice, parallel = request.tool_choice, request.parallel_tool_calls
    used = (
        (features.TOOLS if request.tools else 0)
        | (features.TOOL_CHOICE if choice is not None else 0)
        | (features.PARALLEL_TOOL_CALLS if parallel is not None else 0)
    )
    if not request.tools or choice is ToolChoiceMode.NONE:
        return used, 0
    harmless = 0
    if choice is ToolChoiceMode.AUTO:
        harmless |= features.TOOL_CHOICE
    if parallel:
        harmless |= features.PARALLEL_TOOL_CALLS
    return used, used & ~harmless


def _asks_for_none(reasoning: ReasoningRequest) -> bool:
    return reasoning.effort is Effort.NONE
