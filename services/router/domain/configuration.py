"""What the router knows of providers: snapshots pushed by provider_config."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from libs.core.money import TokenPrices
from libs.core.resource_names import Owner


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a model can do."""

    streaming: bool = True
    tools: bool = True
    json_schema: bool = True
    images: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model of a provider. `context_tokens` and `max_output_tokens` are 0 when unknown."""

    id: str
    provider_model_id: str
    enabled: bool = True
    context_tokens: int = 0
    max_output_tokens: int = 0
    capabilities: Capabilities = Capabilities()
    price: TokenPrices | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """A configured provider; `key` is a resource name or empty, `origin` that of `base_url`."""

    name: str
    id: str
    owner: Owner
    type: str
    base_url: str
    origin: str
    key: str
    default_model: str
    active: bool
    is_default: bool
    priority: int
    models: Mapping[str, Model]


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """All providers of one scope (`platform` or `tenants/{tenant}`) at a revision.

    `providers` are in the order they are tried: defaults first, users' before the tenant's, then priority and name.
    They are sorted once here, not for every call.
    """

    scope: str
    revision: int
    providers: tuple[Provider, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "providers", tuple(sorted(self.providers, key=_precedence)))


def _precedence(provider: Provider) -> tuple[bool, bool, int, str]:
    return (not provider.is_default, provider.owner.user is None, provider.priority, provider.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """What one caller's calls are planned with."""

    tenant: Snapshot
    platform: Snapshot

    @property
    def revision(self) -> int:
        """The revision up to which both scopes are known."""
        return max(self.tenant.revision, self.platform.revision)
