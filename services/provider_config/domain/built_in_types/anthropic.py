"""Anthropic's own API."""

from __future__ import annotations

from libs.core.provider_types import Capabilities, ProviderType
from services.provider_config.domain.built_in_types.option_schemas import one_of

ANTHROPIC = ProviderType(
    id="anthropic",
    display_name="Anthropic",
    description="The Anthropic API: Claude.",
    default_base_url="https://api.anthropic.com",
    requires_key=True,
    capabilities=Capabilities(
        streaming=True, tools=True, json_schema=True, images=True, documents=True, reasoning=True
    ),
    options={
        "beta": {
            "type": "string",
            "description": "Features in beta that every call asks for, with commas: the header `anthropic-beta`.",
            "examples": ["files-api-2025-04-14"],
            "pattern": "^[a-z0-9-]{1,64}(,[a-z0-9-]{1,64}){0,15}$",
        },
        "thinking": one_of(
            "How models are told to think, whatever their names say: with a budget of tokens, or by effort. Unset: by "
            "the generation that a model's name tells, the newest in doubt.",
            "budget",
            "adaptive",
        ),
    },
)
