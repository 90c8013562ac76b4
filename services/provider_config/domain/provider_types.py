"""The kinds of providers Gatehouse can talk to, as data."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a model can do, or a provider type can carry."""

    streaming: bool = False
    tools: bool = False
    json_schema: bool = False
    images: bool = False
    audio: bool = False
    documents: bool = False
    reasoning: bool = False
    embeddings: bool = False

    @classmethod
    def named(cls, names: AbstractSet[str]) -> Capabilities:
        """Those called `names`, and no others."""
        return cls(**dict.fromkeys(names, True))


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderType:
    """A kind of provider. `default_base_url` is empty when each provider must say where it is.

    `options`: the JSON Schemas of what only this kind knows, by name. Whatever else is given is refused, so each
    schema has to bound its value.
    """

    id: str
    display_name: str
    description: str
    default_base_url: str = ""
    requires_key: bool
    capabilities: Capabilities
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def options_schema(self) -> Mapping[str, Any]:
        """The JSON Schema of `Provider.options`."""
        return {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "properties": dict(self.options),
            "additionalProperties": False,
        }


# What the Chat Completions format carries.
_CHAT_COMPLETIONS = Capabilities(streaming=True, tools=True, json_schema=True, images=True)


def _header_value(description: str) -> Mapping[str, Any]:
    """The schema of an id that is sent in a header."""
    return {"type": "string", "description": description, "pattern": "^[A-Za-z0-9_-]{1,128}$"}


# By id, in the order ListProviderTypes answers.
PROVIDER_TYPES: Mapping[str, ProviderType] = MappingProxyType(
    {
        provider_type.id: provider_type
        for provider_type in (
            ProviderType(
                id="openai",
                display_name="OpenAI",
                description="The OpenAI API.",
                default_base_url="https://api.openai.com/v1",
                requires_key=True,
                capabilities=_CHAT_COMPLETIONS,
                options={
                    "organization": _header_value(
                        "The organization calls are charged to, when the key belongs to several: `org-…`."
                    ),
                    "project": _header_value("The project calls are charged to: `proj_…`."),
                },
            ),
            ProviderType(
                id="openai_compatible",
                display_name="OpenAI-compatible",
                description="Any server that speaks OpenAI's Chat Completions, such as vLLM, LM Studio or Groq.",
                requires_key=False,
                capabilities=_CHAT_COMPLETIONS,
                options={
                    "output_limit_field": {
                        "type": "string",
                        "description": "What the server calls the limit on output tokens.",
                        "enum": ["max_tokens", "max_completion_tokens"],
                        "default": "max_tokens",
                    },
                    "stream_usage": {
                        "type": "boolean",
                        "description": "Whether streams are asked to end with what they used. Without it usage is "
                        "estimated; switch it off for servers that refuse `stream_options`.",
                        "default": True,
                    },
                },
            ),
        )
    }
)
