"""What every service is told about its two ports, its certificates and the tokens it accepts."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import BeforeValidator, Field, StringConstraints, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from libs.core.secret import Secret
from libs.identity.freshness import SECOND_FACTORS

LogLevel = Annotated[
    Literal["debug", "info", "warning", "error"],
    BeforeValidator(lambda value: value.lower() if isinstance(value, str) else value),
]


def _separated(value: object) -> object:
    return {name for part in value.split(",") if (name := part.strip())} if isinstance(value, str) else value


# The characters RFC 9470 allows in a challenge, which lists such names separated by spaces.
_Name = Annotated[str, StringConstraints(pattern=r"^[!#-\[\]-~]+$", max_length=128)]
_Names = Annotated[frozenset[_Name], NoDecode, Field(max_length=16), BeforeValidator(_separated)]
# What Kubernetes tells every pod about the services beside it.
_OF_KUBERNETES = re.compile(r"_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP)(_(PROTO|PORT|ADDR))?)?)\Z")
_LEAST_KEY_CHARACTERS = 32
_Settings = TypeVar("_Settings", bound="ServerSettings")


class WrongSetting(Exception):
    """A setting that only showed itself to be wrong when it was used; the text names it and says what to do."""


class ServerSettings(BaseSettings):
    """The settings all services share. A service subclasses it and sets `env_prefix`.

    Every field is read from the environment variable with the service's prefix and the field's name in upper case,
    such as `ROUTER_PUBLIC_ADDRESS`.
    """

    model_config = SettingsConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    public_address: str
    """`host:port` for callers with tokens, over TLS."""
    internal_address: str
    """`host:port` for the other services, over mutual TLS."""
    tls_cert_file: Path
    """PEM: the service's certificate chain, its SPIFFE URI inside."""
    tls_key_file: Path
    """PEM: the certificate's private key."""
    tls_ca_file: Path
    """PEM: the authorities that sign the services' certificates."""

    jwt_issuer: str
    """The only `iss` accepted."""
    jwt_audience: str
    """The `aud` a token must be for."""
    jwt_jwks: str
    """The issuer's keys: a file, or an https URL."""

    fresh_auth_max_age_s: float | None = Field(default=None, ge=1, allow_inf_nan=False)
    """How long ago, in seconds, callers may have authenticated who create, rotate or delete keys or export an audit
    log; without it any valid token will do. The issuer's tokens then need `auth_time`, and `amr` or `acr`."""
    fresh_auth_acr_values: _Names = frozenset()
    """Values of a token's `acr` that mean a second factor here, separated by commas."""
    fresh_auth_amr: _Names = SECOND_FACTORS
    """Values of a token's `amr` (RFC 8176) of which one means a second factor, separated by commas."""

    shutdown_grace_s: float = Field(default=20.0, ge=0, le=3600)
    """How long calls under way may go on after SIGTERM, in seconds."""
    max_message_bytes: int = Field(default=32 * 1024 * 1024, ge=64 * 1024, le=256 * 1024 * 1024)
    """The largest message accepted and sent."""
    max_connection_age_s: float = Field(default=900.0, ge=1)
    """Connections are renewed after this time, so that none outlives its certificate for long."""
    max_concurrent_streams: int = Field(default=1000, ge=1)
    """Calls at once on one connection."""

    log_level: LogLevel = "info"
    otlp_endpoint: str | None = Field(default=None, validation_alias="OTEL_EXPORTER_OTLP_ENDPOINT")
    """Where traces and metrics go (OTLP over gRPC); nothing is sent without it."""

    @field_validator("fresh_auth_amr")
    @classmethod
    def _some_second_factor(cls, value: frozenset[str], info: ValidationInfo) -> frozenset[str]:
        if not value and not info.data.get("fresh_auth_acr_values"):
            raise ValueError("name a method here or a level in FRESH_AUTH_ACR_VALUES; nobody could meet the demand")
        return value


class DatabaseSettings(ServerSettings):
    """The settings of a service whose database keeps an audit log."""

    database_url: str = Field(repr=False)
    """`sqlite:////absolute/path.db` or `postgresql://user@host/database`."""
    migration_database_url: str | None = Field(default=None, repr=False)
    """The same database as its owner's role, for PostgreSQL: it makes the tables and grants the role of `database_url`
    what it needs, which for audit rows is to insert and read them. Unset: the service's own role makes the tables."""


def variable(settings: ServerSettings, field: str) -> str:
    """The environment variable of a field: `KEY_VAULT_DATABASE_URL`."""
    return f"{settings.model_config.get('env_prefix', '')}{field}".upper()


def read_key_file(settings: ServerSettings, field: str) -> Secret:
    """The key in the file that `field` names, without the white space around it.

    Raises OSError, and WrongSetting for one of fewer than 32 characters.
    """
    file: Path = getattr(settings, field)
    key = file.read_bytes().strip()
    if len(key) < _LEAST_KEY_CHARACTERS:
        raise WrongSetting(
            f"{variable(settings, field)}: {file} must hold at least {_LEAST_KEY_CHARACTERS} characters; make one "
            "with: openssl rand -hex 32"
        )
    return Secret(key)


def load_settings(settings: type[_Settings]) -> _Settings:
    """The settings from the environment. Exits with code 2, naming each wrong variable but never its value.

    Variables with the service's prefix that it does not know are named as well; they end nothing, for Kubernetes sets
    some of its own (`ROUTER_SERVICE_HOST`).
    """
    try:
        loaded = settings()
    except ValidationError as error:
        prefix = settings.model_config.get("env_prefix", "")
        wrong = "\n".join(
            f"  {prefix}{'.'.join(map(str, each['loc'])).upper()}: {each['msg']}"
            for each in error.errors(include_input=False, include_context=False, include_url=False)
        )
        sys.stderr.write(f"these environment variables are missing or wrong:\n{wrong}\n")
        sys.exit(2)
    prefix = settings.model_config.get("env_prefix", "")
    known = {f"{prefix}{name}".upper() for name in settings.model_fields}
    unknown = sorted(name for name in os.environ if prefix and name.startswith(prefix) and name not in known)
    for name in unknown:
        if not _OF_KUBERNETES.search(name):
            sys.stderr.write(f"{name} is set, but is no setting of this service: is it misspelt?\n")
    return loaded
