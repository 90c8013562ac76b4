"""What key_vault is told by its environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import SettingsConfigDict

from libs.core.validation import origin_of
from libs.rpc.settings import DatabaseSettings

# Mounts and key names become parts of Vault's paths.
_PATH_PART = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class Settings(DatabaseSettings):
    """Read from `KEY_VAULT_*`: the field's name in upper case behind that prefix."""

    # A database URL may hold a password: what is wrong is told without the values.
    model_config = SettingsConfigDict(env_prefix="KEY_VAULT_", hide_input_in_errors=True)

    fingerprint_key_file: Path
    """At least 32 characters, random, kept apart from the database and the same on all replicas."""

    retired_versions_kept_days: float = Field(default=30.0, ge=0, le=3650)
    """How long a version stays after it retired, to be rolled back to, before it is destroyed."""
    import_environment: bool = True
    """Take the platform's keys from OPENAI_API_KEY and its like (`environment/platform_keys.py`) at the start."""

    audit_anchor_file: Path | None = None
    """Where the heads of the audit chains are kept, signed: a file outside the database, only appended to."""
    audit_anchor_url: str | None = Field(default=None, repr=False, pattern=r"^https?://")
    """In place of the file: an address to which anchors are posted as JSON lines."""
    audit_anchor_interval_s: float = Field(default=3600.0, ge=1, le=86_400)
    """How often chains that have grown are anchored."""

    vault_secrets_file: Path | None = None
    """TOML: which secrets of Vault which owners may use as keys; see `deploy/README.md`."""
    vault_addr: str
    """Origin of HashiCorp Vault or OpenBao, such as `https://vault.example:8200`; http only on this machine."""
    vault_ca_file: Path
    """PEM: the authorities that sign Vault's certificate."""
    vault_namespace: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_./-]+$")
    """Vault Enterprise's or OpenBao's namespace, where one is used."""
    vault_transit_mount: str = Field(default="transit", pattern=_PATH_PART)
    """Where the transit engine is mounted."""
    vault_transit_key: str = Field(default="provider-keys", pattern=_PATH_PART)
    """The transit key; made with `derived=true`."""
    vault_anchor_key: str = Field(default="audit-anchors", pattern=_PATH_PART)
    """The transit key that signs the heads of audit chains; an ed25519 key."""
    vault_auth_method: Literal["approle", "kubernetes"] = "approle"
    """How the two Vault identities log in: the writer, which may encrypt, and the reader, which may decrypt."""
    vault_approle_mount: str = Field(default="approle", pattern=_PATH_PART)
    """Where AppRole is mounted."""
    vault_writer_role_id_file: Path | None = Field(default=None, validate_default=True)
    """For AppRole, as the next three. Files are read at every login; a secret id must be good for many."""
    vault_writer_secret_id_file: Path | None = Field(default=None, validate_default=True)
    vault_reader_role_id_file: Path | None = Field(default=None, validate_default=True)
    vault_reader_secret_id_file: Path | None = Field(default=None, validate_default=True)
    vault_kubernetes_mount: str = Field(default="kubernetes", pattern=_PATH_PART)
    """Where Kubernetes' logins are mounted."""
    vault_writer_kubernetes_role: str | None = Field(default=None, pattern=_PATH_PART, validate_default=True)
    """Vault's role for the writer, and the reader's below it; both are bound to this service's account."""
    vault_reader_kubernetes_role: str | None = Field(default=None, pattern=_PATH_PART, validate_default=True)
    vault_kubernetes_token_file: Path = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
    """The service account's token, which Kubernetes puts there and renews; read at every login."""
    vault_connect_timeout_s: float = Field(default=1.0, gt=0, le=30)
    """For a connection to Vault, in seconds."""
    vault_read_timeout_s: float = Field(default=2.0, gt=0, le=30)
    """For Vault's answer, in seconds."""
    vault_secret_timeout_s: float = Field(default=0.5, gt=0, le=60)
    """For reading a key that stays in the operator's Vault, in all: others are asked for in the same batch."""
    vault_timeout_s: float = Field(default=4.0, gt=0, le=60)
    """For a call in all, with the login and the one repetition it may need, in seconds."""

    @field_validator("vault_addr")
    @classmethod
    def _origin_over_tls(cls, value: str) -> str:
        parts = urlsplit(value)
        if origin_of(value) is None or parts.path not in ("", "/"):
            raise ValueError("must be an origin such as https://vault.example:8200")
        if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
            raise ValueError("must begin with https://; http is for a Vault on this machine only")
        return value.rstrip("/")

    @field_validator(
        "vault_writer_role_id_file",
        "vault_writer_secret_id_file",
        "vault_reader_role_id_file",
        "vault_reader_secret_id_file",
    )
    @classmethod
    def _is_there_for_approle(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if value is None and info.data.get("vault_auth_method") == "approle":
            raise ValueError("is required to log in to Vault by AppRole (VAULT_AUTH_METHOD=approle)")
        return value

    @field_validator("vault_writer_kubernetes_role", "vault_reader_kubernetes_role")
    @classmethod
    def _is_there_for_kubernetes(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None and info.data.get("vault_auth_method") == "kubernetes":
            raise ValueError("is required to log in to Vault by Kubernetes (VAULT_AUTH_METHOD=kubernetes)")
        return value


def environment() -> Mapping[str, str]:
    """The variables of this process, for the platform's keys among them."""
    return os.environ
