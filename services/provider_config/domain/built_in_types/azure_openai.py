"""OpenAI's models on Azure."""

from __future__ import annotations

from libs.core.provider_types import Capabilities, ProviderType
from services.provider_config.domain.built_in_types.option_schemas import one_of

AZURE_OPENAI = ProviderType(
    id="azure_openai",
    display_name="Azure OpenAI",
    description="OpenAI's models on Azure: models are deployments, each called as you named it.",
    requires_key=True,
    capabilities=Capabilities(
        streaming=True, tools=True, json_schema=True, images=True, reasoning=True, embeddings=True
    ),
    options={
        "api_version": {
            "type": "string",
            "description": "The version of the API: a date such as `2024-10-21`.",
            "examples": ["2024-10-21", "v1"],
            "pattern": "^(v1|preview|latest|[0-9]{4}-[0-9]{2}-[0-9]{2}(-preview)?)$",
        },
        "auth": one_of("What the key is.", "api_key", "entra", default="api_key"),
    },
)
