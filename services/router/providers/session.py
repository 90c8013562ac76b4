"""The one HTTP session that carries every call to every provider."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

import aiohttp
from yarl import URL

from services.router.domain.errors import ProviderError, Reason
from services.router.domain.generation import Answer, Finished, ProviderEvent
from services.router.domain.ports import Dispatch
from services.router.providers.base import Dialect, EncodedRequest, StreamDecoder
from services.router.providers.sse import EventReader

_HTTP_OK = 200
_MAX_ERROR_BODY = 64 * 1024
_USER_AGENT = "gatehouse"


@dataclass(frozen=True, slots=True, kw_only=True)
class Timers:
    """How long each phase of an attempt may take, in seconds; the call's own deadline bounds them all.

    `first_event_s` is from the connection to the first byte of the answer's body, for a whole answer to its end;
    `idle_s` between two reads of a stream.
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
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=timers.connect_s),
            auto_decompress=False,
            trust_env=False,
            raise_for_status=False,
        )

    async def aclose(self) -> None:
        """Close all connections."""
        for task in self._lingering:
            task.cancel()
        await self._http.close()

    async def generate(self, dispatch: Dispatch) -> Answer:
        """Send one attempt and wait for its whole answer. Raises ProviderError."""
        dialect = self._dialects[dispatch.target.provider.type]
        async with self._timer("first_event", self._timers.first_event_s):
            response = await self._send(dialect, dispatch, stream=False)
            try:
                with _transport_errors(sent=True):
                    body = await self._read_all(response)
            finally:
                response.close() if not response.content.at_eof() else response.release()
        if response.status != _HTTP_OK:
            raise dialect.classify(response.status, _headers(response), body)
        return dialect.decode(body)

    async def stream(self, dispatch: Dispatch) -> HttpProviderStream:
        """Send one attempt and wait until the provider begins to answer. Raises ProviderError."""
        dialect = self._dialects[dispatch.target.provider.type]
        async with self._timer("first_event", self._timers.first_event_s):
            response = await self._send(dialect, dispatch, stream=True)
            if response.status != _HTTP_OK or not response.content_type.startswith("text/event-stream"):
                try:
                    with _transport_errors(sent=True):
                        body = await response.content.read(_MAX_ERROR_BODY)
                finally:
                    response.close()
                if response.status == _HTTP_OK:
                    raise ProviderError(Reason.PROVIDER_BAD_RESPONSE, status=_HTTP_OK, sent=True)
                raise dialect.classify(response.status, _headers(response), body)
        return HttpProviderStream(response, dialect.stream_decoder(), self._timers, self._lingering)

    async def _send(self, dialect: Dialect, dispatch: Dispatch, *, stream: bool) -> aiohttp.ClientResponse:
        provider, model = dispatch.target.provider, dispatch.target.model
        encoded = dialect.encode(
            dispatch.request,
            provider_model_id=model.provider_model_id,
            output_limit=dispatch.output_limit,
            stream=stream,
        )
        headers = {
            "Content-Type": "application/json",
            "Accept": "text/event-stream" if stream else "application/json",
            # Answers are small and the loop is busy: no compression, so no decompression bombs either.
            "Accept-Encoding": "identity",
            "User-Agent": _USER_AGENT,
            "X-Gatehouse-Attempt": dispatch.reference,
        }
        if dispatch.key is not None:
            name, value = dialect.key_header(dispatch.key.reveal().decode("ascii"))
            headers[name] = value
        with _transport_errors(sent=False):
            return await self._http.post(
                self._url(provider.base_url, encoded), data=encoded.body, headers=headers, allow_redirects=False
            )

    def _url(self, base_url: str, encoded: EncodedRequest) -> URL:
        url = self._urls.get((base_url, encoded.path))
        if url is None:
            if len(self._urls) >= _MAX_URLS:
                self._urls.clear()
            url = self._urls[base_url, encoded.path] = URL(base_url.rstrip("/") + encoded.path, encoded=True)
        return url

    async def _read_all(self, response: aiohttp.ClientResponse) -> bytes:
        limit = self._max_answer_bytes if response.status == _HTTP_OK else _MAX_ERROR_BODY
        chunks: list[bytes] = []
        size = 0
        while chunk := await response.content.readany():
            chunks.append(chunk)
            size += len(chunk)
            if size > limit:
                if response.status == _HTTP_OK:
                    raise ProviderError(Reason.PROVIDER_BAD_RESPONSE, status=_HTTP_OK, sent=True)
                break
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    @asynccontextmanager
    async def _timer(self, timer: str, seconds: float) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(seconds):
                yield
        except TimeoutError:
            raise ProviderError(Reason.PROVIDER_TIMEOUT, timer=timer, sent=True) from None


