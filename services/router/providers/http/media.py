"""Images, sounds and documents by URL, fetched for the providers that do not fetch them themselves.

Whoever calls names the URL, so it is judged as a provider's address is, at each step: the URL, every address its host
resolves to, every redirect. Nothing of the provider's goes along: no key, no cookie, no header that tells who asks.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Self
from urllib.parse import urljoin

import aiohttp

from libs.core.endpoints import INSIDE
from services.router.domain.errors import ProviderError, Reason
from services.router.domain.generation import Generation, Media, Message, Part, Text, ToolResult
from services.router.providers.http.media_types import Item, checked
from services.router.providers.http.vetted_http import AddressRefused, VettedHttp

_HTTP_OK = 200
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MIB = 1024 * 1024
# Whoever compresses although `identity` was asked for is not understood: no decompression, no bombs.
_HEADERS = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "gatehouse"}


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaLimits:
    """Bounds of what is fetched for one attempt: as many bytes as a call may bring along itself.

    `held_bytes` is what all attempts together may hold until their providers answer, several times as much in memory;
    `tenant_bytes` one tenant's: a call of some hundred bytes can ask for as much as it likes.
    """

    item_bytes: int = 20 * _MIB
    total_bytes: int = 32 * _MIB
    held_bytes: int = 512 * _MIB
    tenant_bytes: int = 256 * _MIB
    total_s: float = 30.0
    connect_s: float = 5.0
    at_once: int = 4
    redirects: int = 3


class _Unfit(Exception):
    """Why something was not fetched, as the end of a sentence about it."""


class Room:
    """Room for the media of one attempt, given back at the end of the `with`."""

    __slots__ = ("_held", "_left", "_limits", "_taken", "_tenant")

    def __init__(self, limits: MediaLimits, held: Counter[str], tenant: str) -> None:
        self._limits = limits
        self._held = held
        self._tenant = tenant
        self._left = limits.total_bytes
        self._taken = 0

    def take(self, size: int) -> None:
        """Use some bytes. Raises _Unfit."""
        self._left -= size
        if self._left < 0:
            raise _Unfit("is too large together with the others")
        self._taken += size
        self._held[self._tenant] += size
        # There are few with media on their way, so that adding up costs less than a second book.
        if self._held[self._tenant] > self._limits.tenant_bytes or self._held.total() > self._limits.held_bytes:
            raise _Unfit("cannot be fetched just now, for too many others are on their way; try again later")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._held[self._tenant] -= self._taken
        self._taken = 0
        if not self._held[self._tenant]:
            del self._held[self._tenant]


class MediaFetcher:
    """Fetches over `http`, whose rules say what may be reached."""

    def __init__(self, http: VettedHttp, limits: MediaLimits = MediaLimits()) -> None:
        self._http = http
        self._limits = limits
        # Bytes by tenant.
        self._held: Counter[str] = Counter()

    def room(self, tenant: str) -> Room:
        """Room for an attempt of `tenant`, to be held until the provider has answered."""
        return Room(self._limits, self._held, tenant)

    async def fetch(
        self, request: Generation, taken: frozenset[type[Media]], room: Room, *, deadline: float
    ) -> Generation:
        """`request` with the bytes of all media by URL but those of the kinds in `taken`.

        Raises ProviderError `MEDIA_NOT_FETCHED`, with a message that names the host and what is wrong, also when they
        have not come by `deadline`, in seconds of the loop's clock: the URLs are the caller's. What stands in them
        besides the host may be secret and is never told.
        """
        wanted = {each for message in request.messages for each in _by_url(message.parts) if type(each) not in taken}
        if not wanted:
            return request
        deadline = min(deadline, asyncio.get_running_loop().time() + self._limits.total_s)
        fetched = await self._all(wanted, room, deadline)
        return replace(request, messages=tuple(_replaced(message, fetched) for message in request.messages))

    async def _all(self, wanted: Iterable[Item], room: Room, deadline: float) -> Mapping[Part, Item]:
        gate = asyncio.Semaphore(self._limits.at_once)

        async def fetched(media: Item) -> Item | ProviderError:
            async with gate:
                return await self._one(media, room, deadline)

        tasks = {each: asyncio.create_task(fetched(each)) for each in wanted}
        try:
            # The first failure is the call's; the others need not go on.
            for done in asyncio.as_completed(tasks.values()):
                outcome = await done
                if isinstance(outcome, ProviderError):
                    raise outcome
            return {
                media: each for media, task in tasks.items() if not isinstance(each := task.result(), ProviderError)
            }
        finally:
            for task in tasks.values():
                task.cancel()
            await asyncio.gather(*tasks.values(), return_exceptions=True)

    async def _one(self, media: Item, room: Room, deadline: float) -> Item | ProviderError:
        """`media` with its bytes, or why not. The error is made here: as context others would show the URL."""
        try:
            async with asyncio.timeout_at(deadline):
                return await self._follow(media, room)
        except TimeoutError:
            problem = "did not come in time"
        except _Unfit as unfit:
            problem = str(unfit)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            problem = _problem(error)
        what, host = type(media).__name__.lower(), _host(media.url or "")
        return ProviderError(
            Reason.MEDIA_NOT_FETCHED, message=f"The {what} by URL{f' at {host}' if host else ''} {problem}."
        )

    async def _follow(self, media: Item, room: Room) -> Item:
        url = media.url or ""
        for _ in range(self._limits.redirects + 1):
            response = await self._get(url)
            try:
                if response.status not in _REDIRECTS:
                    return checked(media, await self._body(response, room), response.headers.get("Content-Type", ""))
                location = response.headers.get("Location", "")
                if not location:
                    raise _Unfit("is redirected to nowhere")
                url = _joined(url, location)
            finally:
                # What was not read to its end is not waited for.
                response.close()
        raise _Unfit("is redirected too often")

    async def _get(self, url: str) -> aiohttp.ClientResponse:
        try:
            destination = self._http.anywhere(url)
        except ProviderError as error:
            if error.reason is Reason.PROVIDER_ADDRESS_REFUSED:
                problem = f"leads to a place that may not be called: not https, or {INSIDE}"
            else:
                problem = "has no URL that could be called"
        else:
            return await self._http.session.get(
                destination,
                headers=_HEADERS,
                timeout=aiohttp.ClientTimeout(total=None, connect=self._limits.connect_s),
                allow_redirects=False,
            )
        raise _Unfit(problem)

    async def _body(self, response: aiohttp.ClientResponse, room: Room) -> bytes:
        if response.status != _HTTP_OK:
            raise _Unfit(f"was answered with HTTP status {response.status}")
        if response.headers.get("Content-Encoding", "identity").lower() not in {"identity", ""}:
            raise _Unfit("came compressed, which was not asked for")
        limit = self._limits.item_bytes
        chunks: list[bytes] = []
        size = response.content_length or 0
        if size <= limit:
            size = 0
            while size <= limit and (chunk := await response.content.readany()):
                chunks.append(chunk)
                size += len(chunk)
                room.take(len(chunk))
        if size > limit:
            raise _Unfit(f"has more than {limit} bytes")
        if not size:
            raise _Unfit("is empty")
        return b"".join(chunks)


def _joined(url: str, location: str) -> str:
    """Where a redirect leads. Raises _Unfit."""
    try:
        return urljoin(url, location)
    except ValueError:
        # It quotes the place, which may hold a secret.
        problem = "is redirected to no URL that could be called"
    raise _Unfit(problem)


def _by_url(parts: Iterable[Part]) -> Iterator[Item]:
    for part in parts:
        if isinstance(part, Item):
            if part.url is not None:
                yield part
        elif isinstance(part, ToolResult):
            yield from _by_url(part.parts)


def _replaced(message: Message, fetched: Mapping[Part, Item]) -> Message:
    parts: tuple[Part, ...] = tuple(
        replace(part, parts=tuple(each if isinstance(each, Text) else fetched.get(each, each) for each in part.parts))
        if isinstance(part, ToolResult)
        else fetched.get(part, part)
        for part in message.parts
    )
    return replace(message, parts=parts)


def _problem(error: Exception) -> str:
    match error:
        case aiohttp.ClientConnectorError(os_error=AddressRefused()):
            return f"leads to {INSIDE}"
        case aiohttp.ConnectionTimeoutError() | aiohttp.ClientConnectorError():
            return "cannot be reached"
        case aiohttp.ClientPayloadError():
            return "broke off"
        case aiohttp.ClientError() | OSError():
            return "was not answered in HTTP, or the connection broke off"
        case _:
            # Of `checked`.
            return str(error)


def _host(url: str) -> str:
    """The host of `url` as far as it may be told; empty when it is none that anything was sent to."""
    return VettedHttp.host_of(url) or ""
