"""Servers that speak OpenAI's Chat Completions, each in its own way."""

from __future__ import annotations

from libs.core.provider_types import Capabilities, ProviderType
from services.provider_config.domain.built_in_types.option_schemas import one_of, switch

OPENAI_COMPATIBLE = ProviderType(
    id="openai_compatible",
    display_name="OpenAI-compatible",
    description="Any server that speaks OpenAI's Chat Completions: vLLM, llama.cpp, LM Studio, Groq, Mistral, "
    "DeepSeek, xAI, Together, OpenRouter and others.",
    requires_key=False,
    capabilities=Capabilities(
        streaming=True,
        tools=True,
        json_schema=True,
        images=True,
        audio=True,
        documents=True,
        reasoning=True,
        embeddings=True,
    ),
    options={
        "server": one_of(
            "Which server it is: what is known of its ways is kept to, and prices are looked up among its models. "
            "`other`: nothing is known, and it is spoken to as most understand.",
            "other",
            "vllm",
            "llama_cpp",
            "lm_studio",
            "groq",
            "mistral",
            "deepseek",
            "xai",
            "together",
            "openrouter",
            default="other",
        ),
        "output_limit_field": one_of(
            "What the server calls the limit on output tokens. Unset: as is known of the server, for `other` "
            "`max_tokens`.",
            "max_tokens",
            "max_completion_tokens",
        ),
        "stream_usage": switch(
            "Whether streams are asked to end with what they used. Without it usage is estimated; switch it off for "
            "servers that refuse `stream_options`. Unset: as is known of the server, for `other` true."
        ),
    },
)
