"""OpenAI's models on Azure."""

from __future__ import annotations

from libs.core.provider_types import Capabilities, ProviderType
from services.provider_config.domain.built_in_types.option_schemas import one_of

AZURE_OPENAI = ProviderType(
    id="azure_openai",
    display_name="Azure OpenAI",
    description="OpenAI's models on Azure: each is a deployment, whose name is the model's `provider_model_id`.",
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
        "api_version": {
            "type": "string",
            "description": "The version of the API. A date such as `2024-10-21`, the default, puts the deployment into "
            "the path; `v1`, `preview` and `latest` are the API without it, which carries documents and tiers too. "
            "Sound and reasoning need one of these, or `2024-12-01-preview` or newer.",
            "examples": ["2024-10-21", "v1"],
            "pattern": "^(v1|preview|latest|[0-9]{4}-[0-9]{2}-[0-9]{2}(-preview)?)$",
        },
        "auth": one_of(
            "What the key is: an API key of the resource, or the JSON object of an application registered in Entra: "
            '`{"tenant_id": …, "client_id": …, "client_secret": …}`.',
            "api_key",
            "entra",
            default="api_key",
        ),
    },
)
