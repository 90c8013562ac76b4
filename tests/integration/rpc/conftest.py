"""A real service on two ports whose methods do what a test tells them."""

from __future__ import annotations

import asyncio
import contextlib
import io
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from gatehouse.keyvault.v1 import key_access_service_pb2_grpc, key_service_pb2, key_service_pb2_grpc
from gatehouse.providerconfig.v1 import snapshot_service_pb2_grpc
from gatehouse.router.v1 import generation_service_pb2, generation_service_pb2_grpc

from libs.rpc.channels import open_channel
from libs.rpc.service import Service
from libs.rpc.settings import ServerSettings
from libs.telemetry.telemetry import Telemetry, configure
from tests.identities import Identities

DOMAIN = "test.gatehouse"


class Told(
    key_service_pb2_grpc.KeyServiceServicer,
    key_access_service_pb2_grpc.KeyAccessServiceServicer,
    generation_service_pb2_grpc.GenerationServiceServicer,
    snapshot_service_pb2_grpc.SnapshotServiceServicer,
):
    """Answers with what a test sets; counts how often a method ran."""

    def __init__(self) -> None:
        self.calls = 0
        self.unary: Callable[[Any], Awaitable[Any]] = self._key
        self.stream: Callable[[Any], AsyncIterator[Any]] = self._events

    async def GetKey(self, request: Any, context: Any) -> Any:  # noqa: N802 - the name in the proto
        self.calls += 1
        return await self.unary(request)

    async def RotateKey(self, request: Any, context: Any) -> Any:  # noqa: N802 - the name in the proto
        self.calls += 1
        return key_service_pb2.RotateKeyResponse()

    async def AccessKeys(self, request: Any, context: Any) -> Any:  # noqa: N802 - the name in the proto
        self.calls += 1
        return await self.unary(request)

    async def StreamGenerate(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802 - the name in the proto
        self.calls += 1
        events = self.stream(request)
        try:
            async for event in events:
                yield event
        finally:
            await events.aclose()  # type: ignore[attr-defined]

    async def WatchSnapshots(self, request_iterator: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802 - the name in the proto
        self.calls += 1
        async for request in request_iterator:
            async for event in self.stream(request):
                yield event

    async def _key(self, request: Any) -> Any:
        return key_service_pb2.GetKeyResponse()

    async def _events(self, request: Any) -> AsyncIterator[Any]:
        yield generation_service_pb2.StreamGenerateResponse()


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A started service, and how to reach it."""

    service: Service
    settings: ServerSettings
    told: Told
    public: grpc.aio.Channel
    internal: grpc.aio.Channel
    """As the router."""
    log: io.BytesIO

    @property
    def keys(self) -> Any:
        return key_service_pb2_grpc.KeyServiceStub(self.public)

    @property
    def generation(self) -> Any:
        return generation_service_pb2_grpc.GenerationServiceStub(self.public)

    @property
    def log_text(self) -> str:
        return self.log.getvalue().decode()


@pytest.fixture(scope="session")
def identities(tmp_path_factory: pytest.TempPathFactory) -> Identities:
    return Identities(tmp_path_factory.mktemp("identities") / "state", ("key-vault", "router", "usage-accounting"))


@pytest.fixture
def log() -> io.BytesIO:
    return io.BytesIO()


@pytest.fixture
def telemetry(log: io.BytesIO) -> Iterator[Telemetry]:
    telemetry = configure("key-vault", log_level="debug", stream=log)
    yield telemetry
    telemetry.restore_logs()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def make_settings(identities: Identities, **changes: Any) -> ServerSettings:
    values: dict[str, Any] = {
        "public_address": f"127.0.0.1:{free_port()}",
        "internal_address": f"127.0.0.1:{free_port()}",
        "shutdown_grace_s": 0.2,
        **identities.settings("key-vault"),
    }
    return ServerSettings(**(values | changes))


Serve = Callable[..., Awaitable[Served]]


@pytest.fixture
async def serve(identities: Identities, telemetry: Telemetry, log: io.BytesIO) -> AsyncIterator[Serve]:
    """Starts services; keyword arguments are settings, `longest_s` bounds methods, `extra` registers more."""
    async with AsyncExitStack() as exits:

        async def start(
            *, longest_s: dict[str, float] | None = None, extra: Callable[[Service], None] | None = None, **changes: Any
        ) -> Served:
            settings = make_settings(identities, **changes)
            service = Service("key-vault", settings, domain=DOMAIN, telemetry=telemetry, longest_s=longest_s or {})
            await exits.enter_async_context(service)
            told = Told()  # type: ignore[abstract]  # methods no test calls
            for register in (
                key_service_pb2_grpc.add_KeyServiceServicer_to_server,
                key_access_service_pb2_grpc.add_KeyAccessServiceServicer_to_server,
                generation_service_pb2_grpc.add_GenerationServiceServicer_to_server,
                snapshot_service_pb2_grpc.add_SnapshotServiceServicer_to_server,
            ):
                service.add(register, told)
            if extra is not None:
                extra(service)
            await service.start()
            exits.push_async_callback(service.stop)
            router = settings.model_copy(
                update={
                    "tls_cert_file": identities.layout.certificate("router"),
                    "tls_key_file": identities.layout.certificate_key("router"),
                }
            )
            public = await exits.enter_async_context(
                grpc.aio.secure_channel(
                    settings.public_address, identities.anonymous(), options=(("grpc.use_local_subchannel_pool", 1),)
                )
            )
            internal = await exits.enter_async_context(open_channel(settings.internal_address, router))
            return Served(service=service, settings=settings, told=told, public=public, internal=internal, log=log)

        yield start


@pytest.fixture
async def served(serve: Serve) -> Served:
    return await serve()


Relay = Callable[[str], Awaitable[tuple[str, Callable[[], None]]]]


@pytest.fixture
async def relay() -> AsyncIterator[Relay]:
    """Starts TCP relays to an address; gives a relay's own address and what cuts all its connections at once."""
    servers: list[asyncio.Server] = []
    writers: list[asyncio.StreamWriter] = []
    copies: set[asyncio.Task[None]] = set()

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()

    def cut() -> None:
        for writer in writers:
            writer.transport.abort()

    async def start(target: str) -> tuple[str, Callable[[], None]]:
        host, _, port = target.rpartition(":")

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            far_reader, far_writer = await asyncio.open_connection(host, int(port))
            writers.extend((writer, far_writer))
            for pair in ((reader, far_writer), (far_reader, writer)):
                task = asyncio.create_task(copy(*pair))
                copies.add(task)
                task.add_done_callback(copies.discard)

        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        servers.append(server)
        return f"localhost:{server.sockets[0].getsockname()[1]}", cut

    yield start
    cut()
    for server in servers:
        server.close()
    if copies:
        await asyncio.wait(copies)
