"""What a caller is told of a request that does not carry all that was asked for; see `base.EncodedRequest`."""

from __future__ import annotations

from collections.abc import Sequence

from services.router.domain.generation import (
    Effort,
    Generation,
    JsonSchemaFormat,
    Message,
    Reasoning,
    ReasoningRequest,
    Role,
)
from services.router.providers.base import the_model
from services.router.providers.formats.chat_completions.quirks import Quirks
from services.router.providers.formats.chat_completions.request import forces_a_tool
from services.router.providers.formats.openai_schemas import strict_warnings

_FORCED = "reasoning left out: {} cannot think while it is made to call a tool"
_UNASKED = "reasoning left out: {} cannot be told whether or how hard to think"
_LATE_INSTRUCTIONS = "instructions amid the conversation sent as the user's: the API takes no others there"
_NO_THOUGHTS = "reasoning left out: that of earlier answers cannot go by Chat Completions"


def warnings_of(request: Generation, quirks: Quirks, provider_model_id: str) -> tuple[str, ...]:
    """All there are; nearly always none."""
    warnings: tuple[str, ...] = ()
    wanted = request.response_format
    if isinstance(wanted, JsonSchemaFormat) and wanted.strict and quirks.strict_schemas:
        warnings = strict_warnings(wanted.schema_json)
    if quirks.answers.rules.keeping is None and _has_thoughts(request.messages):
        warnings += (_NO_THOUGHTS,)
    if request.reasoning is not None:
        warnings += _of_reasoning(request, request.reasoning, quirks, provider_model_id)
    if quirks.systems_first and _speaks_late(request.messages):
        warnings += (_LATE_INSTRUCTIONS,)
    return warnings


def _of_reasoning(
    request: Generation, wanted: ReasoningRequest, quirks: Quirks, provider_model_id: str
) -> tuple[str, ...]:
    if not quirks.thinks_when_forced and forces_a_tool(request):
        return (_FORCED.format(the_model(provider_model_id)),) if wanted.effort is not Effort.NONE else ()
    asked = quirks.reasoning(wanted, provider_model_id)
    return () if asked else (_UNASKED.format(the_model(provider_model_id)),)


def _speaks_late(messages: Sequence[Message]) -> bool:
    """Whether there are system messages after others."""
    begun = False
    for message in messages:
        if message.role is not Role.SYSTEM:
            begun = True
        elif begun:
            return True
    return False


def _has_thoughts(messages: Sequence[Message]) -> bool:
    """Whether there is reasoning that came from where the call goes to."""
    for message in messages:
        if message.role is Role.ASSISTANT:
            for part in message.parts:
                if isinstance(part, Reasoning) and part.signature is not None:
                    return True
    return False
