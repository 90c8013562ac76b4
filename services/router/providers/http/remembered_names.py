"""What names meant before, for when asking again takes long."""

from __future__ import annotations

import asyncio
import socket
import time
from collections import OrderedDict
from collections.abc import Sequence

from libs.core.endpoints import Address
from services.router.providers.http.vetted_http import Lookup

_PATIENCE_S = 1.0
_KEPT_S = 3600.0
_MOST_NAMES = 4096


class RememberedNames:
    """A `Lookup` that asks `lookup`, and gives what it said within the last hour when it does not answer in a second.

    Anybody may have a provider whose name takes a resolver long, and lookups wait for each other. Providers that were
    called before can be called on meanwhile. Judging the addresses is for whoever asks, every time.
    """

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup
        # The names that were asked for last are at the end.
        self._known: OrderedDict[tuple[str, int], tuple[float, Sequence[Address]]] = OrderedDict()

    async def __call__(self, host: str, port: int) -> Sequence[Address]:
        """All addresses of `host`. Raises OSError when it has none."""
        known = self._remembered(host, port)
        if known is None:
            found = await self._lookup(host, port)
        else:
            try:
                async with asyncio.timeout(_PATIENCE_S):
                    found = await self._lookup(host, port)
            except TimeoutError:
                return known
            except socket.gaierror as error:
                if error.errno != socket.EAI_AGAIN:
                    raise
                return known
        self._remember(host, port, found)
        return found

    def _remembered(self, host: str, port: int) -> Sequence[Address] | None:
        since, addresses = self._known.get((host, port), (0.0, ()))
        if not addresses or time.monotonic() - since > _KEPT_S:
            return None
        self._known.move_to_end((host, port))
        return addresses

    def _remember(self, host: str, port: int, addresses: Sequence[Address]) -> None:
        self._known[host, port] = (time.monotonic(), addresses)
        self._known.move_to_end((host, port))
        if len(self._known) > _MOST_NAMES:
            self._known.popitem(last=False)
