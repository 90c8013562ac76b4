"""A configured provider."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from libs.core.resource_names import KeyName, Owner, ProviderName
from services.provider_config.domain.etag import etag_of
from services.provider_config.domain.versions import Version

DEFAULT_PRIORITY = 100
MAX_PROVIDERS = 200
"""Of one owner: every call's plan looks at all of them, at two microseconds each, and every answer names them."""
# In bytes. It is in every list of providers, whose size is bounded.
MAX_TEST_MESSAGE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderLimits:
    """What each router sends to a provider at most; 0: no limit."""

    requests_per_minute: int = 0
    tokens_per_minute: int = 0
    concurrent_requests: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderTimeouts:
    """How long a provider may take; None: as the router is set up."""

    connect: timedelta | None = None
    first_event: timedelta | None = None
    idle: timedelta | None = None
    total: timedelta | None = None


class ProviderTestOutcome(enum.StrEnum):
    """Values of the API's `ProviderTestOutcome` without their prefix."""

    OK = "OK"
    BAD_KEY = "BAD_KEY"
    NO_PERMISSION = "NO_PERMISSION"
    WRONG_ENDPOINT = "WRONG_ENDPOINT"
    UNKNOWN_MODEL = "UNKNOWN_MODEL"
    UNREACHABLE = "UNREACHABLE"
    RATE_LIMITED = "RATE_LIMITED"
    PROVIDER_ERROR = "PROVIDER_ERROR"
    KEY_UNUSABLE = "KEY_UNUSABLE"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderTest:
    """What a test of a provider found, at `time`, UTC. A longer `message` is cut to MAX_TEST_MESSAGE bytes."""

    time: datetime
    outcome: ProviderTestOutcome
    message: str
    duration: timedelta
    model_count: int

    def __post_init__(self) -> None:
        cut = self.message.encode()[:MAX_TEST_MESSAGE].decode(errors="ignore")
        object.__setattr__(self, "message", cut)


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
    weight: int | None = None
    default_for_tasks: tuple[str, ...] = ()
    limits: ProviderLimits = ProviderLimits()
    timeouts: ProviderTimeouts = ProviderTimeouts()
    max_retries: int | None = None
    default_temperature: float | None = None
    default_max_output_tokens: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """A provider as stored. `version` counts its changes from 1; times are UTC. A test of it is no change."""

    name: ProviderName
    uid: str
    version: int
    type: str
    settings: ProviderSettings
    created_by: str
    create_time: datetime
    update_time: datetime
    last_test: ProviderTest | None = None

    @property
    def etag(self) -> str:
        """What a caller hands back to change only what it has seen."""
        return etag_of(self.uid, self.version)

    @property
    def server(self) -> str:
        """Whose models it serves, if its option `server` says so."""
        server = self.settings.options.get("server")
        return server if isinstance(server, str) else ""

    @property
    def scope(self) -> Owner:
        """In whose snapshot it is."""
        return scope_of(self.name.owner)

    def changed(self, settings: ProviderSettings, *, now: datetime) -> Provider:
        """The next version, with `settings`."""
        return replace(self, settings=settings, version=self.version + 1, update_time=now)

    def at(self, version: Version[ProviderSettings]) -> Provider:
        """What it was; tests are not kept with versions."""
        return replace(
            self,
            settings=version.settings,
            version=version.version,
            update_time=version.change_time,
            last_test=None,
        )


def scope_of(owner: Owner) -> Owner:
    """The platform or the tenant: what a user of a tenant owns is in the tenant's snapshot."""
    return Owner(owner.tenant)
