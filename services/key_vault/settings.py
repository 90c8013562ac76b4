"""What key_vault is told by its environment."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field, field_validator
from pydantic_settings import SettingsConfigDict

from libs.core.validation import origin_of
from libs.rpc.settings import ServerSettings

# Mounts and key names become parts of Vault's paths.
_PATH_PART = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class Settings(ServerSettings):
    """Read from `KEY_VAULT_*`: the field's name in upper case behind that prefix."""

    # A database URL may hold a password: what is wrong is told without the values.
    model_config = SettingsConfigDict(env_prefix="KEY_VAULT_", hide_input_in_errors=True)

    database_url: str = Field(repr=False)
    """`sqlite:////absolute/path.db` or `postgresql://user@host/database`."""
    fingerprint_key_file: Path
    """At least 32 characters, random, kept apart from the database and the same on all replicas."""

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
    vault_approle_mount: str = Field(default="approle", pattern=_PATH_PART)
    """Where AppRole is mounted."""
    vault_writer_role_id_file: Path
    """The identity that may encrypt. Files are read at every login; a secret id must be good for many."""
    vault_writer_secret_id_file: Path
    vault_reader_role_id_file: Path
    """The identity that may decrypt."""
    vault_reader_secret_id_file: Path
    vault_connect_timeout_s: float = Field(default=1.0, gt=0, le=30)
    """For a connection to Vault, in seconds."""
    vault_read_timeout_s: float = Field(default=2.0, gt=0, le=30)
    """For Vault's answer, in seconds."""
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
