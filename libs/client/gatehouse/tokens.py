"""Development tokens: signed on this machine with the key of the local issuer, for this machine's Gatehouse only."""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections.abc import Callable, Sequence

from gatehouse.profile import Issuer, Profile, ProfileError

TOKEN_VARIABLE = "GATEHOUSE_TOKEN"  # noqa: S105 - the name of a variable
DEFAULT_TTL_S = 3600
DEFAULT_TENANT = "acme"
DEFAULT_USER = "dev"
DEFAULT_ROLES = ("tenant_admin",)

# A token is renewed when this part of its life is left, so that no call carries one about to expire.
_RENEW_AT = 0.25


def mint_token(
    issuer: Issuer,
    *,
    tenant: str = DEFAULT_TENANT,
    user: str = DEFAULT_USER,
    roles: Sequence[str] = DEFAULT_ROLES,
    plan: str = "",
    ttl_s: int = DEFAULT_TTL_S,
    mfa: bool = False,
) -> str:
    """A JWT for `user` of `tenant`, valid for `ttl_s` seconds. Raises ProfileError when the key cannot be used.

    With `mfa` it says that the user has just signed in with a password and a one-time password.
    """
    import jwt
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(issuer.key_file.read_bytes(), password=None)
        now = int(time.time())
        claims: dict[str, object] = {
            "iss": issuer.issuer,
            "aud": issuer.audience,
            "sub": user,
            "tenant": tenant,
            "roles": list(roles),
            "iat": now,
            "exp": now + ttl_s,
            "jti": str(uuid.uuid4()),
        }
        if plan:
            claims["plan"] = plan
        if mfa:
            claims |= {"auth_time": now, "amr": ["pwd", "otp"]}
        return jwt.encode(claims, key, algorithm="EdDSA", headers={"kid": issuer.kid})  # type: ignore[arg-type]
    except OSError as error:
        raise ProfileError(
            f"No development token can be made: {issuer.key_file} cannot be read ({error.strerror}). "
            f"Pass a token instead: {TOKEN_VARIABLE} or --token on the command line, token=… in Python."
        ) from error
    except (ValueError, TypeError, jwt.PyJWTError) as error:
        # The cause may quote the file; only its type is kept.
        raise ProfileError(
            f"{issuer.key_file} does not hold an Ed25519 private key ({type(error).__name__})."
        ) from None


class DevelopmentTokens:
    """A token source for a client: makes a token when first asked and a new one before it expires. Thread-safe."""

    def __init__(
        self,
        issuer: Issuer,
        *,
        tenant: str = DEFAULT_TENANT,
        user: str = DEFAULT_USER,
        roles: Sequence[str] = DEFAULT_ROLES,
        mfa: bool = False,
    ) -> None:
        self._issuer = issuer
        self._mfa = mfa
        self._tenant = tenant
        self._user = user
        self._roles = tuple(roles)
        self._lock = threading.Lock()
        self._token = ""
        self._renew_at = 0.0

    def __call__(self) -> str:
        """A token with at least a quarter of its life left. Raises ProfileError when the key cannot be used."""
        with self._lock:
            # Wall-clock time, as in the token: a monotonic clock stands still while a laptop sleeps.
            if time.time() >= self._renew_at or not self._token:
                self._token = mint_token(
                    self._issuer, tenant=self._tenant, user=self._user, roles=self._roles, mfa=self._mfa
                )
                self._renew_at = time.time() + DEFAULT_TTL_S * (1 - _RENEW_AT)
            return self._token


def default_token(profile: Profile, *, tenant: str, user: str, roles: Sequence[str]) -> str | Callable[[], str]:
    """$GATEHOUSE_TOKEN, else a source of development tokens from the profile's issuer.

    Raises ProfileError when there is neither.
    """
    if token := os.environ.get(TOKEN_VARIABLE):
        return token
    return DevelopmentTokens(issuer_of(profile, "a token is needed"), tenant=tenant, user=user, roles=roles)


def issuer_of(profile: Profile, consequence: str) -> Issuer:
    """The profile's issuer of development tokens. Raises ProfileError, saying what to do, when it has none."""
    if profile.issuer is None:
        raise ProfileError(
            f"This profile has no issuer key, so {consequence}. Get a token from your company's issuer and pass it: "
            f"{TOKEN_VARIABLE} or --token on the command line, token=… in Python."
        )
    return profile.issuer
