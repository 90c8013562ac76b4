"""OpenAI's own API."""

from __future__ import annotations

from services.router.providers.formats.chat_completions.dialect import ChatCompletionsDialect
from services.router.providers.formats.chat_completions.request import Quirks

# `max_tokens` is deprecated there and refused by the reasoning models.
OPENAI = ChatCompletionsDialect(
    id="openai",
    requires_key=True,
    quirks=Quirks(output_limit_field="max_completion_tokens"),
    headers={"organization": "OpenAI-Organization", "project": "OpenAI-Project"},
)
