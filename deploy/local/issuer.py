"""The local token issuer: an Ed25519 key, and its public half as a JWKS.

In production this is the company's OIDC issuer; the services only ever see a JWKS.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from deploy.local.errors import LauncherError
from deploy.local.layout import StateLayout
from deploy.local.state_files import PRIVATE, PUBLIC, write_file

ISSUER = "https://gatehouse.local"
AUDIENCE = "gatehouse"


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuer:
    """Who signs development tokens. `kid` names the key inside the JWKS (its RFC 7638 thumbprint)."""

    key_file: Path
    kid: str
    issuer: str = ISSUER
    audience: str = AUDIENCE


def ensure_issuer(layout: StateLayout) -> Issuer:
    """Make the signing key at first start; write the JWKS that belongs to it.

    Raises LauncherError when the key file holds something else; it is not overwritten then.
    """
    if layout.issuer_key.exists():
        key = _read_key(layout.issuer_key)
        layout.issuer_key.chmod(PRIVATE)
    else:
        key = ed25519.Ed25519PrivateKey.generate()
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        write_file(layout.issuer_key, pem, mode=PRIVATE)
    jwk = _public_jwk(key.public_key())
    jwks = json.dumps({"keys": [jwk]}, indent=2).encode() + b"\n"
    if not layout.jwks.exists() or layout.jwks.read_bytes() != jwks:
        write_file(layout.jwks, jwks, mode=PUBLIC)
    return Issuer(key_file=layout.issuer_key, kid=jwk["kid"])


def _public_jwk(key: ed25519.Ed25519PublicKey) -> dict[str, str]:
    required = {"crv": "Ed25519", "kty": "OKP", "x": _base64url(key.public_bytes_raw())}
    canonical = json.dumps(required, sort_keys=True, separators=(",", ":")).encode()
    thumbprint = _base64url(hashlib.sha256(canonical).digest())
    return {**required, "alg": "EdDSA", "use": "sig", "kid": thumbprint}


def _read_key(path: Path) -> ed25519.Ed25519PrivateKey:
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError) as error:
        raise LauncherError(_unreadable(path)) from error
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise LauncherError(_unreadable(path))
    return key


def _unreadable(path: Path) -> str:
    return (
        f"{path} does not hold an Ed25519 private key.\n"
        "Restore it from a backup, or remove it: a new one is made at the next start, and tokens signed so far end."
    )


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
