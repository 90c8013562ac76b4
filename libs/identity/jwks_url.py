"""Verification keys from an issuer's JWKS URL."""

from __future__ import annotations

import asyncio
import logging
import ssl
from http import HTTPStatus
from urllib.parse import urlsplit

import aiohttp

from libs.core.clock import Clock, SystemClock
from libs.core.errors import Unavailable
from libs.core.validation import origin_of
from libs.identity.jwks import MAX_JWKS_BYTES, KeySet, VerificationKey, parse_jwks

_log = logging.getLogger(__name__)

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class JwksUrl:
    """A `KeySource` that fetches from an https URL (http only on this machine) and keeps the last good set.

    The set is renewed in the background once it is older than `refresh_interval_s`, and on demand when a token
    names an unknown key, never more often than every `min_interval_s` and never twice at once. Belongs to one event
    loop; `aclose` stops what is under way. Raises ValueError for another kind of URL.
    """

    def __init__(
        self,
        url: str,
        *,
        refresh_interval_s: float = 300.0,
        min_interval_s: float = 10.0,
        timeout_s: float = 5.0,
        tls: ssl.SSLContext | None = None,
        clock: Clock | None = None,
    ) -> None:
        parts = urlsplit(url)
        if origin_of(url) is None or (parts.scheme != "https" and parts.hostname not in _LOOPBACK):
            raise ValueError("a JWKS URL is https://host/path without user information, query or fragment")
        self._url = url
        self._refresh_interval_s = refresh_interval_s
        self._min_interval_s = min_interval_s
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._tls = tls
        self._clock = clock or SystemClock()
        self._keys = KeySet()
        self._generation = 0
        self._tried_at: float | None = None
        self._failing = False
        self._fetching: asyncio.Task[None] | None = None

    def generation(self) -> int:
        """See KeySource. Starts the background renewal when it is due."""
        if self._older_than(self._refresh_interval_s):
            self._start()
        return self._generation

    def find(self, kid: str | None) -> VerificationKey | None:
        """See KeySource."""
        return self._keys.find(kid)

    async def refresh(self) -> None:
        """See KeySource."""
        if self._older_than(self._min_interval_s):
            self._start()
        if self._fetching is not None:
            # Shielded: a caller that goes away must not end the fetch the others wait for.
            await asyncio.shield(self._fetching)
        if self._failing:
            raise Unavailable(
                "ISSUER_KEYS_UNAVAILABLE",
                "the issuer's keys to verify tokens with cannot be fetched; see the service's log",
                retry_delay_s=self._min_interval_s,
            )

    async def aclose(self) -> None:
        """Stop a fetch under way."""
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.gather(self._fetching, return_exceptions=True)

    def _older_than(self, seconds: float) -> bool:
        return self._tried_at is None or self._clock.monotonic() - self._tried_at >= seconds

    def _start(self) -> None:
        if self._fetching is None or self._fetching.done():
            self._tried_at = self._clock.monotonic()
            self._fetching = asyncio.get_running_loop().create_task(self._fetch(), name="jwks-fetch")

    async def _fetch(self) -> None:
        try:
            keys = parse_jwks(await self._download())
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            if not self._failing:
                _log.warning("cannot fetch the token keys from %s: %s", self._url, type(error).__name__)
            self._failing = True
            return
        self._failing = False
        if keys != self._keys:
            self._keys = keys
            self._generation += 1

    async def _download(self) -> bytes:
        connector = aiohttp.TCPConnector(ssl=self._tls if self._tls is not None else True)
        async with (
            aiohttp.ClientSession(connector=connector, timeout=self._timeout) as session,
            session.get(self._url, allow_redirects=False, headers={"accept": "application/json"}) as response,
        ):
            if response.status != HTTPStatus.OK:
                raise ValueError(f"status {response.status}")
            document = bytearray()
            async for chunk in response.content.iter_chunked(16 * 1024):
                document += chunk
                if len(document) > MAX_JWKS_BYTES:
                    raise ValueError("too large")
            return bytes(document)
