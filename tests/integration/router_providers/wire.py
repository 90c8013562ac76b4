"""A provider of bytes: a server whose every answer a test writes by hand, and what a call to it needs."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest

from libs.core.endpoints import EndpointRules
from libs.core.resource_names import Owner
from libs.core.secret import Secret
from libs.rpc.name_lookup import NameLookup
from services.router.domain.configuration import Model, Provider, ProviderTimeouts
from services.router.domain.embedding import Embedding
from services.router.domain.errors import ProviderError
from services.router.domain.generation import Generation, Message, ProviderEvent, Role, Text
from services.router.domain.ports import Dispatch
from services.router.domain.routing.causes import Rule
from services.router.domain.routing.route_plan import Target
from services.router.domain.tokens import measure
from services.router.providers.http.access_tokens import PUBLIC_ISSUERS, AccessTokens
from services.router.providers.http.session import HttpProviderSession
from services.router.providers.http.timers import Timers
from services.router.providers.http.vetted_http import VettedHttp
from services.router.providers.registry import DIALECTS

CANARY = "sk-sandbox-canary-5d1e8f"
HELLO = Generation(messages=(Message(Role.USER, (Text("Hello"),)),))


@dataclass(slots=True)
class Exchange:
    """One request, and the way to answer it."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, *data: bytes) -> None:
        """Send each piece in a packet of its own, as far as that can be had."""
        for piece in data:
            self.writer.write(piece)
            await self.writer.drain()
            await asyncio.sleep(0)

    async def client_gone(self) -> None:
        """Wait until the client has closed its side."""
        with suppress(ConnectionError):
            while await self.reader.read(65_536):
                pass

    def reset(self) -> None:
        """Break the connection with a TCP reset."""
        connection = self.writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    def cut(self) -> None:
        """Close the connection."""
        self.writer.close()


Answer = Callable[[Exchange], Awaitable[None]]


@dataclass(slots=True)
class WireServer:
    """What came in."""

    url: str = ""
    connections: int = 0
    exchanges: list[Exchange] = field(default_factory=list)

    @property
    def base_url(self) -> str:
        """For a provider."""
        return f"{self.url}/v1"

    def bodies(self) -> list[Any]:
        """The JSON of all requests."""
        return [orjson.loads(each.body) for each in self.exchanges]


@asynccontextmanager
async def serving(answer: Answer) -> AsyncIterator[WireServer]:
    """A server on a free port that answers every request with `answer`."""
    server = WireServer()
    tasks: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.connections += 1
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            while not writer.is_closing() and (exchange := await _read(reader, writer)) is not None:
                server.exchanges.append(exchange)
                await answer(exchange)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            tasks.discard(task)

    listening = await asyncio.start_server(connected, "127.0.0.1", 0, limit=2**26)
    server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    try:
        yield server
    finally:
        listening.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Exchange | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.strip().split("\r\n")
    method, path, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Exchange(method, path, headers, body, reader, writer)


