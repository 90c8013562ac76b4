"""What the transport below a dialect can do to a call, in the router's own words.

Errors are raised outside of the `except` that caught their cause: as context the cause would hang on them, and
aiohttp's errors show the headers of the request, the key among them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

import aiohttp

from services.router.domain.errors import ProviderError, Reason
from services.router.providers.http.vetted_http import AddressRefused

T = TypeVar("T")


async def within(timer: str, deadline: float, work: Awaitable[T], *, sent: bool = True) -> T:
    """The result of `work`. Raises ProviderError naming the timer at `deadline`, in seconds of the loop's clock.

    `sent`: whether the provider may have worked by then.
    """
    try:
        async with asyncio.timeout_at(deadline):
            return await work
    except TimeoutError:
        pass
    raise ProviderError(Reason.PROVIDER_TIMEOUT, timer=timer, sent=sent)


async def translated(work: Awaitable[T], *, sent: bool) -> T:
    """The result of `work`, which aiohttp does. Raises ProviderError for its errors and those of the network.

    `sent` says whether the request has gone out, so that the provider may have worked on it.
    """
    try:
        return await work
    except (aiohttp.ClientError, OSError, ValueError) as error:
        failure = _translation(error, sent=sent)
    raise failure


def _translation(error: Exception, *, sent: bool) -> ProviderError:
    match error:
        case aiohttp.ConnectionTimeoutError():
            return ProviderError(Reason.PROVIDER_TIMEOUT, timer="connect")
        case aiohttp.ClientConnectorError(os_error=AddressRefused()):
            return ProviderError(Reason.PROVIDER_ADDRESS_REFUSED)
        case aiohttp.ClientConnectorError():
            return ProviderError(Reason.PROVIDER_UNREACHABLE)
        case aiohttp.ClientResponseError() | aiohttp.InvalidURL() | ValueError() if not sent:
            # No HTTP, or no URL: whatever is there, it is not this API.
            return ProviderError(Reason.PROVIDER_BAD_RESPONSE)
        case _:
            return ProviderError(Reason.PROVIDER_UNREACHABLE, sent=sent)
