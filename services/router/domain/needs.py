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


def needs_of(request: CallRequest, size: RequestSize, *, streaming: bool) -> Needs:  # noqa: C901, PLR0912 - see below
    """What a request needs; `size` is its own.

    Written out in one piece, for it runs for every call, and nearly every one asks for nothing special.
    """
    needed = features.STREAMING if streaming else 0
    if isinstance(request, Embedding):
        needed |= needed_by(request)
        return Needs(needed, needed, needed & _NEVER_LEFT_OUT if request.drop_unsupported else needed)
    needed |= size.kinds
    harmless = 0
    if request.tools or request.tool_choice is not None or request.parallel_tool_calls is not None:
        of_tools, harmless = _of_tools(request)
        needed |= of_tools
    if request.response_format is not None:
        needed |= features.JSON_SCHEMA if isinstance(request.response_format, JsonSchemaFormat) else features.JSON
    if request.reasoning is not None:
        if request.reasoning.effort is Effort.NONE:
            harmless |= features.REASONING
        else:
            needed |= features.REASONING
    if request.service_tier is not None:
        if request.service_tier in _ORDINARY_TIERS:
            harmless |= features.SERVICE_TIER
        else:
            needed |= features.SERVICE_TIER
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
    return Needs(needed | harmless, needed, needed & _NEVER_LEFT_OUT if request.drop_unsupported else needed)


def _of_tools(request: Generation) -> tuple[int, int]:
    """What the tools and the settings of their use need, and what of them is harmless.

    That no tool may be called needs nothing: where it cannot be said, the tools are not sent. What settings say without
    tools needs nothing either.
    """
    choice, parallel = request.tool_choice, request.parallel_tool_calls
    settings = (features.TOOL_CHOICE if choice is not None else 0) | (
        features.PARALLEL_TOOL_CALLS if parallel is not None else 0
    )
    if not request.tools or choice is ToolChoiceMode.NONE:
        return 0, settings | (features.TOOLS if request.tools else 0)
    harmless = (features.TOOL_CHOICE if choice is ToolChoiceMode.AUTO else 0) | (
        features.PARALLEL_TOOL_CALLS if parallel else 0
    )
    return features.TOOLS | settings & ~harmless, harmless
