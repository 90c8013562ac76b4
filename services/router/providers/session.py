"""The one HTTP session that carries every call to every provider."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

import aiohttp
from yarl import URL

from libs.core.secret import Secret
from services.router.domain.errors import ProviderError, Reason
from services.router.domain.generation import Answer
from services.router.domain.ports import Dispatch
from services.router.providers.answer_stream import HttpProviderStream
from services.router.providers.base import Dialect, EncodedRequest
from services.router.providers.transport import translated, within

_HTTP_OK = 200
_MAX_ERROR_BODY = 64 * 1024
_ERROR_BODY_S = 5.0
_MASK = b"[masked]"
_USER_AGENT = "gatehouse"
_MAX_URLS = 10_000
# What may stand in a header after `Bearer `: visible ASCII.
_KEY = re.compile(rb"[\x21-\x7e]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Timers:
    """How long each phase of an attempt may take, in seconds; the call's own deadline bounds them all.

    `first_event_s` is from the sending of the call to the first byte of the answer's body, for a whole answer to its
    end; `connect_s` is a part of it; `idle_s` is between two reads of a stream.
    """

    connect_s: float = 5.0
    first_event_s: float = 120.0
    idle_s: float = 60.0


class HttpProviderSession:
    """A `ports.ProviderSession` on aiohttp.

    Nothing is retried here, no redirect is followed, no proxy of the environment is used and no cookie kept. An answer
    over `max_answer_bytes` is refused.
    """

    def __init__(
        self, dialects: Mapping[str, Dialect], timers: Timers, *, max_answer_bytes: int = 64 * 1024 * 1024
    ) -> None:
        self._dialects = dialects
        self._timers = timers
        self._max_answer_bytes = max_answer_bytes
        self._urls: dict[tuple[str, str], URL] = {}
        self._lingering: set[asyncio.Task[None]] = set()
        self._http = aiohttp.ClientSession(
            # No limit here: admission to the router is the limit, and a queue inside the session would be invisible.
            connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=30, keepalive_timeout=30),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, connect=timers.connect_s),
            auto_decompress=False,
            trust_env=False,
            raise_for_status=False,
        )

    async def aclose(self) -> None:
        """Close all connections."""
        lingering = tuple(self._lingering)
        for task in lingering:
            task.cancel()
        await asyncio.gather(*lingering, return_exceptions=True)
        await self._http.close()

    async def generate(self, dispatch: Dispatch) -> Answer:
        """Send one attempt and wait for its whole answer. Raises ProviderError."""
        dialect = self._dialects[dispatch.target.provider.type]
        body = await within("first_event", self._first_event_deadline(), self._whole_answer(dialect, dispatch))
        return dialect.decode(body)

    async def stream(self, dispatch: Dispatch) -> HttpProviderStream:
        """Send one attempt and wait until the provider begins to answer. Raises ProviderError."""
        dialect = self._dialects[dispatch.target.provider.type]
        deadline = self._first_event_deadline()
        response = await within("first_event", deadline, self._event_stream(dialect, dispatch))
        return HttpProviderStream(
            response,
            dialect.stream_decoder(),
            first_deadline=deadline,
            idle_s=self._timers.idle_s,
            lingering=self._lingering,
        )

    def _first_event_deadline(self) -> float:
        return asyncio.get_running_loop().time() + self._timers.first_event_s

    async def _send(self, dialect: Dialect, dispatch: Dispatch, *, stream: bool) -> aiohttp.ClientResponse:
        encoded = dialect.encode(
            dispatch.request,
            provider_model_id=dispatch.target.model.provider_model_id,
            output_limit=dispatch.output_limit,
            stream=stream,
        )
        post = self._http.post(
            self._url(dispatch.target.provider.base_url, encoded),
            data=encoded.body,
            # Made in place: a name for it would put the key into the frames of every traceback.
            headers=_request_headers(dialect, dispatch, stream=stream),
            allow_redirects=False,
        )
        return await translated(post, sent=False)

    def _url(self, base_url: str, encoded: EncodedRequest) -> URL:
        url = self._urls.get((base_url, encoded.path))
        if url is None:
            if len(self._urls) >= _MAX_URLS:
                self._urls.clear()
            try:
                url = URL(base_url.rstrip("/") + encoded.path, encoded=True)
            except ValueError:
                raise ProviderError(Reason.PROVIDER_BAD_RESPONSE) from None
            self._urls[base_url, encoded.path] = url
        return url

    async def _whole_answer(self, dialect: Dialect, dispatch: Dispatch) -> bytes:
        """The body of a good response."""
        response = await self._send(dialect, dispatch, stream=False)
        if response.status != _HTTP_OK:
            raise await _failure(dialect, dispatch, response)
        try:
            body, whole = await translated(_read_up_to(response, self._max_answer_bytes), sent=True)
        finally:
            response.release()
        if not whole:
            raise ProviderError(Reason.PROVIDER_BAD_RESPONSE, status=_HTTP_OK, sent=True)
        return body

    async def _event_stream(self, dialect: Dialect, dispatch: Dispatch) -> aiohttp.ClientResponse:
        """A good response whose body is still to be read."""
        response = await self._send(dialect, dispatch, stream=True)
        if not _is_event_stream(response):
            raise await _failure(dialect, dispatch, response)
        return response


async def _failure(dialect: Dialect, dispatch: Dispatch, response: aiohttp.ClientResponse) -> ProviderError:
    """What a response that is not the answer means."""
    body = b""
    deadline = asyncio.get_running_loop().time() + _ERROR_BODY_S
    try:
        # The status says enough when the explanation is cut, slow or endless.
        with suppress(ProviderError):
            reading = translated(_read_up_to(response, _MAX_ERROR_BODY), sent=True)
            body, _ = await within("first_event", deadline, reading)
    finally:
        response.release()
    return dialect.classify(response.status, response.headers, _without_key(body, dispatch.key))


async def _read_up_to(response: aiohttp.ClientResponse, limit: int) -> tuple[bytes, bool]:
    """The body and True, or a little more than its first `limit` bytes and False."""
    chunks: list[bytes] = []
    size = 0
    while size <= limit:
        chunk = await response.content.readany()
        if not chunk:
            return (chunks[0] if len(chunks) == 1 else b"".join(chunks)), True
        chunks.append(chunk)
        size += len(chunk)
    return b"".join(chunks), False


def _without_key(body: bytes, key: Secret | None) -> bytes:
    """`body` with the key masked: careless providers quote it. Also as JSON writers that escape slashes spell it."""
    if not key:
        return body
    return body.replace(key.reveal(), _MASK).replace(key.reveal().replace(b"/", rb"\/"), _MASK)


def _request_headers(dialect: Dialect, dispatch: Dispatch, *, stream: bool) -> dict[str, str]:
    headers = {
        "Content-Type": "application/json",
        "Accept": "text/event-stream" if stream else "application/json",
        # Answers are small and the loop is busy: no compression, so no decompression bombs either.
        "Accept-Encoding": "identity",
        "User-Agent": _USER_AGENT,
        "X-Gatehouse-Attempt": dispatch.reference,
    }
    if dispatch.key is not None:
        if _KEY.fullmatch(dispatch.key.reveal()) is None:
            # No provider gives out such keys, and the errors of whoever tries to send one quote it.
            raise ProviderError(Reason.PROVIDER_KEY_REJECTED)
        name, value = dialect.key_header(dispatch.key.reveal().decode("ascii"))
        headers[name] = value
    return headers


def _is_event_stream(response: aiohttp.ClientResponse) -> bool:
    headers = response.headers
    return (
        response.status == _HTTP_OK
        and headers.get("Content-Type", "").lower().startswith("text/event-stream")
        # Whoever compresses although `identity` was asked for is not understood.
        and headers.get("Content-Encoding", "identity").lower() in {"identity", ""}
    )
