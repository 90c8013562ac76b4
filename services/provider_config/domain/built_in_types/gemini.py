"""Google's Gemini API, and Gemini on Vertex AI."""

from __future__ import annotations

from libs.core.provider_types import Capabilities, ProviderType
from services.provider_config.domain.built_in_types.option_schemas import one_of

GEMINI = ProviderType(
    id="gemini",
    display_name="Google Gemini",
    description="The Gemini API, and Gemini on Vertex AI.",
    default_base_url="https://generativelanguage.googleapis.com/v1beta",
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
        "auth": one_of(
            "What the key is: an API key, or the JSON of a service account's key. With it calls go to Vertex AI "
            "and `base_url` is `https://{location}-aiplatform.googleapis.com/v1/projects/{project}/locations/{location}/"
            "publishers/google`.",
            "api_key",
            "service_account",
            default="api_key",
        ),
        "thinking": one_of(
            "How models whose names do not tell are told to think, such as tuned ones: with a budget of tokens, or by "
            "level, which is the default.",
            "budget",
            "level",
        ),
    },
)
