"""Google's service accounts: the JSON of a key, exchanged for an access token by a signed assertion."""

from __future__ import annotations

from collections.abc import Mapping

import jwt
import orjson

from services.router.domain.errors import ProviderError, Reason
from services.router.providers.base import TokenRequest

_TOKEN_URL = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
# The longest that Google takes.
_LIFETIME_S = 3600


def looks_like_one(key: str) -> bool:
    """Whether a key is the JSON of a service account's key and no API key."""
    return key.lstrip().startswith("{")


def token_request(key: str, *, now: float) -> TokenRequest:
    """The request for an access token; it is signed when it is needed.

    Who is asked is the operator's to say, and the assertion is good for Google only: the `token_uri` of the JSON, which
    whoever enters a key could point anywhere, is not looked at.
    """
    return TokenRequest("google", "/token", lambda: _form(key, now))


def _form(key: str, now: float) -> Mapping[str, str]:
    """The assertion. Raises ProviderError `PROVIDER_KEY_REJECTED` for what is no service account's key."""
    try:
        account = orjson.loads(key)
        issuer, private_key = account["client_email"], account["private_key"]
        claims = {"iss": issuer, "scope": _SCOPE, "aud": _TOKEN_URL, "iat": int(now), "exp": int(now) + _LIFETIME_S}
        key_id = account.get("private_key_id")
        headers = {"kid": key_id} if isinstance(key_id, str) else None
        assertion = jwt.encode(claims, private_key, algorithm="RS256", headers=headers)
    except (ValueError, TypeError, KeyError, AttributeError, jwt.PyJWTError):
        # Nothing of the cause goes on: it may quote the key.
        assertion = ""
    if not assertion:
        raise ProviderError(Reason.PROVIDER_KEY_REJECTED)
    return {"grant_type": _GRANT, "assertion": assertion}
