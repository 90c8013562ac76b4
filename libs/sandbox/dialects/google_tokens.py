"""Google's OAuth: `POST /google/token` gives an access token for an assertion that the service account signed."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Any, ClassVar
from urllib.parse import parse_qsl

import jwt
import orjson
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from libs.sandbox.dialect import Call, Dialect, Endpoint, Refusal
from libs.sandbox.sealing import seal, unseal

_PREFIX = "sk-sandbox-ya29-"
_EMAIL = "sandbox@sandbox-project.iam.gserviceaccount.com"
_KEY_ID = "5a4d8b0c"
_AUDIENCE = "https://oauth2.googleapis.com/token"
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_LIFETIME_S = 3599
_LONGEST_ASSERTION_S = 3600
_CLOCK_S = 60


@cache
def _key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65_537, key_size=2048)


def google_service_account() -> str:
    """The key of the one service account the sandbox knows, as Google's console gives it out; new in each process."""
    pem = _key().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    account = {
        "type": "service_account",
        "project_id": "sandbox-project",
        "private_key_id": _KEY_ID,
        "private_key": pem.decode(),
        "client_email": _EMAIL,
        "client_id": "100000000000000000001",
        "auth_uri": "https://accounts.google.com/o/oauth2/auth",
        "token_uri": _AUDIENCE,
        "universe_domain": "googleapis.com",
    }
    return orjson.dumps(account, option=orjson.OPT_INDENT_2).decode()


def is_google_token(token: str) -> bool:
    """Whether this is a token that was given out here and is still good."""
    return token.startswith(_PREFIX) and _is_good(token.removeprefix(_PREFIX))


def _is_good(sealed: str) -> bool:
    ends = unseal(sealed)
    return ends is not None and time.time() < float(ends)


def _token() -> str:
    return _PREFIX + seal(str(time.time() + _LIFETIME_S))


class GoogleTokens(Dialect):
    """The dialect; it has no state, and nothing of it is billed."""

    name = "google"
    prefix = "/google"
    requires_key = False
    request_id_header = None
    paths: ClassVar[Mapping[str, tuple[str, Endpoint]]] = MappingProxyType({"/google/token": ("POST", Endpoint.TOKEN)})

    def refusal(self, refusal: Refusal) -> bytes:
        """RFC 6749, section 5.2."""
        return orjson.dumps({"error": refusal.code or "invalid_request", "error_description": refusal.message})

    def standard_refusal(self, status: int, code: str | None, model: str) -> Refusal:
        """By a rule's wish."""
        usual = "internal_failure" if status >= 500 else "invalid_grant"  # noqa: PLR2004 - HTTP's classes
        return Refusal(status, "The sandbox was told to answer so.", code=code or usual)

    def token(self, call: Call) -> bytes:
        """For an assertion that the service account signed. Raises Refusal (400)."""
        form = _form(call, {"grant_type", "assertion"})
        if form.get("grant_type") != _JWT_BEARER:
            raise Refusal(400, "Invalid grant_type.", code="unsupported_grant_type")
        claims = _claims(form.get("assertion", ""))
        if claims.get("iss") != _EMAIL:
            raise _invalid_grant("Invalid grant: account not found")
        if _SCOPE not in str(claims.get("scope", "")).split():
            raise Refusal(400, "Invalid OAuth scope or ID token audience provided.", code="invalid_scope")
        if claims["exp"] - claims["iat"] > _LONGEST_ASSERTION_S:
            raise _invalid_grant("Invalid JWT: Token must be a short-lived token (60 minutes).")
        return orjson.dumps({"access_token": _token(), "expires_in": _LIFETIME_S, "token_type": "Bearer"})


def _form(call: Call, known: set[str]) -> dict[str, str]:
    kind = call.headers.get("Content-Type", "").partition(";")[0]
    if kind != "application/x-www-form-urlencoded":
        raise Refusal(400, "The body has to be a form.", code="invalid_request")
    form = dict(parse_qsl(call.body.decode("ascii", "replace"), keep_blank_values=True))
    if form.keys() - known:
        raise Refusal(400, "The form has a field that is not known.", code="invalid_request")
    return form


def _claims(assertion: str) -> dict[str, Any]:
    try:
        if jwt.get_unverified_header(assertion).get("kid") != _KEY_ID:
            raise _invalid_grant("Invalid JWT: no key with this id.")
        claims: dict[str, Any] = jwt.decode(
            assertion,
            _key().public_key(),
            algorithms=["RS256"],
            audience=_AUDIENCE,
            leeway=_CLOCK_S,
            options={"require": ["iss", "scope", "aud", "iat", "exp"]},
        )
    except jwt.PyJWTError:
        raise _invalid_grant("Invalid JWT Signature.") from None
    return claims


def _invalid_grant(message: str) -> Refusal:
    return Refusal(400, message, code="invalid_grant")
