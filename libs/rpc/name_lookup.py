"""Host names turned into addresses, outside of the event loop."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from concurrent.futures import ThreadPoolExecutor

from libs.core.endpoints import Address

# Names of a tenant that answer slowly hold up only so many threads, and nothing else that uses threads.
_THREADS = 16


class NameLookup:
    """Asks the system's resolver, hosts file and search domains included, in threads of its own."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="name-lookup")

    async def __call__(self, host: str, port: int) -> tuple[Address, ...]:
        """All addresses of `host`, in the system's order. Raises OSError when there are none; takes as long as DNS."""
        found = await asyncio.get_running_loop().run_in_executor(self._threads, _addresses, host, port)
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
