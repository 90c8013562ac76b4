"""What a request is sent with in a provider's eyes: the key itself, or an access token that was got for it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from libs.core.secret import Secret
from services.router.domain.errors import ProviderError, Reason
from services.router.providers.base import NO_HEADERS, Dialect, Options

# What may stand in a header after `Bearer `: visible ASCII.
_VISIBLE = re.compile(rb"[\x21-\x7e]+")


@dataclass(frozen=True, slots=True)
class Credential:
    """`secret` goes out with a request; None for a provider without a key.

    `token_of` is empty where it is the key itself; for an access token it is the digest its key is known by. `kept`: a
    token that was at hand already, and may have ended early since.
    """

    secret: Secret | None
    token_of: bytes = b""
    kept: bool = False


def sendable(secret: bytes) -> bool:
    """Whether a header can carry it."""
    return _VISIBLE.fullmatch(secret) is not None


def credential_headers(dialect: Dialect, credential: Credential, options: Options) -> Mapping[str, str]:
    """The headers that carry `credential`; none without one. An access token is a bearer token, whoever issued it.

    Raises ProviderError `PROVIDER_KEY_REJECTED` for what no header can carry: no provider gives out such keys, and the
    errors of whoever tries to send one quote it.
    """
    secret = credential.secret
    if secret is None:
        return NO_HEADERS
    if not sendable(secret.reveal()):
        raise ProviderError(Reason.PROVIDER_KEY_REJECTED)
    if credential.token_of:
        return {"Authorization": f"Bearer {secret.reveal().decode('ascii')}"}
    return dialect.key_headers(secret.reveal().decode("ascii"), options)