def head(status: int = 200, content_type: str = "application/json", **headers: str) -> bytes:
    """The head of a response; `_` in a header's name stands for `-`."""
    lines = [f"HTTP/1.1 {status} Whatever", f"content-type: {content_type}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join((*lines, "\r\n")).encode("latin-1")


def whole(body: bytes | object, status: int = 200, **headers: str) -> bytes:
    """A complete response; anything but bytes is sent as JSON."""
    data = body if isinstance(body, bytes) else orjson.dumps(body)
    return head(status, content_length=str(len(data)), **headers) + data


def answering(response: bytes) -> Answer:
    """Answer everything with these bytes."""

    async def answer(exchange: Exchange) -> None:
        await exchange.send(response)

    return answer


STREAM_HEAD = head(content_type="text/event-stream", transfer_encoding="chunked")
END = b"0\r\n\r\n"


def piece(data: bytes) -> bytes:
    """One chunk of a chunked body."""
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def event(data: object) -> bytes:
    """One server-sent event."""
    return b"data: " + (data if isinstance(data, bytes) else orjson.dumps(data)) + b"\n\n"


def delta(text: str) -> bytes:
    """An event with some text."""
    return event({"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]})


FINISH = event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
USAGE = event({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}})
DONE = event(b"[DONE]")


def streaming(*events: bytes, end: bytes = END) -> Answer:
    """Answer with a stream of these events, one packet each."""

    async def answer(exchange: Exchange) -> None:
        await exchange.send(STREAM_HEAD, *map(piece, events), end)

    return answer


def dispatch(
    base_url: str,
    request: Generation = HELLO,
    *,
    dialect: str = "openai",
    key: str | None = CANARY,
    model: str = "sandbox-small",
    output_limit: int | None = None,
    timeouts: ProviderTimeouts = ProviderTimeouts(),  # noqa: B008 - it is frozen
    options: Mapping[str, object] | None = None,
) -> Dispatch[Generation]:
    """A call of `request` at the provider under `base_url`."""
    provider = Provider(
        name="tenants/acme/providers/wire",
        id="wire",
        owner=Owner("acme"),
        type=dialect,
        base_url=base_url,
        origin=base_url.removesuffix("/v1"),
        key="tenants/acme/keys/wire" if key else "",
        default_model=model,
        active=True,
        is_default=True,
        priority=0,
        models={},
        timeouts=timeouts,
        options=options or {},
    )
    return Dispatch(
        target=Target(
            provider=provider,
            model=Model(id=model, provider_model_id=model),
            rule=Rule.DEFAULT,
            reason="the default provider",
            health_key=(provider.name, model, provider.key),
        ),
        request=request,
        output_limit=output_limit,
        key=Secret(key.encode()) if key is not None else None,
        reference="operation/1",
        media_by_url=measure(request).by_url,
    )


def embedding_dispatch(base_url: str, request: Embedding, **fields: Any) -> Dispatch[Embedding]:
    """A call for vectors; `fields` as for `dispatch`."""
    call = dispatch(base_url, **fields)
    return Dispatch(target=call.target, request=request, output_limit=0, key=call.key, reference=call.reference)


@asynccontextmanager
async def open_session(
    *,
    connect_s: float = 5.0,
    first_event_s: float = 10.0,
    idle_s: float = 10.0,
    max_answer_bytes: int = 64 * 1024 * 1024,
    issuers: Mapping[str, str] = PUBLIC_ISSUERS,
) -> AsyncIterator[HttpProviderSession]:
    """A session with all dialects, which may call this machine. `issuers` give access tokens."""
    lookup = NameLookup()
    http = VettedHttp(EndpointRules(allow_loopback=True), lookup)
    tokens = AccessTokens(http, issuers, connect_s=connect_s)
    session = HttpProviderSession(
        http,
        DIALECTS,
        Timers(connect_s=connect_s, first_event_s=first_event_s, idle_s=idle_s),
        max_answer_bytes=max_answer_bytes,
        tokens=tokens,
    )
    connector = http.session.connector
    assert connector is not None
    try:
        yield session
        in_use = len(connector._acquired)
        assert in_use <= len(session._lingering), "every connection comes back or is closed"
    finally:
        await session.aclose()
        await tokens.aclose()
        await http.aclose()
        await lookup.close()


async def streamed(session: HttpProviderSession, call: Dispatch[Generation]) -> list[ProviderEvent]:
    """All events of a streamed answer."""
    events: list[ProviderEvent] = []
    async for more in reading(session, call):
        events += more
    return events


async def reading(session: HttpProviderSession, call: Dispatch[Generation]) -> AsyncIterator[list[ProviderEvent]]:
    """A streamed answer, read by read."""
    stream = await session.stream(call)
    try:
        while events := await stream.read():
            yield events
    finally:
        stream.close()


async def failure(session: HttpProviderSession, call: Dispatch[Generation], *, stream: bool) -> ProviderError:
    """How a call fails that must."""
    with pytest.raises(ProviderError) as caught:
        await (streamed(session, call) if stream else session.generate(call))
    return caught.value
