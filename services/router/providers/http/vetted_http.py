"""The connections to providers: none to an address that the rules for endpoints do not let through.

Three checks lie behind each other. The URL is judged before anything is sent, which settles addresses written into it.
A name's answer is judged as it comes from the resolver: one bad address and the whole answer is refused, for an
attacker chooses which of them a retry would take. Last, whatever opens a socket has its address judged once more; what
it connects to is that address, so a name that means something else a moment later (DNS rebinding) changes nothing.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from itertools import islice

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from libs.core.endpoints import Address, EndpointRules, host_and_port
from libs.core.validation import origin_of
from services.router.domain.errors import ProviderError, Reason

Lookup = Callable[[str, int], Awaitable[Sequence[Address]]]
"""All addresses of a host; raises OSError when it has none. The port is for the lookup's own use."""

_MAX_URLS = 10_000
_DNS_CACHE_S = 30
_KEEPALIVE_S = 30
# Of each IP version. Whoever owns a name may give it thousands, and aiohttp tries them all, most of them many times:
# one request would be a flood of connections to whomever the name's owner likes.
_MOST_ADDRESSES = 4
_AFTER_AUTHORITY = re.compile(r"[/?#]")
_INVISIBLE = re.compile(r"[^!-~]+")
# Whom the request being sent is for: (host, port). The tasks that aiohttp connects in inherit it.
_destination: ContextVar[tuple[str, int]] = ContextVar("destination")


class AddressRefused(OSError):
    """A host leads to an address that must not be called."""


class VettedHttp:
    """An aiohttp session that connects to allowed addresses only.

    It follows no proxy of the environment and keeps no cookie. Redirects are the callers': they follow none.
    """

    def __init__(self, rules: EndpointRules, lookup: Lookup) -> None:
        self._rules = rules
        self._urls: dict[tuple[str, str], tuple[URL, str, int]] = {}
        self.session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                # No limit here: admission to the router is the limit, and a queue inside would be invisible.
                limit=0,
                ttl_dns_cache=_DNS_CACHE_S,
                keepalive_timeout=_KEEPALIVE_S,
                resolver=_VettedResolver(rules, lookup),
                socket_factory=self._socket,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
            trust_env=False,
            raise_for_status=False,
        )

    async def aclose(self) -> None:
        """Close all connections."""
        await self.session.close()

    def destination(self, base_url: str, path: str) -> URL:
        """The URL of the request that this task is about to send.

        Raises ProviderError `PROVIDER_ADDRESS_REFUSED` when it is not allowed, `PROVIDER_BAD_RESPONSE` when it is none.
        """
        known = self._urls.get((base_url, path))
        if known is None:
            known = self._judged(base_url, path)
            if len(self._urls) >= _MAX_URLS:
                self._urls.clear()
            self._urls[base_url, path] = known
        url, host, port = known
        _destination.set((host, port))
        return url

    def anywhere(self, url: str) -> URL:
        """The URL of the request that this task is about to send to a place that a caller named, as it stands there.

        It may have a query, and what is no visible ASCII is percent-encoded. Raises ProviderError as `destination`.
        """
        base, rest = _split(url)
        if origin_of(base) is None:
            raise ProviderError(Reason.PROVIDER_BAD_RESPONSE)
        if self._rules.url_problem(base) is not None:
            raise ProviderError(Reason.PROVIDER_ADDRESS_REFUSED)
        try:
            destination = URL(base + rest, encoded=True)
        except ValueError:
            raise ProviderError(Reason.PROVIDER_BAD_RESPONSE) from None
        _destination.set(host_and_port(base))
        return destination

    @staticmethod
    def host_of(url: str) -> str | None:
        """The host in `url`, for people; None when it has none that could be called."""
        base, _ = _split(url)
        return None if origin_of(base) is None else host_and_port(base)[0]

    def _judged(self, base_url: str, path: str) -> tuple[URL, str, int]:
        if origin_of(base_url) is None:
            raise ProviderError(Reason.PROVIDER_BAD_RESPONSE)
        if self._rules.url_problem(base_url) is not None:
            raise ProviderError(Reason.PROVIDER_ADDRESS_REFUSED)
        try:
            url = URL(base_url.rstrip("/") + path, encoded=True)
        except ValueError:
            raise ProviderError(Reason.PROVIDER_BAD_RESPONSE) from None
        return (url, *host_and_port(base_url))

    def _socket(self, wanted: tuple[int, int, int, str, tuple[object, ...]]) -> socket.socket:
        """A socket for what aiohttp is about to connect to. Raises AddressRefused."""
        family, kind, protocol, _, where = wanted
        host, port = _destination.get()
        address = ipaddress.ip_address(str(where[0]))
        if where[1] != port or self._rules.address_problem(host, port, address) is not None:
            raise AddressRefused
        return socket.socket(family, kind, protocol)


def _split(url: str) -> tuple[str, str]:
    """`scheme://host:port`, and what follows but for the fragment, in visible ASCII."""
    scheme, separator, rest = url.partition("://")
    authority = _AFTER_AUTHORITY.split(rest, maxsplit=1)[0]
    path = rest[len(authority) :].partition("#")[0]
    return scheme + separator + authority, _INVISIBLE.sub(_percent_encoded, path)


def _percent_encoded(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in match.group().encode("utf-8", "replace"))


class _VettedResolver(AbstractResolver):
    """Gives aiohttp the addresses of a name when all of them may be called."""

    def __init__(self, rules: EndpointRules, lookup: Lookup) -> None:
        self._rules = rules
        self._lookup = lookup

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_UNSPEC,
    ) -> list[ResolveResult]:
        """The addresses of `host`. Raises OSError when it has none, and AddressRefused."""
        addresses = await self._lookup(host, port)
        if not addresses:
            raise OSError(f"{host} has no address")
        if any(self._rules.address_problem(host, port, address) is not None for address in addresses):
            raise AddressRefused
        return [_result(host, port, address) for address in _tried(addresses)]

    async def close(self) -> None:
        """Nothing of its own is open."""


def _tried(addresses: Sequence[Address]) -> Sequence[Address]:
    """Those of a name's addresses that are connected to, in their order."""
    first = {
        address
        for version in (4, 6)
        for address in islice((each for each in addresses if each.version == version), _MOST_ADDRESSES)
    }
    return [address for address in addresses if address in first]


def _result(host: str, port: int, address: Address) -> ResolveResult:
    return ResolveResult(
        hostname=host,
        host=str(address),
        port=port,
        family=socket.AF_INET if address.version == 4 else socket.AF_INET6,  # noqa: PLR2004 - the IP version
        proto=0,
        # An address, not a name: nothing resolves it once more.
        flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
    )
