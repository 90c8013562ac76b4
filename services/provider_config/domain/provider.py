"""A configured provider."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from libs.core.resource_names import KeyName, Owner, ProviderName
from libs.core.validation import FieldChecks
from services.provider_config.domain.etag import etag_of
from services.provider_config.domain.provider_types import PROVIDER_TYPES, ProviderType

DEFAULT_PRIORITY = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderSettings:
    """What can be changed of a provider; names and bounds as in `provider.proto`.

    An empty `base_url` becomes the type's default when the provider is stored.
    """

    display_name: str = ""
    description: str = ""
    base_url: str = ""
    key: KeyName | None = None
    default_model: str = ""
    active: bool = True
    is_default: bool = False
    priority: int = DEFAULT_PRIORITY
    labels: Mapping[str, str] = field(default_factory=dict)

    def completed(self, provider_type: ProviderType, check: FieldChecks) -> ProviderSettings:
        """With the type's default address where none is set; `check` learns what the type requires and lacks."""
        base_url = self.base_url or provider_type.default_base_url
        check.that(bool(base_url), "provider.base_url", f"is required: {provider_type.id} has no default")
        needs_key = provider_type.requires_key and self.key is None
        check.that(not needs_key, "provider.key", f"is required: {provider_type.id} needs a key")
        return replace(self, base_url=base_url)


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """A provider as stored. `version` counts its changes from 1; times are UTC."""

    name: ProviderName
    uid: str
    version: int
    type: str
    settings: ProviderSettings
    created_by: str
    create_time: datetime
    update_time: datetime

    @property
    def etag(self) -> str:
        """What a caller hands back to change only what it has seen."""
        return etag_of(self.uid, self.version)

    @property
    def provider_type(self) -> ProviderType:
        """Its kind."""
        return PROVIDER_TYPES[self.type]

    @property
    def scope(self) -> Owner:
        """In whose snapshot it is."""
        return scope_of(self.name.owner)

    def changed(self, settings: ProviderSettings, *, now: datetime) -> Provider:
        """The next version, with `settings`."""
        return replace(self, settings=settings, version=self.version + 1, update_time=now)


def scope_of(owner: Owner) -> Owner:
    """The platform or the tenant: what a user of a tenant owns is in the tenant's snapshot."""
    return Owner(owner.tenant)
