"""What the transport below a dialect can do to a call, in the router's own words."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import aiohttp

from services.router.domain.errors import ProviderError, Reason


@asynccontextmanager
async def timer(name: str, deadline: float) -> AsyncIterator[None]:
    """Raises ProviderError `PROVIDER_TIMEOUT` naming the timer at `deadline`, in seconds of the event loop's clock."""
    try:
        async with asyncio.timeout_at(deadline):
            yield
    except TimeoutError:
        raise ProviderError(Reason.PROVIDER_TIMEOUT, timer=name, sent=True) from None


@contextmanager
def transport_errors(*, sent: bool) -> Iterator[None]:
    """Turns aiohttp's errors into ProviderError. Their texts are dropped: they may quote headers and bodies."""
    try:
        yield
    except aiohttp.ConnectionTimeoutError:
        raise ProviderError(Reason.PROVIDER_TIMEOUT, timer="connect") from None
    except aiohttp.ClientConnectorError:
        raise ProviderError(Reason.PROVIDER_UNREACHABLE) from None
    except (aiohttp.ClientPayloadError, aiohttp.ClientResponseError, aiohttp.InvalidURL, ValueError):
        raise ProviderError(Reason.PROVIDER_UNREACHABLE if sent else Reason.PROVIDER_BAD_RESPONSE, sent=sent) from None
    except (aiohttp.ClientError, OSError):
        raise ProviderError(Reason.PROVIDER_UNREACHABLE, sent=sent) from None


def give_back(response: aiohttp.ClientResponse) -> None:
    """Return the connection to the pool if the body was read to its end, else close it."""
    if response.content.at_eof():
        response.release()
    else:
        response.close()
