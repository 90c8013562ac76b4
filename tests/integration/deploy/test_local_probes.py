"""Readiness probes against real servers."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from deploy.local.certificates import ensure_certificates
from deploy.local.layout import StateLayout
from deploy.local.probes import grpc_ready, http_ready, http_status
from libs.core.clock import SystemClock


@pytest.fixture
def layout(tmp_path: Path) -> StateLayout:
    layout = StateLayout.at(tmp_path)
    layout.make()
    ensure_certificates(layout, ["router"], SystemClock())
    return layout


@pytest.fixture
async def health_server(layout: StateLayout) -> AsyncIterator[tuple[int, health.aio.HealthServicer]]:
    server = grpc.aio.server()
    servicer = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    pair = (layout.certificate_key("router").read_bytes(), layout.certificate("router").read_bytes())
    port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([pair]))
    await server.start()
    yield port, servicer
    await server.stop(None)


async def test_a_serving_grpc_server_is_ready(
    layout: StateLayout, health_server: tuple[int, health.aio.HealthServicer]
) -> None:
    port, servicer = health_server
    probe = grpc_ready("localhost", port, layout.ca_certificate)
    await servicer.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
    assert not await probe()
    await servicer.set("", health_pb2.HealthCheckResponse.SERVING)
    assert await probe()


async def test_a_grpc_server_of_another_ca_is_not_ready(
    layout: StateLayout, health_server: tuple[int, health.aio.HealthServicer]
) -> None:
    port, _ = health_server
    layout.ca_key.unlink()
    ensure_certificates(layout, ["router"], SystemClock())
    assert not await grpc_ready("localhost", port, layout.ca_certificate)()


@asynccontextmanager
async def answering(answer: bytes | None, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A server that says `answer` to everyone, or nothing at all, on the port this yields."""
    gone = asyncio.Event()

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            if answer is not None:
                writer.write(answer)
            else:
                await reader.read()
        writer.transport.abort()
        gone.set()

    server = await asyncio.start_server(respond, "127.0.0.1", 0, ssl=tls)
    yield server.sockets[0].getsockname()[1]
    server.close()
    with contextlib.suppress(TimeoutError):  # a refused handshake never gets as far as `respond`
        async with asyncio.timeout(1):
            await gone.wait()


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\r\n",
        b"HTTP/1.1 503 Service Unavailable\r\n\r\n",
        b"SSH-2.0-OpenSSH_9\r\n",
        b"\x00" * 100_000,
        b"HTTP/1.1",
        None,
    ],
    ids=["nothing", "empty line", "503", "other protocol", "endless line", "cut", "silence"],
)
async def test_anything_but_200_is_not_ready(answer: bytes | None) -> None:
    async with answering(answer) as port:
        assert not await http_ready(f"http://127.0.0.1:{port}/healthz")()


async def test_200_is_ready() -> None:
    async with answering(b"HTTP/1.1 200 OK\r\n\r\n") as port:
        assert await http_ready(f"http://127.0.0.1:{port}/healthz")()


async def test_nobody_listening_is_not_ready(layout: StateLayout) -> None:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    assert not await http_ready(f"http://127.0.0.1:{port}/healthz")()
    assert not await grpc_ready("localhost", port, layout.ca_certificate)()


async def test_https_is_verified_against_the_local_ca(layout: StateLayout, tmp_path: Path) -> None:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(layout.certificate("router"), layout.certificate_key("router"))
    stranger = StateLayout.at(tmp_path / "stranger")
    stranger.make()
    ensure_certificates(stranger, [], SystemClock())
    async with answering(b"HTTP/1.1 200 OK\r\n\r\n", tls) as port:
        assert await http_status(f"https://localhost:{port}/healthz", ca_file=layout.ca_certificate) == 200
    async with answering(b"HTTP/1.1 200 OK\r\n\r\n", tls) as port:
        assert await http_status(f"https://localhost:{port}/healthz", ca_file=stranger.ca_certificate) is None
