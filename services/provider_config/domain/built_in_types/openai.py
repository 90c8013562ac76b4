"""OpenAI's own API."""

from __future__ import annotations

from libs.core.provider_types import Capabilities, ProviderType
from services.provider_config.domain.built_in_types.option_schemas import header_value, one_of

OPENAI = ProviderType(
    id="openai",
    display_name="OpenAI",
    description="The OpenAI API.",
    default_base_url="https://api.openai.com/v1",
    requires_key=True,
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
        "organization": header_value(
            "The organization calls are charged to, when the key belongs to several: `org-…`."
        ),
        "project": header_value("The project calls are charged to: `proj_…`."),
        "api": one_of(
            "Which of its two APIs calls are made with. `auto`: Responses for models that take nothing else, and for "
            "calls that gain by it, such as those whose reasoning is to go on in the next turn; else Chat Completions.",
            "auto",
            "chat_completions",
            "responses",
            default="auto",
        ),
    },
)
