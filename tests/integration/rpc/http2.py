"""Just enough HTTP/2 to do what a gRPC client never would: RFC 9113 frames, RFC 7541 headers without compression."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY = 0x0, 0x1, 0x3, 0x4, 0x6, 0x7
END_STREAM, ACK, END_HEADERS = 0x1, 0x1, 0x4
REFUSED_STREAM = 0x7


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame as it was received."""

    type: int
    flags: int
    stream: int
    payload: bytes


class Connection:
    """A connection on which a test writes the frames itself."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> None:
        """Write one frame."""
        head = len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big")
        self._writer.write(head + payload)
        await self._writer.drain()

    async def call(self, stream: int, path: str, message: bytes, metadata: Iterable[tuple[str, str]]) -> None:
        """Begin a gRPC call with one message."""
        headers = [
            (":method", "POST"),
            (":scheme", "https"),
            (":path", path),
            (":authority", "localhost"),
            ("te", "trailers"),
            ("content-type", "application/grpc"),
            *metadata,
        ]
        await self.send(HEADERS, END_HEADERS, stream, b"".join(_literal(name, value) for name, value in headers))
        await self.send(DATA, END_STREAM, stream, b"\0" + len(message).to_bytes(4, "big") + message)

    async def receive(self) -> Frame:
        """The next frame; settings and pings are answered on the way. Raises IncompleteReadError at the end."""
        head = await self._reader.readexactly(9)
        payload = await self._reader.readexactly(int.from_bytes(head[:3], "big"))
        frame = Frame(head[3], head[4], int.from_bytes(head[5:], "big"), payload)
        if frame.type in {SETTINGS, PING} and not frame.flags & ACK:
            await self.send(frame.type, ACK, payload=payload if frame.type == PING else b"")
        return frame


@asynccontextmanager
async def connect(address: str, ca_file: Path) -> AsyncIterator[Connection]:
    """Open a connection over TLS and greet; the server's settings have been read and acknowledged."""
    host, _, port = address.rpartition(":")
    context = ssl.create_default_context(cafile=str(ca_file))
    context.set_alpn_protocols(["h2"])
    reader, writer = await asyncio.open_connection(host, int(port), ssl=context, server_hostname="localhost")
    try:
        connection = Connection(reader, writer)
        writer.write(_PREFACE)
        await connection.send(SETTINGS)
        while (await connection.receive()).type != SETTINGS:
            pass
        yield connection
    finally:
        writer.transport.abort()


def _literal(name: str, value: str) -> bytes:
    """A header field without indexing and without Huffman coding."""
    return b"\0" + _string(name) + _string(value)


def _string(text: str) -> bytes:
    raw = text.encode()
    if len(raw) < 0x7F:
        return bytes((len(raw),)) + raw
    rest, encoded = len(raw) - 0x7F, bytearray((0x7F,))
    while rest >= 0x80:
        encoded.append(rest & 0x7F | 0x80)
        rest >>= 7
    return bytes((*encoded, rest)) + raw
