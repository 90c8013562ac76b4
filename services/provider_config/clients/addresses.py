"""Where the names in providers' addresses lead, as far as that can be said when they are saved."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from libs.core.endpoints import Address, EndpointRules, host_and_port, is_literal

_PATIENCE_S = 2.0


class ResolvedAddresses:
    """A `ports.AddressChecks`. `lookup` gives all addresses of a host, and raises OSError when there is none."""

    def __init__(self, rules: EndpointRules, lookup: Callable[[str, int], Awaitable[Sequence[Address]]]) -> None:
        self._rules = rules
        self._lookup = lookup

    async def problem(self, base_url: str) -> str | None:
        """Why `base_url`, in which the rules see nothing wrong, must not be called; None when it may be.

        A name that does not resolve, or not within two seconds, is taken: saving does not depend on the mood of DNS,
        and routers look at the addresses again at every connection.
        """
        host, port = host_and_port(base_url)
        if is_literal(host):
            return None
        try:
            async with asyncio.timeout(_PATIENCE_S):
                addresses = await self._lookup(host, port)
        except (OSError, TimeoutError):
            return None
        problems = (self._rules.address_problem(host, port, address) for address in addresses)
        return next((problem for problem in problems if problem is not None), None)
