"""Where a deployment's calls go, and whose names for models mean what."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from gatehouse.providerconfig.v1.provider_pb2 import ProviderType

Parameters = Callable[[str], str]
"""What a deployment says under a key; empty when it says nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a deployment's calls go. `vendor` names it for people; `variable` holds its key where the file names none,
    empty for one that needs no key; `key` is what the file calls it; `options` are those of the provider.
    """

    vendor: str
    type: str
    base_url: str
    model: str
    variable: str
    needs_key: bool
    key: str = "api_key"
    options: Mapping[str, str] = field(default_factory=dict)


def has_option(provider_type: ProviderType, name: str, value: str = "") -> bool:
    """Whether providers of this type have an option, and for a word among several also that one."""
    schema = provider_type.options_schema_json
    return f'"{name}"' in schema and (not value or f'"{value}"' in schema)
