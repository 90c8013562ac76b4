"""HTTP to Vault: one connection that is kept, and nothing a request did not ask for.

No redirect is followed, no proxy, password file or CA bundle of the environment is looked at, TLS secrets are logged
nowhere, and an answer has an end in time and in size whatever Vault sends. Python's own HTTP client does the parsing:
at one small request after the other, the layers that `requests` puts above it cost three times what they add.
"""

from __future__ import annotations

import errno
import http.client
import io
import re
import select
import socket
import ssl
import time
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

from services.key_vault.vault.answers import Answer, no_answer
from services.key_vault.vault.connection import VaultAddress

# 200 keys of 8 KiB in base64 are 2.2 MB; nothing Vault answers us is larger than that.
_MOST_ANSWER_BYTES = 8 * 1024 * 1024
_PIECE_BYTES = 64 * 1024
_TARGET = re.compile(r"/v1(?:/(?!\.{1,2}(?:[/?]|\Z))[A-Za-z0-9_.-]+)+(?:\?version=[0-9]+)?")


class Transport:
    """A keep-alive connection. For use by one thread; blocks for at most the timeouts of its address, twice."""

    def __init__(self, address: VaultAddress) -> None:
        parts = urlsplit(address.url)
        self._tls_ca_file = address.ca_file if parts.scheme == "https" else None
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if self._tls_ca_file else 80)
        self._netloc = parts.netloc
        self._connect_timeout_s = address.connect_timeout_s
        self._read_timeout_s = address.read_timeout_s
        self._socket: socket.socket | None = None
        self._quiet = select.poll()

    def exchange(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Vault's answer to a request. Raises Unavailable `VAULT_UNREACHABLE`, and ValueError for a request that
        could be read as another one: a `target` with anything but plain segments, a header with anything unprintable.
        """
        request = _request(method, target, {"Host": self._netloc, **headers}, body)
        if self._socket is not None and self._quiet.poll(0):
            # Vault closed it, or sent what nobody asked for and the next answer must not be mistaken for.
            self.close()
        kept = self._socket is not None
        answer = self._try(method, request)
        if answer is None and kept:
            # It broke in the moment it was used. All our requests may be repeated.
            answer = self._try(method, request)
        if answer is None:
            raise no_answer()
        return answer

    def close(self) -> None:
        """Close the connection; the next request makes a new one."""
        if self._socket is not None:
            self._quiet.unregister(self._socket)
            self._socket.close()
            self._socket = None

    def _try(self, method: str, request: bytes) -> Answer | None:
        """The answer, None when the connection broke before there was one."""
        try:
            return self._send(method, request)
        except (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError):
            broke = True
        except (OSError, http.client.HTTPException, ValueError):
            # Too slow, broken HTTP, a body cut short, a stranger's certificate, a CA file that cannot be read.
            broke = False
        # Out here: inside, the exception, which may hold parts of the answer, would hang on ours as its context.
        self.close()
        if broke:
            return None
        raise no_answer()

    def _send(self, method: str, request: bytes) -> Answer:
        connected = self._socket or self._connect()
        answering = _Answering(connected, ends=time.monotonic() + self._read_timeout_s)
        connected.settimeout(self._read_timeout_s)
        connected.sendall(request)
        # It only ever calls `makefile`.
        response = http.client.HTTPResponse(cast(socket.socket, answering), method=method)
        try:
            response.begin()
            body = bytearray()
            while piece := response.read1(_PIECE_BYTES):
                body += piece
            if response.length:
                raise http.client.IncompleteRead(b"")
        finally:
            response.close()
        if response.will_close or response.status < HTTPStatus.OK:
            self.close()
        return Answer(response.status, bytes(body))

    def _connect(self) -> socket.socket:
        connected = socket.create_connection((self._host, self._port), self._connect_timeout_s)
        try:
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls_ca_file is not None:
                connected = _tls(self._tls_ca_file).wrap_socket(connected, server_hostname=self._host)
        except BaseException:
            connected.close()
            raise
        self._socket = connected
        self._quiet.register(connected, select.POLLIN)
        return connected


class TlsSocket(ssl.SSLSocket):
    """A TLS socket that is closed when its peer is gone by the time TLS begins.

    Python (seen with 3.11.7) asks for the peer's name first; without one it reads on, and the reset it finds leaves the
    socket open until the garbage collector comes. Here it is closed, and the reset is told as one.
    """

    def getpeername(self) -> object:
        """The peer's address. Raises ConnectionResetError when there is none any more."""
        try:
            return super().getpeername()
        except OSError as error:
            if error.errno != errno.ENOTCONN:
                raise
        self.close()
        raise ConnectionResetError(errno.ECONNRESET, "the connection was closed before TLS began")


class _Answering(io.RawIOBase):
    """The bytes of one answer: at most so many, until `ends` and no longer. The connection is not closed with it."""

    def __init__(self, connected: socket.socket, *, ends: float) -> None:
        self._connected = connected
        self._ends = ends
        self._bytes_left = _MOST_ANSWER_BYTES

    def makefile(self, _mode: str) -> io.BufferedReader:
        """A reader of its own, as a socket gives one."""
        return io.BufferedReader(self, _PIECE_BYTES)

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """What is there, 0 at the end. Raises TimeoutError when there is no end to it."""
        left_s = self._ends - time.monotonic()
        if left_s <= 0 or self._bytes_left <= 0:
            raise TimeoutError
        # The timeout is for one packet; an answer that drips would never meet it.
        self._connected.settimeout(left_s)
        count = self._connected.recv_into(buffer)
        self._bytes_left -= count
        return count


def _request(method: str, target: str, headers: Mapping[str, str], body: bytes) -> bytes:
    if not _TARGET.fullmatch(target):
        raise ValueError("a path to Vault must consist of plain names")
    lines = [f"{method} {target} HTTP/1.1", f"Content-Length: {len(body)}"]
    for name, value in headers.items():
        if not value.isascii() or not value.isprintable():
            raise ValueError(f"{name} must be printable ASCII")
        lines.append(f"{name}: {value}")
    # In one piece: head and body by themselves would be two packets and two TLS records.
    return "\r\n".join((*lines, "", "")).encode("ascii") + body


def _tls(ca_file: Path) -> ssl.SSLContext:
    # Not `create_default_context`: it writes the connection's secrets to where SSLKEYLOGFILE says.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.sslsocket_class = TlsSocket
    context.load_verify_locations(ca_file)
    return context
