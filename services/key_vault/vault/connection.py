"""What is needed to talk to a Vault."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class VaultAddress:
    """Where Vault is and what in it is ours. Mounts and names come from the operator, never from a request.

    `url` is an origin (`https://vault.example:8200`), `ca_file` the PEM of who signed its certificate; it is read at
    every connection. `connect_timeout_s` bounds the connection with its handshake, `read_timeout_s` an answer from
    the request's first byte to the body's last.
    """

    url: str
    ca_file: Path
    namespace: str | None = None
    transit_mount: str = "transit"
    transit_key: str = "provider-keys"
    anchor_key: str = "audit-anchors"
    connect_timeout_s: float = 1.0
    read_timeout_s: float = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AppRoleFiles:
    """An identity by AppRole. The files are read at every login, so that credentials can be exchanged while serving.

    The secret id must be good for many logins: a token that cannot be renewed, or was revoked, is replaced.
    """

    role_id: Path
    secret_id: Path
    mount: str = "approle"


@dataclass(frozen=True, slots=True, kw_only=True)
class KubernetesRole:
    """An identity by Kubernetes' own: the service account whose token lies in `token_file` logs in as `role`.

    The file is read at every login: Kubernetes exchanges the token in it long before it ends.
    """

    role: str
    token_file: Path
    mount: str = "kubernetes"


Credentials = AppRoleFiles | KubernetesRole
"""How one Vault identity logs in."""
