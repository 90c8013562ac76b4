"""The router's settings: environment variables with the prefix ROUTER_."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_settings import SettingsConfigDict

from libs.core.validation import origin_of
from libs.rpc.allowed_endpoints import AllowedEndpoints
from libs.rpc.settings import ServerSettings


def _base_url(url: str) -> str:
    if origin_of(url) is None:
        raise ValueError("must be an https URL with a host")
    return url


TokenUrl = Annotated[str, AfterValidator(_base_url)]


class Settings(ServerSettings):
    """What a router is told."""

    model_config = SettingsConfigDict(env_prefix="ROUTER_", frozen=True, extra="ignore")

    public_address: str = "127.0.0.1:7100"
    internal_address: str = "127.0.0.1:7200"

    max_message_bytes: int = Field(default=64 * 1024 * 1024, ge=64 * 1024, le=256 * 1024 * 1024)
    """The largest message accepted and sent: documents in, vectors out."""

    key_vault_target: str
    """`host:port` of key_vault's internal port."""
    provider_config_target: str
    """`host:port` of provider_config's internal port."""
    usage_accounting_target: str
    """`host:port` of usage_accounting's internal port."""
    spool_dir: Path
    """Where usage waits for the ledger: on a disk that outlives the process, one directory for each router."""
    spool_max_bytes: int = Field(default=1024**3, ge=1024**2)
    """Above this no new calls are taken on."""

    key_vault_timeout_s: float = Field(default=5.0, gt=0)
    """How long a batch of keys may take."""
    key_outcome_interval_s: float = Field(default=1.0, gt=0)
    """How often key_vault is told how providers took the keys."""
    usage_accounting_timeout_s: float = Field(default=10.0, gt=0)
    """How long a batch of reservations or settlements may take."""
    configuration_patience_s: float = Field(default=5.0, gt=0)
    """How long a call waits for its tenant's configuration, or for a revision it asked for."""
    configuration_idle_s: float = Field(default=1800.0, ge=60)
    """Tenants without a call for this long are forgotten; the next call fetches their configuration again."""

    longest_call_s: float = Field(default=900.0, gt=0, le=86_400)
    """Calls without a deadline, or with a longer one, are cut off after this time."""
    connect_timeout_s: float = Field(default=5.0, gt=0)
    """To a provider: connection and TLS."""
    first_event_timeout_s: float = Field(default=120.0, gt=0)
    """To a provider: from the request to the first byte of a stream, or to the end of a whole answer."""
    idle_timeout_s: float = Field(default=60.0, gt=0)
    """To a provider: between two pieces of a stream."""

    google_token_url: TokenUrl = "https://oauth2.googleapis.com"  # noqa: S105 - an address
    """Who exchanges the keys of Google service accounts for access tokens: what stands before `/token`. Only other for
    another universe than googleapis.com, and for tests."""
    entra_token_url: TokenUrl = "https://login.microsoftonline.com"  # noqa: S105 - an address
    """Who issues Microsoft Entra's access tokens: what stands before the tenant. A sovereign cloud has its own, such as
    `https://login.microsoftonline.us`."""

    allowed_endpoints: AllowedEndpoints = ()
    """Places inside the network that providers may live at, also over plain http: hosts, `*.domain`s, addresses and
    networks, each with `:port` or without, separated by commas. provider_config must be told the same."""
    allow_loopback_endpoints: bool = False
    """Whether providers may live on this machine (localhost, 127.0.0.0/8, ::1), also by plain http. For local use."""
    allowed_media_endpoints: AllowedEndpoints = ()
    """Places inside the network that images, sounds and documents may be fetched from, which callers name by URL and
    not every provider fetches itself. In the form of `allowed_endpoints`, whose places are not among them: those are
    for whoever configures providers, these for everybody who calls."""

    max_attempts: int = Field(default=6, ge=1, le=100)
    """Attempts of one call over all targets."""
    max_retries: int = Field(default=1, ge=0, le=10)
    """How often the last target is tried again after a failure that may pass."""
    breaker_threshold: int = Field(default=5, ge=1)
    """Faults within a minute after which a target cools down, if at least half of its calls failed."""
    breaker_minimum_calls: int = Field(default=5, ge=1)
    """Calls within a minute before a target cools down at all; below `breaker_threshold` it changes nothing."""
    breaker_cooldown_s: float = Field(default=5.0, ge=0)
    """How long it cools down, unless the provider says."""