class HttpProviderStream:
    """A `ports.ProviderStream` over one HTTP response."""

    def __init__(
        self,
        response: aiohttp.ClientResponse,
        decoder: StreamDecoder,
        timers: Timers,
        lingering: set[asyncio.Task[None]],
    ) -> None:
        self._response = response
        self._decoder = decoder
        self._timers = timers
        self._reader = EventReader()
        self._lingering = lingering
        self._first = True
        self._finished = False

    async def read(self) -> list[ProviderEvent]:
        """The next events. Raises ProviderError."""
        events: list[ProviderEvent] = []
        while not events and not self._finished:
            timer, seconds = (
                ("first_event", self._timers.first_event_s) if self._first else ("idle", self._timers.idle_s)
            )
            try:
                with _transport_errors(sent=True):
                    async with asyncio.timeout(seconds):
                        chunk = await self._response.content.readany()
            except TimeoutError:
                raise ProviderError(Reason.PROVIDER_TIMEOUT, timer=timer, sent=True) from None
            self._first = False
            if chunk:
                for data in self._reader.feed(chunk):
                    events.extend(self._decoder.feed(data))
            else:
                events.extend(self._decoder.end())
            self._finished = bool(events) and isinstance(events[-1], Finished)
        return events

    def close(self) -> None:
        """Close the connection, or give it back when the answer was read to its end."""
        if self._finished and not self._response.content.at_eof() and len(self._lingering) < _MAX_LINGERING:
            # The provider has said all, only the end of the body is still under way: worth keeping the connection.
            task = asyncio.create_task(_read_end(self._response))
            self._lingering.add(task)
            task.add_done_callback(self._lingering.discard)
        elif self._finished and self._response.content.at_eof():
            self._response.release()
        else:
            self._response.close()


async def _read_end(response: aiohttp.ClientResponse) -> None:
    try:
        async with asyncio.timeout(_LINGER_S):
            surplus = await response.content.readany()
        if surplus:
            response.close()
    except (aiohttp.ClientError, OSError, TimeoutError):
        response.close()
    finally:
        response.release()


_LINGER_S = 1.0
_MAX_LINGERING = 1_000
_MAX_URLS = 10_000


def _headers(response: aiohttp.ClientResponse) -> Mapping[str, str]:
    return response.headers


@contextmanager
def _transport_errors(*, sent: bool) -> Iterator[None]:
    try:
        yield
    except aiohttp.ConnectionTimeoutError:
        raise ProviderError(Reason.PROVIDER_TIMEOUT, timer="connect") from None
    except aiohttp.ClientConnectorError:
        raise ProviderError(Reason.PROVIDER_UNREACHABLE) from None
    except (aiohttp.ClientPayloadError, aiohttp.ClientResponseError, aiohttp.InvalidURL, ValueError):
        raise ProviderError(Reason.PROVIDER_UNREACHABLE if sent else Reason.PROVIDER_BAD_RESPONSE, sent=sent) from None
    except (aiohttp.ClientError, OSError):
        raise ProviderError(Reason.PROVIDER_UNREACHABLE, sent=sent) from None
