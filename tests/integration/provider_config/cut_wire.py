"""A TCP connection between a router and provider_config that a test can cut and lead elsewhere."""

from __future__ import annotations

import asyncio
from contextlib import suppress


class CutWire:
    """Forwards what arrives at `target` to the address it leads to; nowhere while it is cut."""

    def __init__(self) -> None:
        self._leads_to: tuple[str, int] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def open(self, address: str) -> None:
        """Listen, and lead to `address` (`host:port`)."""
        self.lead_to(address)
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)

    @property
    def target(self) -> str:
        """Where it listens."""
        assert self._server is not None
        return f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def lead_to(self, address: str) -> None:
        """Lead new connections to `address`."""
        host, _, port = address.rpartition(":")
        self._leads_to = (host, int(port))

    async def cut(self) -> None:
        """End all connections, and refuse new ones until it leads somewhere again."""
        self._leads_to = None
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def close(self) -> None:
        """Cut it for good."""
        await self.cut()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            if self._leads_to is not None:
                far_reader, far_writer = await asyncio.open_connection(*self._leads_to)
                try:
                    await asyncio.gather(_forward(reader, far_writer), _forward(far_reader, writer))
                finally:
                    far_writer.close()
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            self._tasks.discard(task)


async def _forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()
