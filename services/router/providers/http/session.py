"""The calls to providers, over the connections that they all share."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

import aiohttp

from services.router.domain.call_request import RequestT
from services.router.domain.configuration import Provider
from services.router.domain.embedding import Embedding, Vectors
from services.router.domain.errors import ProviderError
from services.router.domain.generation import Answer, Generation
from services.router.domain.ports import Dispatch
from services.router.providers.base import Dialect, EncodedEmbedding, EncodedRequest
from services.router.providers.http.access_tokens import AccessTokens
from services.router.providers.http.answer_stream import HttpProviderStream
from services.router.providers.http.credentials import Credential, credential_headers
from services.router.providers.http.media import MediaFetcher, Room
from services.router.providers.http.responses import HTTP_OK, failure, whole_body
from services.router.providers.http.timers import Timers
from services.router.providers.http.transport import translated, within
from services.router.providers.http.vetted_http import VettedHttp
from services.router.providers.reading.json_values import malformed

USER_AGENT = "gatehouse"

# Decoding what is shorter takes a few milliseconds.
_LONG_BODY = 1024 * 1024
# The longest vector of the API, each number spelled out.
_MOST_PER_VECTOR = 65_536 * 24

_Encoded = EncodedRequest | EncodedEmbedding
ReceivedT = TypeVar("ReceivedT")
DecodedT = TypeVar("DecodedT")


@dataclass(frozen=True, slots=True)
class _Call:
    """What is sent, as what, and to whom."""

    dialect: Dialect
    provider: Provider
    encoded: _Encoded
    credential: Credential
    reference: str


class HttpProviderSession:
    """A `ports.ProviderSession` over `http`.

    No redirect is followed, and nothing is sent twice but for one thing: a request that was not let in with an access
    token that had ended early goes out once more with a new one (see `AccessTokens.used`). An answer over
    `max_answer_bytes` is refused; one with vectors, of which each has its share of the room, over `max_vectors_bytes`.
    `tokens` are those got for keys that are not sent themselves; `media` fetches what callers name by URL and providers
    do not fetch.
    """

    def __init__(
        self,
        http: VettedHttp,
        dialects: Mapping[str, Dialect],
        timers: Timers,
        *,
        max_answer_bytes: int = 64 * 1024 * 1024,
        max_vectors_bytes: int = 256 * 1024 * 1024,
        tokens: AccessTokens | None = None,
        media: MediaFetcher | None = None,
    ) -> None:
        self._http = http
        self._dialects = dialects
        self._timers = timers
        self._max_answer_bytes = max_answer_bytes
        self._tokens = tokens or AccessTokens(http)
        self._media = media or MediaFetcher(http)
        self._max_vectors_bytes = max_vectors_bytes
        self._lingering: set[asyncio.Task[None]] = set()

    async def aclose(self) -> None:
        """Let go of the answers whose ends are still awaited; `http` stays open."""
        lingering = tuple(self._lingering)
        for task in lingering:
            task.cancel()
        await asyncio.gather(*lingering, return_exceptions=True)

    async def generate(self, dispatch: Dispatch[Generation]) -> Answer:
        """Send one attempt and wait for its whole answer. Raises ProviderError."""
        dialect = self._dialects[dispatch.target.provider.type]
        timers = self._timers.overridden(dispatch.target.provider.timeouts)
        timer, deadline = timers.start().for_first_event()
        with ExitStack() as held:
            if dispatch.media_by_url:
                room = held.enter_context(self._media.room(dispatch.tenant))
                dispatch = await self._with_media(dialect, dispatch, room, deadline)
            encoded = _encode(dialect, dispatch, stream=False)
            receive = partial(self._whole_answer, timers=timers, limit=self._max_answer_bytes)
            answer = _decoded(
                encoded.answers.decode,
                await self._received(dialect, dispatch, encoded, receive, timer=timer, deadline=deadline),
            )
            return replace(answer, warnings=encoded.warnings) if encoded.warnings else answer

    async def stream(self, dispatch: Dispatch[Generation]) -> HttpProviderStream:
        """Send one attempt and wait until the provider begins to answer. Raises ProviderError."""
        dialect = self._dialects[dispatch.target.provider.type]
        timers = self._timers.overridden(dispatch.target.provider.timeouts)
        deadlines = timers.start()
        timer, deadline = deadlines.for_first_event()
        with ExitStack() as held:
            if dispatch.media_by_url:
                room = held.enter_context(self._media.room(dispatch.tenant))
                dispatch = await self._with_media(dialect, dispatch, room, deadline)
            encoded = _encode(dialect, dispatch, stream=True)
            content_type = encoded.answers.stream_format.content_type
            receive = partial(self._event_stream, timers=timers, content_type=content_type)
            response = await self._received(dialect, dispatch, encoded, receive, timer=timer, deadline=deadline)
            return HttpProviderStream(
                response,
                encoded.answers,
                deadlines=deadlines,
                lingering=self._lingering,
                warnings=encoded.warnings,
            )

    async def embed(self, dispatch: Dispatch[Embedding]) -> Vectors:
        """Send one attempt and wait for all its vectors. Raises ProviderError."""
        provider, count = dispatch.target.provider, len(dispatch.request.inputs)
        dialect = self._dialects[provider.type]
        if (embedder := dialect.embedder) is None:
            raise AssertionError("planning leaves out providers that give no vectors")
        timers = self._timers.overridden(provider.timeouts)
        timer, deadline = timers.start().for_first_event()
        encoded = embedder.encode(
            dispatch.request,
            provider_model_id=dispatch.target.model.provider_model_id,
            options=provider.options,
        )
        limit = min(self._max_vectors_bytes, _MOST_PER_VECTOR * (count + 1))
        receive = partial(self._whole_answer, timers=timers, limit=limit)
        vectors = await _decoded_apart(
            partial(embedder.decode, count=count),
            await self._received(dialect, dispatch, encoded, receive, timer=timer, deadline=deadline),
        )
        if dispatch.request.dimensions not in (None, len(vectors.vectors[0])):
            raise malformed()
        return vectors

    async def _with_media(
        self, dialect: Dialect, dispatch: Dispatch[Generation], room: Room, deadline: float
    ) -> Dispatch[Generation]:
        """With the bytes of the media that the provider does not fetch itself. Raises ProviderError."""
        target = dispatch.target
        taken = dialect.takes_urls(dispatch.request, target.provider.options, target.model.provider_model_id)
        return replace(dispatch, request=await self._media.fetch(dispatch.request, taken, room, deadline=deadline))

    async def _received(
        self,
        dialect: Dialect,
        dispatch: Dispatch[RequestT],
        encoded: _Encoded,
        receive: Callable[[_Call], Awaitable[ReceivedT]],
        *,
        timer: str,
        deadline: float,
    ) -> ReceivedT:
        """What `receive` makes of the provider's response. Raises ProviderError."""
        provider, reference = dispatch.target.provider, dispatch.reference

        def send(credential: Credential) -> Awaitable[ReceivedT]:
            dispatch.departing()
            return within(timer, deadline, receive(_Call(dialect, provider, encoded, credential, reference)))

        return await self._tokens.used(dialect, dispatch.key, provider.options, send, timer=timer, deadline=deadline)

    async def _send(self, call: _Call, timers: Timers, accept: str) -> aiohttp.ClientResponse:
        post = self._http.session.post(
            self._http.destination(call.provider.base_url, call.encoded.path),
            data=call.encoded.body,
            # Made in place: a name for it would put the key into the frames of every traceback.
            headers=_request_headers(call, accept),
            timeout=aiohttp.ClientTimeout(total=None, connect=timers.connect_s),
            allow_redirects=False,
        )
        return await translated(post, sent=False)

    async def _whole_answer(self, call: _Call, timers: Timers, limit: int) -> bytes:
        """The body of a good response."""
        response = await self._send(call, timers, "application/json")
        if response.status != HTTP_OK:
            raise await failure(call.dialect, response, call.credential.secret)
        return await whole_body(response, limit)

    async def _event_stream(self, call: _Call, timers: Timers, content_type: str) -> aiohttp.ClientResponse:
        """A good response whose body is still to be read."""
        response = await self._send(call, timers, content_type)
        if not _is_stream(response, content_type):
            raise await failure(call.dialect, response, call.credential.secret)
        return response


