"""From the JSON inside a verified token to a Caller: every claim is checked here and nowhere else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Never, TypeGuard

from libs.core.errors import Unauthenticated
from libs.core.resource_names import is_id
from libs.core.secret import Secret
from libs.identity.caller import Caller, Role

_MAX_ROLES = 32
_MAX_PLAN_LENGTH = 64
# RFC 8176 registers about twenty authentication methods, none longer than six characters; issuers add their own.
_MAX_METHODS = 32
_MAX_METHOD_LENGTH = 64
# Often a URI.
_MAX_ACR_LENGTH = 256
# The last second of the year 9999: later ones are no dates, and infinity would never expire.
_MAX_TIME = 253_402_300_799

Json = Mapping[str, object]


def strict_object(document: bytes) -> Json:
    """The JSON object in `document`.

    Raises ValueError for anything else, for a repeated name (two readers could take different ones) and for NaN or
    infinity.
    """
    try:
        value = json.loads(document, object_pairs_hook=_without_repetition, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(value, dict):
        raise ValueError("not an object")  # noqa: TRY004 - what is wrong is the document
    return value


def check_addressee(claims: Json, *, issuer: str, audience: str) -> None:
    """Raise Unauthenticated unless the token is from `issuer` and for `audience`."""
    if claims.get("iss") != issuer:
        raise Unauthenticated(
            "TOKEN_ISSUER", "the token is from an issuer that is not trusted here; get one from the configured issuer"
        )
    audiences = claims.get("aud")
    if audience not in (audiences if isinstance(audiences, list) else (audiences,)):
        raise Unauthenticated(
            "TOKEN_AUDIENCE", "the token is meant for another audience; ask the issuer for one for this deployment"
        )


def check_times(claims: Json, *, now: float, leeway_s: float) -> float:
    """The token's expiry, in seconds since 1970. Raises Unauthenticated outside its time."""
    expires_at = _time(claims, "exp")
    if expires_at is None:
        raise _wrong("exp", "is required")
    if now >= expires_at + leeway_s:
        raise Unauthenticated("TOKEN_EXPIRED", "the token has expired; get a new one")
    for name in ("nbf", "iat"):
        begins_at = _time(claims, name)
        if begins_at is not None and begins_at > now + leeway_s:
            raise _wrong(name, "lies in the future; check the clocks of the issuer and of this machine")
    return expires_at


def caller_of(claims: Json, *, token: bytes, expires_at: float) -> Caller:
    """The caller a verified token speaks for. Unknown roles grant nothing; raises Unauthenticated."""
    user = claims.get("sub")
    if not isinstance(user, str) or not is_id(user):
        raise _wrong("sub", "must be a user id")
    roles = _roles(claims)
    tenant = claims.get("tenant")
    if tenant is None:
        if Role.SUPER_ADMIN not in roles:
            raise _wrong("tenant", "is required")
    elif not isinstance(tenant, str) or not is_id(tenant):
        raise _wrong("tenant", "must be a tenant id")
    return Caller(
        tenant=tenant,
        user=user,
        roles=roles,
        plan=_text(claims, "plan", _MAX_PLAN_LENGTH),
        token=Secret(token),
        expires_at=expires_at,
        auth_time=_time(claims, "auth_time"),
        amr=_methods(claims),
        acr=_text(claims, "acr", _MAX_ACR_LENGTH),
    )


def _roles(claims: Json) -> frozenset[Role]:
    names = claims.get("roles", [])
    if not isinstance(names, list) or len(names) > _MAX_ROLES or not all(isinstance(name, str) for name in names):
        raise _wrong("roles", f"must be a list of at most {_MAX_ROLES} names")
    return frozenset(role for role in Role if role.value in names)


def _methods(claims: Json) -> frozenset[str]:
    methods = claims.get("amr")
    if methods is None:
        return frozenset()
    if (
        not isinstance(methods, list)
        or len(methods) > _MAX_METHODS
        or not all(_is_text(method, _MAX_METHOD_LENGTH) for method in methods)
    ):
        raise _wrong("amr", f"must be a list of at most {_MAX_METHODS} names of authentication methods")
    return frozenset(methods)


def _text(claims: Json, name: str, most: int) -> str | None:
    """None when the claim is missing or empty."""
    value = claims.get(name)
    if value is None:
        return None
    if not _is_text(value, most):
        raise _wrong(name, f"must be text of at most {most} printable characters")
    return value or None


def _is_text(value: object, most: int) -> TypeGuard[str]:
    return isinstance(value, str) and len(value) <= most and value.isprintable()


def _time(claims: Json, name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _MAX_TIME:
        raise _wrong(name, "must be a time in seconds since 1970")
    return float(value)


def _wrong(claim: str, description: str) -> Unauthenticated:
    return Unauthenticated("TOKEN_CLAIMS", f"the token's claim {claim} {description}", metadata={"claim": claim})


def _without_repetition(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a name is repeated")
    return fields


def _refuse_constant(_name: str) -> Never:
    raise ValueError("not a JSON number")
