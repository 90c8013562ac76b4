"""Bearer tokens: verified once, then remembered until they expire."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections import OrderedDict

import jwt

from libs.core.clock import Clock, SystemClock
from libs.core.errors import Unauthenticated
from libs.identity.caller import Caller
from libs.identity.claims import Json, caller_of, check_addressee, check_times, strict_object
from libs.identity.jwks import ALGORITHMS, KeySource, VerificationKey

MAX_TOKEN_BYTES = 8 * 1024
DEFAULT_LEEWAY_S = 30.0
DEFAULT_REMEMBERED = 10_000

# Strict, because lenient base64 decoders skip foreign characters: one token would then have many spellings.
_COMPACT_JWS = re.compile(rb"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]*")
_TYPES = frozenset({"jwt", "at+jwt"})


def bearer_token(authorization: str | bytes | None) -> bytes:
    """The token of an `authorization` value, `Bearer <token>`. Raises Unauthenticated without one."""
    value = authorization.encode("utf-8", "replace") if isinstance(authorization, str) else authorization or b""
    scheme, _, token = value.partition(b" ")
    if not value.strip():
        raise _missing()
    if scheme.lower() != b"bearer":
        raise Unauthenticated("TOKEN_MALFORMED", "metadata `authorization` must read `Bearer <token>`")
    token = token.strip(b" ")
    if not token:
        raise _missing()
    return token


class TokenVerifier:
    """Turns a token into a Caller, or raises Unauthenticated with a reason for each way it can be wrong.

    Accepted are compact JWS signed with EdDSA (Ed25519), ES256 or RS256 by a key of `keys`, from exactly `issuer`,
    for `audience`, within their time give or take `leeway_s`. The algorithm is the key's; a header that names another
    is refused. `recall` answers from memory in a few microseconds: the last `remembered` verified tokens, by SHA-256,
    until they expire or the issuer's keys change. For use from one event loop.
    """

    def __init__(
        self,
        keys: KeySource,
        *,
        issuer: str,
        audience: str,
        leeway_s: float = DEFAULT_LEEWAY_S,
        remembered: int = DEFAULT_REMEMBERED,
        clock: Clock | None = None,
    ) -> None:
        self._keys = keys
        self._issuer = issuer
        self._audience = audience
        self._leeway_s = leeway_s
        self._capacity = remembered
        self._clock = clock or SystemClock()
        self._memory: OrderedDict[bytes, tuple[float, Caller]] = OrderedDict()
        self._generation: int | None = None
        self._signatures = jwt.PyJWS(algorithms=sorted(ALGORITHMS))

    def recall(self, token: bytes) -> Caller | None:
        """The caller of a token verified before, None when it has to be verified (again). Never raises."""
        self._forget_after_key_change()
        if len(token) > MAX_TOKEN_BYTES:
            return None
        digest = hashlib.sha256(token).digest()
        entry = self._memory.get(digest)
        if entry is None:
            return None
        if self._clock.now().timestamp() >= entry[0]:
            del self._memory[digest]
            return None
        self._memory.move_to_end(digest)
        return entry[1]

    async def verify(self, token: bytes | str) -> Caller:
        """The caller of `token`.

        Waits only when the token names a key not held yet, while the issuer's keys are looked up anew. Raises
        Unauthenticated for a bad token and Unavailable when the issuer's keys cannot be had.
        """
        raw = token.encode("utf-8", "replace") if isinstance(token, str) else token
        known = self.recall(raw)
        if known is not None:
            return known
        algorithm, kid = _announced(raw)
        key = self._keys.find(kid)
        if key is None:
            await self._keys.refresh()
            self._forget_after_key_change()
            key = self._keys.find(kid)
        if key is None:
            raise _signature()
        caller = self._check(raw, algorithm, key)
        self._remember(raw, caller)
        return caller

    def _forget_after_key_change(self) -> None:
        # A key may have been withdrawn; what it signed must not outlive it here.
        generation = self._keys.generation()
        if generation != self._generation:
            self._generation = generation
            self._memory.clear()

    def _check(self, token: bytes, algorithm: str, key: VerificationKey) -> Caller:
        if algorithm != key.algorithm:
            raise _algorithm()
        try:
            verified = self._signatures.decode_complete(token, key.public_key, algorithms=[key.algorithm])
        except jwt.InvalidSignatureError:
            raise _signature() from None
        except jwt.PyJWTError:
            raise _malformed() from None
        try:
            claims = strict_object(verified["payload"])
        except ValueError:
            raise _malformed() from None
        check_addressee(claims, issuer=self._issuer, audience=self._audience)
        expires_at = check_times(claims, now=self._clock.now().timestamp(), leeway_s=self._leeway_s)
        return caller_of(claims, token=token, expires_at=expires_at)

    def _remember(self, token: bytes, caller: Caller) -> None:
        if caller.expires_at is None:
            return
        self._memory[hashlib.sha256(token).digest()] = (caller.expires_at + self._leeway_s, caller)
        while len(self._memory) > self._capacity:
            self._memory.popitem(last=False)


def _announced(token: bytes) -> tuple[str, str | None]:
    """The algorithm and key id a token's header claims; nothing here is verified yet."""
    if not token:
        raise _missing()
    match = _COMPACT_JWS.fullmatch(token) if len(token) <= MAX_TOKEN_BYTES else None
    if match is None:
        raise _malformed()
    try:
        header = strict_object(base64.urlsafe_b64decode(match[1] + b"=" * (-len(match[1]) % 4)))
    except (ValueError, binascii.Error):
        raise _malformed() from None
    algorithm, kid = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        raise _algorithm()
    # `crit` and `b64` change what is signed; nothing here implements an extension.
    if "crit" in header or "b64" in header or not _is_jwt(header):
        raise _malformed()
    if kid is not None and not isinstance(kid, str):
        raise _malformed()
    return algorithm, kid


def _is_jwt(header: Json) -> bool:
    kind = header.get("typ", "JWT")
    return isinstance(kind, str) and kind.lower().removeprefix("application/") in _TYPES


def _missing() -> Unauthenticated:
    return Unauthenticated("TOKEN_MISSING", "send a token in metadata `authorization: Bearer <token>`")


def _malformed() -> Unauthenticated:
    return Unauthenticated(
        "TOKEN_MALFORMED", f"the token is not a signed JWT of at most {MAX_TOKEN_BYTES} bytes; get a new one"
    )


def _algorithm() -> Unauthenticated:
    return Unauthenticated(
        "TOKEN_ALGORITHM", "the token's algorithm does not fit the issuer's key; accepted are EdDSA, ES256 and RS256"
    )


def _signature() -> Unauthenticated:
    return Unauthenticated(
        "TOKEN_SIGNATURE", "the token is not signed by a key of the configured issuer; get a new one from it"
    )