def _encode(dialect: Dialect, dispatch: Dispatch[Generation], *, stream: bool) -> EncodedRequest:
    return dialect.encode(
        dispatch.request,
        provider_model_id=dispatch.target.model.provider_model_id,
        output_limit=dispatch.output_limit,
        stream=stream,
        options=dispatch.target.provider.options,
    )


def _decoded(decode: Callable[[bytes], DecodedT], body: bytes) -> DecodedT:
    """What a body means. Raises ProviderError, in no frame that holds what the provider sent: it may quote the key."""
    try:
        return decode(body)
    except ProviderError as error:
        failed = error.with_traceback(None)
    del body
    raise failed


async def _decoded_apart(decode: Callable[[bytes], Vectors], body: bytes) -> Vectors:
    """The vectors in a body. Raises ProviderError as `_decoded`."""
    if len(body) <= _LONG_BODY:
        return _decoded(decode, body)
    # Millions of numbers: meanwhile the other calls go on, as far as the interpreter lets them.
    decoding = asyncio.to_thread(_decoded, decode, body)
    del body
    return await decoding


def _request_headers(call: _Call, accept: str) -> dict[str, str]:
    options = call.provider.options
    return {
        "Content-Type": "application/json",
        "Accept": accept,
        # Answers are small and the loop is busy: no compression, so no decompression bombs either.
        "Accept-Encoding": "identity",
        "User-Agent": USER_AGENT,
        "X-Gatehouse-Attempt": call.reference,
        **call.dialect.option_headers(options),
        **call.encoded.headers,
        **credential_headers(call.dialect, call.credential, options),
    }


def _is_stream(response: aiohttp.ClientResponse, content_type: str) -> bool:
    headers = response.headers
    return (
        response.status == HTTP_OK
        and headers.get("Content-Type", "").lower().startswith(content_type)
        # Whoever compresses although `identity` was asked for is not understood.
        and headers.get("Content-Encoding", "identity").lower() in {"identity", ""}
    )
