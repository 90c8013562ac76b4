"""Servers that speak OpenAI's Chat Completions: vLLM, llama.cpp, LM Studio, gateways and many hosted ones.

Options, all optional: `server` (`vllm`, `llama_cpp`, `lm_studio`, `groq`, `mistral`, `deepseek`, `xai`, `together`,
`openrouter` or `other`, the default): whose quirks it has. `output_limit_field` (`max_tokens` or
`max_completion_tokens`) and `stream_usage` (true or false) overrule what is known of that server.
"""

from __future__ import annotations

from services.router.providers.dialects.compatible_errors import COMPATIBLE_ERRORS
from services.router.providers.dialects.compatible_servers import OTHER, SERVERS
from services.router.providers.formats.chat_completions.dialect import ChatCompletionsDialect
from services.router.providers.formats.openai_embeddings import OpenAIEmbedder

# A key is sent when there is one.
OPENAI_COMPATIBLE = ChatCompletionsDialect(
    id="openai_compatible",
    requires_key=False,
    quirks=OTHER,
    servers=SERVERS,
    errors=COMPATIBLE_ERRORS,
    embedder=OpenAIEmbedder(dimensions_fields={"mistral": "output_dimension"}),
)
