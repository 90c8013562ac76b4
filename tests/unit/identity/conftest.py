"""An issuer that signs tokens, good and bad ones, and a clock that stands still."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from libs.identity.jwks import KeySet, VerificationKey, parse_jwks
from libs.identity.tokens import TokenVerifier

NOW = 1_800_000_000
ISSUER = "https://issuer.test"
AUDIENCE = "gatehouse"


class FakeClock:
    """Time moved by hand."""

    def __init__(self) -> None:
        self.time = float(NOW)

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.time, UTC)

    def monotonic(self) -> float:
        return self.time


class FakeKeys:
    """A key source whose keys change when told, counting how often it was asked to look for more."""

    def __init__(self, keys: KeySet) -> None:
        self.keys = keys
        self.number = 1
        self.refreshes = 0
        self.on_refresh: KeySet | Exception | None = None

    def replace(self, keys: KeySet) -> None:
        self.keys = keys
        self.number += 1

    def generation(self) -> int:
        return self.number

    def find(self, kid: str | None) -> VerificationKey | None:
        return self.keys.find(kid)

    async def refresh(self) -> None:
        self.refreshes += 1
        if isinstance(self.on_refresh, Exception):
            raise self.on_refresh
        if self.on_refresh is not None:
            self.replace(self.on_refresh)


def b64(data: bytes) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


class Issuer:
    """Signs with one key of each kind, named `ed`, `ec` and `rsa`."""

    def __init__(self) -> None:
        self.private: dict[str, Any] = {
            "ed": Ed25519PrivateKey.generate(),
            "ec": ec.generate_private_key(ec.SECP256R1()),
            "rsa": rsa.generate_private_key(65537, 2048),
        }
        self.algorithms = {"ed": "EdDSA", "ec": "ES256", "rsa": "RS256"}
        makers: dict[str, Any] = {"ed": OKPAlgorithm, "ec": ECAlgorithm, "rsa": RSAAlgorithm}
        self.jwks = {
            "keys": [
                {**makers[kid].to_jwk(key.public_key(), as_dict=True), "kid": kid, "use": "sig"}
                for kid, key in self.private.items()
            ]
        }

    def key_set(self, *kids: str) -> KeySet:
        keys = [key for key in self.jwks["keys"] if not kids or key["kid"] in kids]
        return parse_jwks(json.dumps({"keys": keys}).encode())

    def claims(self, **changes: object) -> dict[str, object]:
        claims: dict[str, object] = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": "ann",
            "tenant": "acme",
            "roles": ["member"],
            "plan": "pro",
            "iat": NOW,
            "exp": NOW + 600,
            "jti": "j1",
        }
        return {name: value for name, value in (claims | changes).items() if value is not ...}

    def token(self, kid: str = "ed", headers: dict[str, Any] | None = None, **changes: object) -> bytes:
        names = {"kid": kid} | (headers or {})
        return jwt.encode(
            self.claims(**changes), self.private[kid], algorithm=self.algorithms[kid], headers=names
        ).encode()

    def raw(self, payload: bytes, header: dict[str, object] | None = None, *, kid: str = "ed") -> bytes:
        """Sign any bytes with the Ed25519 key, under any header."""
        head = b64(json.dumps(header or {"alg": "EdDSA", "typ": "JWT", "kid": kid}).encode())
        signing_input = f"{head}.{b64(payload)}".encode()
        return signing_input + b"." + b64(self.private["ed"].sign(signing_input)).encode()

    def hmac_with(self, secret: bytes, kid: str, algorithm: str = "HS256") -> bytes:
        head = b64(json.dumps({"alg": algorithm, "typ": "JWT", "kid": kid}).encode())
        signing_input = f"{head}.{b64(json.dumps(self.claims()).encode())}".encode()
        return signing_input + b"." + b64(hmac.new(secret, signing_input, hashlib.sha256).digest()).encode()


@pytest.fixture(scope="session")
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def keys(issuer: Issuer) -> FakeKeys:
    return FakeKeys(issuer.key_set())


@pytest.fixture
def verifier(keys: FakeKeys, clock: FakeClock) -> TokenVerifier:
    return TokenVerifier(keys, issuer=ISSUER, audience=AUDIENCE, clock=clock)
