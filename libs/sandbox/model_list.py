"""Sends what costs nothing, so that no bill is written: lists of models and access tokens, with the faults of rules."""

from __future__ import annotations

import asyncio
import socket
import struct

from aiohttp import web

from libs.sandbox.delivery import HTML
from libs.sandbox.directives import Directives

WORDS = frozenset(
    {"status", "code", "retry_after", "location", "echo_key", "silent", "reset", "garbage", "html", "first_ms"}
)
"""The directives that mean something here; the others are for answers."""

_LINGER_ZERO = struct.pack("ii", 1, 0)


async def send_free(request: web.BaseRequest, body: bytes, wishes: Directives) -> web.Response:
    """`body`, or what was wished for instead. Ends by cancellation if told to be silent or to reset."""
    if wishes.first_ms:
        await asyncio.sleep(wishes.first_ms / 1000)
    if wishes.reset and request.transport is not None:
        connection = request.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
        request.transport.abort()
    if wishes.silent or wishes.reset:
        # The loss of the connection cancels this handler.
        await asyncio.get_running_loop().create_future()
    if wishes.html:
        return web.Response(body=HTML, content_type="text/html")
    return web.Response(body=body[: len(body) // 2] if wishes.garbage else body, content_type="application/json")
