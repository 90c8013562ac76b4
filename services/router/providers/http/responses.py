"""Reading responses: bounded, in time, and without the key that a careless provider quotes."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import aiohttp

from libs.core.secret import Secret
from services.router.domain.errors import ProviderError, Reason
from services.router.providers.base import Dialect
from services.router.providers.http.transport import translated, within

HTTP_OK = 200
_MAX_ERROR_BODY = 64 * 1024
_ERROR_BODY_S = 5.0
_MASK = b"[masked]"


async def whole_body(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """The body of a good response, which is given back. Raises ProviderError, also for one over `limit` bytes."""
    try:
        body, whole = await translated(_read_up_to(response, limit), sent=True)
    finally:
        response.release()
    if not whole:
        raise ProviderError(Reason.PROVIDER_BAD_RESPONSE, status=HTTP_OK, sent=True)
    return body


async def bounded_body(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """A little more than the first `limit` bytes of any response, which is given back. Raises ProviderError."""
    try:
        body, _ = await translated(_read_up_to(response, limit), sent=False)
    finally:
        response.release()
    return body


async def failure(dialect: Dialect, response: aiohttp.ClientResponse, key: Secret | None) -> ProviderError:
    """What a response that is not the answer means; it is given back. `key` is what was sent as such."""
    body = b""
    deadline = asyncio.get_running_loop().time() + _ERROR_BODY_S
    try:
        # The status says enough when the explanation is cut, slow or endless.
        with suppress(ProviderError):
            reading = translated(_read_up_to(response, _MAX_ERROR_BODY), sent=True)
            body, _ = await within("first_event", deadline, reading)
    finally:
        response.release()
    return dialect.classify(response.status, response.headers, _without_key(body, key))


async def _read_up_to(response: aiohttp.ClientResponse, limit: int) -> tuple[bytes, bool]:
    """The body and True, or a little more than its first `limit` bytes and False."""
    chunks: list[bytes] = []
    size = 0
    while size <= limit:
        chunk = await response.content.readany()
        if not chunk:
            return (chunks[0] if len(chunks) == 1 else b"".join(chunks)), True
        chunks.append(chunk)
        size += len(chunk)
    return b"".join(chunks), False


def _without_key(body: bytes, key: Secret | None) -> bytes:
    """`body` with the key masked: careless providers quote it. Also as JSON writers that escape slashes spell it."""
    if not key:
        return body
    return body.replace(key.reveal(), _MASK).replace(key.reveal().replace(b"/", rb"\/"), _MASK)
