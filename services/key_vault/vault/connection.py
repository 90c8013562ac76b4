"""What is needed to talk to a Vault."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class VaultAddress:
    """Where Vault is and what in it is ours. Mounts and names come from the operator, never from a request.

    `url` is an origin (`https://vault.example:8200`), `ca_file` the PEM of who signed its certificate.
    """

    url: str
    ca_file: Path
    namespace: str | None = None
    transit_mount: str = "transit"
    transit_key: str = "provider-keys"
    approle_mount: str = "approle"
    connect_timeout_s: float = 1.0
    read_timeout_s: float = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AppRoleFiles:
    """One Vault identity. The files are read at every login, so that credentials can be exchanged while serving.

    The secret id must be good for many logins: every thread has a token of its own and gets a new one before it ends.
    """

    role_id: Path
    secret_id: Path
