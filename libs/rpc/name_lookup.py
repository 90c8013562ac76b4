"""Host names turned into addresses, outside of the event loop."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from concurrent.futures import ThreadPoolExecutor

from libs.core.endpoints import Address

# Names of a tenant that answer slowly hold up only so many threads, and nothing else that uses threads.
_THREADS = 16
# Nobody waits longer, neither for a resolver nor for a thread: what has not begun by then never does, so that slow
# names hold up the others no longer than they are asked for.
_PATIENCE_S = 5.0


class NameLookup:
    """Asks the system's resolver, hosts file and search domains included, in threads of its own."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="name-lookup")

    async def __call__(self, host: str, port: int) -> tuple[Address, ...]:
        """All addresses of `host`, in the system's order. Raises OSError: there are none, or none in five seconds."""
        try:
            async with asyncio.timeout(_PATIENCE_S):
                found = await asyncio.get_running_loop().run_in_executor(self._threads, _addresses, host, port)
        except TimeoutError:
            raise socket.gaierror(socket.EAI_AGAIN, "no answer in time") from None
        return tuple(dict.fromkeys(found))

    async def close(self) -> None:
        """Begin no other lookup; those under way end by themselves."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _addresses(host: str, port: int) -> list[Address]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError:
        # A label that is empty or over 63 bytes: Python refuses to encode it, before any resolver is asked.
        raise socket.gaierror(socket.EAI_NONAME, "no such name can be") from None
    return [ipaddress.ip_address(where[0]) for *_, where in found]
