"""OpenBao's configuration file: listener, storage, seal, audit, and what it sets up in itself at its first start."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

TRANSIT_MOUNT = "transit"
TRANSIT_KEY = "provider-keys"
ANCHOR_KEY = "audit-anchors"
SECRETS_MOUNT = "secret"
TOKEN_PERIOD = "1h"  # noqa: S105 - how long a token lives without renewal


@dataclass(frozen=True, slots=True, kw_only=True)
class VaultRole:
    """An AppRole with one policy of the same name; its credentials are read from files, never written here."""

    name: str
    policy_file: Path
    role_id_file: Path
    secret_id_file: Path


def render_config(
    *,
    address: str,
    cluster_address: str,
    certificate: Path,
    certificate_key: Path,
    storage: Path,
    seal_key: Path,
    audit_log: Path,
    roles: Iterable[VaultRole],
) -> str:
    """The configuration in HCL. Addresses are `host:port`; all paths absolute."""
    return f"""\
# Written by the launcher at every start; changes made here are lost.
ui           = false
api_addr     = {_text(f"https://{address}")}
cluster_addr = {_text(f"https://{cluster_address}")}

listener "tcp" {{
  address         = {_text(address)}
  cluster_address = {_text(cluster_address)}
  tls_cert_file   = {_text(certificate)}
  tls_key_file    = {_text(certificate_key)}
  tls_min_version = "tls12"
}}

storage "raft" {{
  path    = {_text(storage)}
  node_id = "local"
  # A single node need not wait long before it elects itself.
  performance_multiplier = 1
}}

seal "static" {{
  current_key_id = "local-1"
  current_key    = {_text(f"file://{seal_key}")}
}}

audit "file" "file" {{
  description = "Every request and answer; secrets in them are keyed hashes."
  options {{
    file_path = {_text(audit_log)}
    mode      = "0600"
  }}
}}

# Done once, at the first start on empty storage. The root token that does it is never shown and ends with it.
initialize "transit" {{
{_request("mount", f"sys/mounts/{TRANSIT_MOUNT}", {"type": "transit"})}
{_request("key", f"{TRANSIT_MOUNT}/keys/{TRANSIT_KEY}", {"type": "aes256-gcm96", "derived": True})}
{_request("anchor-key", f"{TRANSIT_MOUNT}/keys/{ANCHOR_KEY}", {"type": "ed25519"})}
}}

initialize "secrets" {{
{_request("mount", f"sys/mounts/{SECRETS_MOUNT}", {"type": "kv", "options": {"version": "2"}})}
}}

initialize "identities" {{
{_request("approle", "sys/auth/approle", {"type": "approle"})}
{"".join(_role(role) for role in roles)}}}
"""


def _role(role: VaultRole) -> str:
    path = f"auth/approle/role/{role.name}"
    requests = (
        _request(f"{role.name}-policy", f"sys/policies/acl/{role.name}", {"policy": _from_file(role.policy_file)}),
        _request(
            f"{role.name}-role",
            path,
            {"token_policies": [role.name], "token_no_default_policy": True, "token_period": TOKEN_PERIOD},
        ),
        _request(f"{role.name}-role-id", f"{path}/role-id", {"role_id": _from_file(role.role_id_file)}),
        _request(f"{role.name}-secret-id", f"{path}/custom-secret-id", {"secret_id": _from_file(role.secret_id_file)}),
    )
    return "".join(request + "\n" for request in requests)


def _request(name: str, path: str, data: Mapping[str, object]) -> str:
    return (
        f"  request {_text(name)} {{\n"
        f'    operation = "update"\n'
        f"    path      = {_text(path)}\n"
        f"    data      = {_value(data)}\n"
        "  }"
    )


def _from_file(path: Path) -> dict[str, str]:
    return {"eval_source": "file", "eval_type": "string", "path": str(path)}


def _value(value: object) -> str:
    """Maps, lists, texts and booleans; HCL writes all but maps as JSON does."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_value(inner)}" for key, inner in value.items()) + " }"
    return json.dumps(value, ensure_ascii=False)


def _text(value: str | Path) -> str:
    return _value(str(value))
