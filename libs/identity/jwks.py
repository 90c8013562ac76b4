"""The public keys tokens are verified with: JSON Web Key Sets, read strictly."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

PublicKey = Ed25519PublicKey | EllipticCurvePublicKey | RSAPublicKey

MAX_JWKS_BYTES = 256 * 1024
MAX_KEYS = 100
MIN_RSA_BITS = 2048

_Fields = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationKey:
    """A public key and the one algorithm it verifies; the algorithm follows from the key's type alone."""

    kid: str | None
    algorithm: str
    public_key: PublicKey


@dataclass(frozen=True, slots=True)
class KeySet:
    """The keys an issuer signs with."""

    keys: tuple[VerificationKey, ...] = ()

    def find(self, kid: str | None) -> VerificationKey | None:
        """The key called `kid`. A token without a `kid` fits only when there is no choice."""
        if kid is None:
            return self.keys[0] if len(self.keys) == 1 else None
        return next((key for key in self.keys if key.kid == kid), None)


class KeySource(Protocol):
    """Where the verification keys come from. Used from one event loop."""

    def generation(self) -> int:
        """A number that changes whenever the keys changed; cheap enough for every call, never raises."""
        ...

    def find(self, kid: str | None) -> VerificationKey | None:
        """The key called `kid` among those now held."""
        ...

    async def refresh(self) -> None:
        """Look for new keys, at most as often as the source allows; concurrent callers share one attempt.

        Raises Unavailable when the keys cannot be had; keys already held stay.
        """
        ...


def parse_jwks(document: bytes) -> KeySet:
    """The usable keys of a JWKS document.

    Keys for other purposes, of other types or curves, too short, private, symmetric, or with a `kid` that an
    earlier one has are left out. Raises ValueError when `document` is no JWKS or no key is usable; the text holds
    nothing of it.
    """
    if len(document) > MAX_JWKS_BYTES:
        raise ValueError(f"the key set is larger than {MAX_JWKS_BYTES} bytes")
    try:
        fields = json.loads(document)
    except (ValueError, RecursionError):
        raise ValueError("the key set is not JSON") from None
    entries = fields.get("keys") if isinstance(fields, dict) else None
    if not isinstance(entries, list) or len(entries) > MAX_KEYS:
        raise ValueError(f"the key set needs a list `keys` of at most {MAX_KEYS}")
    found: dict[str | None, VerificationKey] = {}
    for entry in entries:
        key = _usable_key(entry) if isinstance(entry, dict) else None
        if key is not None:
            found.setdefault(key.kid, key)
    if not found:
        raise ValueError("the key set holds no Ed25519, P-256 or RSA (2048 bits or more) signing key")
    return KeySet(tuple(found.values()))


def _usable_key(fields: _Fields) -> VerificationKey | None:
    algorithm = _ALGORITHM_OF_TYPE.get(f"{fields.get('kty')} {fields.get('crv', '')}".strip())
    kid = fields.get("kid")
    if algorithm is None or not (kid is None or isinstance(kid, str)) or not _is_for_verifying(fields, algorithm):
        return None
    try:
        # `algorithm` is passed on purpose: PyJWK would otherwise take it from the document.
        public_key = jwt.PyJWK.from_dict(dict(fields), algorithm=algorithm).key
    except (jwt.PyJWTError, ValueError, TypeError):
        return None
    match public_key:
        case RSAPublicKey() if public_key.key_size < MIN_RSA_BITS:
            return None
        case Ed25519PublicKey() | EllipticCurvePublicKey() | RSAPublicKey():
            return VerificationKey(kid=kid, algorithm=algorithm, public_key=public_key)
        case _:
            return None


def _is_for_verifying(fields: _Fields, algorithm: str) -> bool:
    operations = fields.get("key_ops", ["verify"])
    return (
        "d" not in fields  # a private key that was published is nobody's identity any more
        and fields.get("use", "sig") == "sig"
        and fields.get("alg", algorithm) == algorithm
        and isinstance(operations, list)
        and "verify" in operations
    )


_ALGORITHM_OF_TYPE: Mapping[str, str] = MappingProxyType({"OKP Ed25519": "EdDSA", "EC P-256": "ES256", "RSA": "RS256"})
ALGORITHMS = frozenset(_ALGORITHM_OF_TYPE.values())
