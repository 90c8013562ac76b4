"""What this service is told from outside."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from libs.rpc.allowed_endpoints import AllowedEndpoints
from libs.rpc.settings import DatabaseSettings


class Settings(DatabaseSettings):
    """Settings of provider_config: environment variables `PROVIDER_CONFIG_…`."""

    # A database URL may hold a password: what is wrong is told without the values.
    model_config = SettingsConfigDict(env_prefix="PROVIDER_CONFIG_", hide_input_in_errors=True)

    audit_seal_key_file: Path
    """At least 32 characters, random, kept apart from the database and the same on all replicas: the key that seals the
    ends of the audit log."""
    key_vault_target: str
    """`host:port` of key_vault's internal port."""
    key_vault_timeout_s: float = Field(default=5.0, gt=0)
    """How long a question about keys may take."""
    router_target: str
    """`host:port` of the router's internal port, for tests of providers."""
    probe_timeout_s: float = Field(default=15.0, gt=0, le=50)
    """How long a provider may take to answer a test."""
    probe_floor_s: float = Field(default=5.0, ge=0, le=3600)
    """How long after a test of a provider the next one may begin."""

    allowed_endpoints: AllowedEndpoints = ()
    """Places inside the network that providers may live at, also over plain http: hosts, `*.domain`s, addresses and
    networks, each with `:port` or without, separated by commas. The router must be told the same."""
    allow_loopback_endpoints: bool = False
    """Whether providers may live on this machine (localhost, 127.0.0.0/8, ::1), also by plain http. For local use."""
