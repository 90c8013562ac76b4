"""Servers that speak OpenAI's Chat Completions: vLLM, llama.cpp, LM Studio, gateways and many hosted ones."""

from __future__ import annotations

from services.router.providers.formats.chat_completions.dialect import ChatCompletionsDialect
from services.router.providers.formats.chat_completions.request import Quirks

# Most of them know the older name of the output limit only; a key is sent when there is one.
OPENAI_COMPATIBLE = ChatCompletionsDialect(
    id="openai_compatible", requires_key=False, quirks=Quirks(output_limit_field="max_tokens")
)
