"""The kinds of providers Gatehouse can talk to, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a model can do, or a provider type can carry."""

    streaming: bool = False
    tools: bool = False
    json_schema: bool = False
    images: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderType:
    """A kind of provider. `default_base_url` is empty when each provider must say where it is."""

    id: str
    display_name: str
    description: str
    default_base_url: str = ""
    requires_key: bool
    capabilities: Capabilities


_EVERYTHING = Capabilities(streaming=True, tools=True, json_schema=True, images=True)

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
                capabilities=_EVERYTHING,
            ),
            ProviderType(
                id="openai_compatible",
                display_name="OpenAI-compatible",
                description="Any server that speaks OpenAI's Chat Completions, such as vLLM, LM Studio or Groq.",
                requires_key=False,
                capabilities=_EVERYTHING,
            ),
        )
    }
)
