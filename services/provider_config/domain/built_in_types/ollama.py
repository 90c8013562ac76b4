"""Ollama, on a machine of one's own or as a service."""

from __future__ import annotations

from libs.core.provider_types import Capabilities, ProviderType
from services.provider_config.domain.built_in_types.option_schemas import switch

OLLAMA = ProviderType(
    id="ollama",
    display_name="Ollama",
    description="A server of Ollama, by its own API; ollama.com too, with a key.",
    default_base_url="http://localhost:11434",
    requires_key=False,
    capabilities=Capabilities(
        streaming=True, tools=True, json_schema=True, images=True, reasoning=True, embeddings=True
    ),
    options={
        "num_ctx": {
            "type": "integer",
            "description": "The context that models are loaded with, in tokens. Unset: the server's own, often 4096. A "
            "call that does not fit is refused as too long; older versions of Ollama cut it off without a word.",
            "examples": [32_768],
            "minimum": 1,
            "maximum": 100_000_000,
        },
        "keep_alive": {
            "type": "string",
            "description": "How long a model stays loaded after a call: `5m`, `1h`, `-1` for ever, `0` not at all.",
            "examples": ["10m", "-1"],
            "pattern": "^(-1|0|[0-9]{1,9}(ms|s|m|h))$",
        },
        "think": switch("Whether models think when a call does not say. Unset: as they do by themselves."),
    },
)
