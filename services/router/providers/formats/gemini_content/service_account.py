"""Google's service accounts: the JSON of a key, exchanged for an access token by a signed assertion."""

from __future__ import annotations

from collections.abc import Mapping

import jwt
import orjson
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from services.router.domain.errors import ProviderError, Reason
from services.router.providers.base import TokenRequest

_TOKEN_URL = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
# The longest that Google takes.
_LIFETIME_S = 3600
# Google's have 2048. What signing costs grows with the cube, and meanwhile nothing else runs in this process.
_KEY_BITS = range(1024, 4096 + 1)
# Of the public exponent, as everywhere 65537.
_MOST_EXPONENT_BITS = 32


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
        issuer, private_key = account["client_email"], _signing_key(account["private_key"])
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


def _signing_key(pem: str) -> RSAPrivateKey:
    """The private key. Raises ValueError or TypeError for what is none.

    Whether its factors are primes is not tried, which loading does otherwise: it stops the whole process, for 60 ms
    with Google's keys and for many seconds with longer ones, and anybody may enter a key. What is not prime gives a
    signature that Google refuses.
    """
    key = load_pem_private_key(pem.encode(), None, unsafe_skip_rsa_key_validation=True)
    if not isinstance(key, RSAPrivateKey) or key.key_size not in _KEY_BITS or not _is_consistent(key):
        raise ValueError("no RSA key that Google gives out")
    return key


def _is_consistent(key: RSAPrivateKey) -> bool:
    """Whether the numbers of a key belong together and are no longer than they need to be."""
    numbers = key.private_numbers()
    p, q, d, e, n = numbers.p, numbers.q, numbers.d, numbers.public_numbers.e, numbers.public_numbers.n
    return (
        p * q == n
        and p & q & e & 1 == 1
        and min(p, q) > 1
        and 1 < e < 1 << _MOST_EXPONENT_BITS
        and 0 < d < n
        and (numbers.dmp1, numbers.dmq1) == (d % (p - 1), d % (q - 1))
        and e * numbers.dmp1 % (p - 1) == e * numbers.dmq1 % (q - 1) == 1
        and numbers.iqmp < p
        and numbers.iqmp * q % p == 1
    )
