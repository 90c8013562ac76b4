"""Readiness: does a process answer as it should? Every probe takes at most about a second."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import urlsplit

Probe = Callable[[], Awaitable[bool]]
"""Whether the process is ready now. Never raises for a process that is down, slow or broken."""

PROBE_TIMEOUT_S = 1.0


async def http_status(url: str, *, ca_file: Path | None = None, json_body: bytes | None = None) -> int | None:
    """The status of one GET (or, with `json_body`, POST); None when no HTTP answer came within a second.

    Plain asyncio: the launcher needs no HTTP client for this, and the response body is nobody's business here.
    """
    parts = urlsplit(url)
    context = ssl.create_default_context(cafile=ca_file) if parts.scheme == "https" else None
    request = (
        f"{'GET' if json_body is None else 'POST'} {parts.path} HTTP/1.1\r\n"
        f"Host: {parts.netloc}\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(json_body or b'')}\r\n\r\n"
    )
    try:
        async with asyncio.timeout(PROBE_TIMEOUT_S):
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port, ssl=context)
            try:
                writer.write(request.encode() + (json_body or b""))
                status_line = await reader.readline()
            finally:
                writer.transport.abort()
    except (OSError, TimeoutError, ValueError):
        return None
    match status_line.split(maxsplit=2):
        case [version, status, *_] if version.startswith(b"HTTP/") and status.isdigit():
            return int(status)
        case _:
            return None


def http_ready(url: str) -> Probe:
    """Ready when GET `url` answers 200."""

    async def probe() -> bool:
        return await http_status(url) == 200  # noqa: PLR2004 - HTTP OK

    return probe


def grpc_ready(host: str, port: int, ca_file: Path) -> Probe:
    """Ready when the gRPC health service behind TLS says SERVING for the whole server (the empty name)."""
    ca_certificate = ca_file.read_bytes()

    async def probe() -> bool:
        # Cheap first: no channel, and no complaint in gRPC's own log, while nothing listens yet.
        return await _listens(host, port) and await _serving(f"{host}:{port}", ca_certificate)

    return probe


async def _listens(host: str, port: int) -> bool:
    try:
        async with asyncio.timeout(PROBE_TIMEOUT_S):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError):
        return False
    writer.transport.abort()
    return True


async def _serving(target: str, ca_certificate: bytes) -> bool:
    # Imported late: it takes a quarter of a second, in which the processes already start.
    import grpc
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    # A channel of its own, without the shared connection pool: its back-off after a refused connection would
    # make a restarted process look dead for seconds.
    options = [("grpc.use_local_subchannel_pool", 1)]
    credentials = grpc.ssl_channel_credentials(ca_certificate)
    async with grpc.aio.secure_channel(target, credentials, options) as channel:
        try:
            answer = await health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(), timeout=PROBE_TIMEOUT_S
            )
        except grpc.aio.AioRpcError:
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)
