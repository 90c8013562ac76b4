"""Access tokens, for providers that take no key itself: Google by service account, Microsoft Entra.

A token is got for a key the first time a call needs it, kept while it is good, and got anew before it ends. It never
stands in for the key: the key service is asked for the key with every call as for all others, and only what it opens
finds the token, so a key that is disabled, rotated or deleted here works no longer from the next call on, however long
its token would. What is kept is found by a keyed digest; the key itself is not kept.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TypeVar
from urllib.parse import urlencode

import aiohttp
import orjson

from libs.core.secret import Secret
from services.router.domain.errors import ProviderError, Reason
from services.router.providers.base import Dialect, Options, TokenRequest
from services.router.providers.http.credentials import Credential, sendable
from services.router.providers.http.responses import HTTP_OK, bounded_body
from services.router.providers.http.transport import translated, within
from services.router.providers.http.vetted_http import VettedHttp
from services.router.providers.reading.retry_hints import retry_after_s

PUBLIC_ISSUERS: Mapping[str, str] = MappingProxyType(
    {"google": "https://oauth2.googleapis.com", "entra": "https://login.microsoftonline.com"}
)
"""Who issues tokens in the public clouds."""

_MOST_TOKENS = 10_000
_MOST_ANSWER_BYTES = 64 * 1024
# As much as servers take in a header.
_LONGEST_TOKEN = 16 * 1024
# An exchange serves all calls that wait for it, so none of their deadlines ends it.
_LONGEST_EXCHANGE_S = 30.0
# Tokens of an hour are got anew five minutes before they end, shorter ones earlier in proportion.
_REFRESH_S, _REFRESH_SHARE = 300.0, 0.2
# A token this close to its end could end on its way.
_LAST_S, _LAST_SHARE = 10.0, 0.1
_AGAIN_S = 10.0
_USUAL_LIFETIME_S, _LONGEST_LIFETIME_S = 300.0, 86_400.0
# OAuth's words for "not now" (RFC 6749, and Google's), which come with status 400 as well.
_PASSING = frozenset({"temporarily_unavailable", "server_error", "internal_failure"})
_STATUSES: Mapping[int, Reason] = MappingProxyType(
    {
        400: Reason.PROVIDER_KEY_REJECTED,
        401: Reason.PROVIDER_KEY_REJECTED,
        403: Reason.PROVIDER_KEY_REJECTED,
        408: Reason.PROVIDER_TIMEOUT,
        429: Reason.PROVIDER_RATE_LIMITED,
        503: Reason.PROVIDER_OVERLOADED,
    }
)
_UNAUTHORIZED = 401
_SERVER_ERROR = 500

ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Token:
    """Times in seconds of the monotonic clock."""

    secret: Secret
    refresh_at: float
    expires_at: float


class AccessTokens:
    """The tokens of this router. `issuers` are the addresses of those who issue them, by `TokenRequest.issuer`."""

    def __init__(
        self, http: VettedHttp, issuers: Mapping[str, str] = PUBLIC_ISSUERS, *, connect_s: float = 5.0
    ) -> None:
        self._http = http
        self._issuers = issuers
        self._connect_s = connect_s
        self._digest_key = secrets.token_bytes(32)
        self._tokens: OrderedDict[bytes, _Token] = OrderedDict()
        self._exchanges: dict[bytes, asyncio.Task[_Token | ProviderError]] = {}

    async def aclose(self) -> None:
        """Give up what is being got."""
        exchanges = tuple(self._exchanges.values())
        for task in exchanges:
            task.cancel()
        await asyncio.gather(*exchanges, return_exceptions=True)

    async def used(
        self,
        dialect: Dialect,
        key: Secret | None,
        options: Options,
        send: Callable[[Credential], Awaitable[ResultT]],
        *,
        timer: str,
        deadline: float,
    ) -> ResultT:
        """What comes of `send` with what is to be sent for `key`. Raises ProviderError: its own, and `credential`'s.

        A token may end early. Its refusal says nothing of the key as long as there is another token to be had: `send`
        is then called once more. Nobody works, or charges, for who is not let in.
        """
        for last in (False, True):
            credential = await self.credential(dialect, key, options, timer=timer, deadline=deadline)
            try:
                return await send(credential)
            except ProviderError as error:
                if error.status != _UNAUTHORIZED or not credential.token_of:
                    raise
                self._forget(credential)
                if last or not credential.kept:
                    raise
        raise AssertionError("the last time returns or raises")

    async def credential(
        self, dialect: Dialect, key: Secret | None, options: Options, *, timer: str, deadline: float
    ) -> Credential:
        """What to send for `key`: the key itself, or a token.

        Raises ProviderError: `PROVIDER_KEY_REJECTED` when the issuer refuses the key, `PROVIDER_UNREACHABLE`,
        `PROVIDER_OVERLOADED` and their like when no token is to be had, and a timeout naming `timer` at `deadline`, in
        seconds of the loop's clock. Nothing went out to the provider then.
        """
        request = None if key is None else _token_request(dialect, key, options)
        if key is None or request is None:
            return Credential(key)
        digest = self._digest(request, key)
        token = self._tokens.get(digest)
        now = time.monotonic()
        if token is not None and now < token.expires_at:
            self._tokens.move_to_end(digest)
            if now >= token.refresh_at:
                # While this one is good nobody waits for the next.
                self._exchange(digest, request)
            return Credential(token.secret, digest, kept=True)
        exchange = asyncio.shield(self._exchange(digest, request))
        got = await within(timer, deadline, exchange, sent=False)
        if isinstance(got, ProviderError):
            # Each call raises its own: one that all raise would collect their frames.
            raise ProviderError(
                got.reason, status=got.status, retry_after_s=got.retry_after_s, timer=got.timer, sent=False
            )
        return Credential(got.secret, digest)

    def _forget(self, credential: Credential) -> None:
        """A provider refused this token: whoever comes next gets another."""
        token = self._tokens.get(credential.token_of)
        if token is not None and token.secret is credential.secret:
            del self._tokens[credential.token_of]

    def _digest(self, request: TokenRequest, key: Secret) -> bytes:
        digest = hashlib.blake2b(key.reveal(), digest_size=32, key=self._digest_key)
        digest.update(f"\0{request.issuer}\0{request.path}".encode())
        if isinstance(request.form, Mapping):
            digest.update(urlencode(sorted(request.form.items())).encode())
        return digest.digest()

    def _exchange(self, digest: bytes, request: TokenRequest) -> asyncio.Task[_Token | ProviderError]:
        """The one exchange that runs for a key."""
        running = self._exchanges.get(digest)
        if running is None:
            running = self._exchanges[digest] = asyncio.create_task(self._run(digest, request))
            running.add_done_callback(lambda _: self._exchanges.pop(digest, None))
        return running

    async def _run(self, digest: bytes, request: TokenRequest) -> _Token | ProviderError:
        deadline = asyncio.get_running_loop().time() + _LONGEST_EXCHANGE_S
        try:
            token = await within("first_event", deadline, self._ask(request), sent=False)
        except ProviderError as error:
            old = self._tokens.get(digest)
            if old is not None:
                self._tokens[digest] = replace(old, refresh_at=time.monotonic() + _AGAIN_S)
            # The frames it was raised in hold the key.
            return error.with_traceback(None)
        self._tokens[digest] = token
        self._tokens.move_to_end(digest)
        if len(self._tokens) > _MOST_TOKENS:
            self._tokens.popitem(last=False)
        return token

    async def _ask(self, request: TokenRequest) -> _Token:
        # A signature takes milliseconds, with the longest of keys many.
        form = request.form if isinstance(request.form, Mapping) else await asyncio.to_thread(request.form)
        asked = time.monotonic()
        post = self._http.session.post(
            self._http.destination(self._issuers[request.issuer], request.path),
            data=urlencode(form).encode("ascii"),
            headers={
                "Content-Type": "application/x-www-form-urlencoded",
                "Accept": "application/json",
                "Accept-Encoding": "identity",
                "User-Agent": "gatehouse",
            },
            timeout=aiohttp.ClientTimeout(total=None, connect=self._connect_s),
            allow_redirects=False,
        )
        response = await translated(post, sent=False)
        body = await bounded_body(response, _MOST_ANSWER_BYTES)
        answer = _object(body)
        if response.status != HTTP_OK:
            raise _refusal(response.status, response.headers, answer)
        return _token(answer, asked)


def _token_request(dialect: Dialect, key: Secret, options: Options) -> TokenRequest | None:
    """What the dialect says. Raises ProviderError, in no frame that holds the key."""
    try:
        return dialect.token_request(key.reveal().decode(), options, now=time.time())
    except UnicodeDecodeError:
        reason = Reason.PROVIDER_KEY_REJECTED
    except ProviderError as error:
        reason = error.reason
    raise ProviderError(reason)


def _token(answer: Mapping[str, object], asked: float) -> _Token:
    """The token in an answer. Raises ProviderError `PROVIDER_BAD_RESPONSE` when there is none."""
    token = answer.get("access_token")
    secret = Secret(token.encode()) if isinstance(token, str) else Secret(b"")
    if len(secret) > _LONGEST_TOKEN or not sendable(secret.reveal()):
        raise ProviderError(Reason.PROVIDER_BAD_RESPONSE, status=HTTP_OK)
    lifetime = _lifetime_s(answer.get("expires_in"))
    return _Token(
        secret=secret,
        refresh_at=asked + lifetime - min(_REFRESH_S, lifetime * _REFRESH_SHARE),
        expires_at=asked + lifetime - min(_LAST_S, lifetime * _LAST_SHARE),
    )


def _lifetime_s(value: object) -> float:
    try:
        # Some write it as text.
        lifetime = float(value) if isinstance(value, int | float | str) else _USUAL_LIFETIME_S
    except ValueError:
        lifetime = _USUAL_LIFETIME_S
    # NaN is not above 0 either.
    return min(lifetime, _LONGEST_LIFETIME_S) if lifetime > 0 else 0.0


def _refusal(status: int, headers: Mapping[str, str], answer: Mapping[str, object]) -> ProviderError:
    if status >= _SERVER_ERROR:
        reason = _STATUSES.get(status, Reason.PROVIDER_ERROR)
    elif answer.get("error") in _PASSING:
        reason = Reason.PROVIDER_OVERLOADED
    else:
        reason = _STATUSES.get(status, Reason.PROVIDER_BAD_RESPONSE)
    return ProviderError(reason, status=status, retry_after_s=retry_after_s(headers, {}))


def _object(body: bytes) -> Mapping[str, object]:
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return answer if isinstance(answer, dict) else {}
