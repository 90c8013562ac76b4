"""Tests cannot reach beyond this machine."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest
from pytest_socket import SocketConnectBlockedError


# From the ranges reserved for documentation: nobody answers there, should the guard be missing.
@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1"])
@pytest.mark.filterwarnings("ignore:A test tried to use socket")
def test_connections_to_other_machines_are_blocked(host: str) -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as connection:
        connection.settimeout(0.1)
        with pytest.raises(SocketConnectBlockedError):
            connection.connect((host, 443))


def test_this_machine_can_be_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()[:2]):
        pass


async def test_unix_sockets_can_be_reached(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    server = await asyncio.start_unix_server(lambda _reader, writer: writer.close(), path)
    async with server:
        reader, writer = await asyncio.open_unix_connection(path)
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
