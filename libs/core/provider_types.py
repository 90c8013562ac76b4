"""What a kind of provider is: the description that every service and every plugin speaks of."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a model can do, or a provider type can carry.

    `fixed_sampling` is what a model cannot: it refuses temperature, top_p and top_k. No type and no route has it.
    """

    streaming: bool = False
    tools: bool = False
    json_schema: bool = False
    images: bool = False
    audio: bool = False
    documents: bool = False
    reasoning: bool = False
    embeddings: bool = False
    fixed_sampling: bool = False

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


def catalogue_type(type_id: str, server: object) -> str:
    """The name under which a catalogue knows whose models a provider serves: `openai_compatible/groq`, else its type.

    `server` is the provider's option of that name, which says whose models a compatible server has.
    """
    return f"{type_id}/{server}" if type_id == "openai_compatible" and isinstance(server, str) and server else type_id
