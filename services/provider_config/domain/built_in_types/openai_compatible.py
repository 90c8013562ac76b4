"""Servers that speak OpenAI's Chat Completions, each in its own way."""

from __future__ import annotations

from libs.core.provider_types import Capabilities, ProviderType
from services.provider_config.domain.built_in_types.option_schemas import one_of, switch

OPENAI_COMPATIBLE = ProviderType(
    id="openai_compatible",
    display_name="OpenAI-compatible",
    description="Any server that speaks OpenAI's Chat Completions, such as vLLM, LM Studio or Groq.",
    requires_key=False,
    capabilities=Capabilities(streaming=True, tools=True, json_schema=True, images=True),
    options={
        "output_limit_field": one_of(
            "What the server calls the limit on output tokens.",
            "max_tokens",
            "max_completion_tokens",
            default="max_tokens",
        ),
        "stream_usage": switch(
            "Whether streams are asked to end with what they used. Without it usage is estimated; switch it off for "
            "servers that refuse `stream_options`.",
            default=True,
        ),
    },
)
