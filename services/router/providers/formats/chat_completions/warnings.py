"""What a caller is told of a request that does not carry all that was asked for; see `base.EncodedRequest`."""

from __future__ import annotations

from collections.abc import Sequence

from services.router.domain.generation import Generation, JsonSchemaFormat, Message, Reasoning, Role
from services.router.providers.formats.chat_completions.quirks import Quirks
from services.router.providers.formats.openai_schemas import strict_warnings

_NO_THOUGHTS = "reasoning left out: that of earlier answers cannot go by Chat Completions"


def warnings_of(request: Generation, quirks: Quirks) -> tuple[str, ...]:
    """All there are; nearly always none."""
    warnings: tuple[str, ...] = ()
    wanted = request.response_format
    if isinstance(wanted, JsonSchemaFormat) and wanted.strict and quirks.strict_schemas:
        warnings = strict_warnings(wanted.schema_json)
    if quirks.answers.rules.keeping is None and _has_thoughts(request.messages):
        warnings += (_NO_THOUGHTS,)
    return warnings


def _has_thoughts(messages: Sequence[Message]) -> bool:
    """Whether there is reasoning that came from where the call goes to."""
    for message in messages:
        if message.role is Role.ASSISTANT:
            for part in message.parts:
                if isinstance(part, Reasoning) and part.signature is not None:
                    return True
    return False
