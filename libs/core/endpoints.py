"""Which addresses a provider may have, so that whoever configures one cannot reach into the network Gatehouse runs in.

Pure rules over URLs and addresses. A URL is judged when it is saved and again before each connection, and every
address its host resolves to as well; what is connected to is an address that was judged, never a name.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from libs.core.validation import origin_of

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

INSIDE = "a private, link-local, multicast, unspecified or reserved address"
"""What all refused addresses are called towards people: which one it was would map the network for them."""

# What a URL may be made of (RFC 3986); whatever else is there, two parsers may read in two ways.
_PRINTABLE = re.compile(r"[!-\[\]-~]+")
_HOST = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*")
# Resolvers read a host whose last part is a number as an IPv4 address, in forms nobody means: 127.1, 0x7f000001.
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_LAST_PORT = 65_535


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowedEndpoint:
    """An inside place the operator lets providers live at: a name, or the addresses of a network; `port` None is any.

    A `name` that begins with `*.` stands for every name below the rest. Exactly one of `name` and `network` is set.
    """

    name: str = ""
    network: Network | None = None
    port: int | None = None

    @classmethod
    def parse(cls, text: str) -> AllowedEndpoint:
        """From `host`, `*.domain`, an address or a network (`10.1.0.0/16`), each with `:port` or without.

        IPv6 with a port is in brackets (`[fd00::/64]:11434`). Raises ValueError saying what is wrong.
        """
        place, port = _split_port(text.lower())
        try:
            return cls(network=ipaddress.ip_network(place), port=port)
        except ValueError as error:
            if "/" in place or ":" in place:
                raise ValueError(f"{text!r} is no network: {error}") from None
        name = place.removesuffix(".")
        if _HOST.fullmatch(name.removeprefix("*.")) is None or _NUMBER.fullmatch(name.rpartition(".")[2]):
            raise ValueError(f"{text!r} is no host, address or network, with or without a port")
        return cls(name=name, port=port)

    def covers_host(self, host: str, port: int) -> bool:
        """Whether the name is `host`, in lower case and without a last dot."""
        if not self.name or self.port not in (None, port):
            return False
        return host.endswith(self.name[1:]) if self.name.startswith("*.") else host == self.name

    def covers_address(self, address: Address, port: int) -> bool:
        """Whether `address` is in the network."""
        if self.network is None or self.port not in (None, port):
            return False
        return address.version == self.network.version and address in self.network


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointRules:
    """What is allowed beyond public addresses over https.

    `allow_loopback`: this machine itself (localhost, 127.0.0.0/8, ::1). `allowed`: the operator's own list. Both also
    over http. Neither lets anybody at link-local addresses, metadata services, or what is no address of one host.
    """

    allow_loopback: bool = False
    allowed: tuple[AllowedEndpoint, ...] = ()

    def url_problem(self, url: str) -> str | None:
        """Why `url` cannot be a provider's address, None when it can. To follow the field's name in a sentence.

        Says nothing of the addresses behind a name: those are for `address_problem`.
        """
        if _PRINTABLE.fullmatch(url) is None or origin_of(url) is None:
            return (
                "must be an http or https URL with a host and without user information, query or fragment, of visible "
                "ASCII characters (percent-encode others)"
            )
        scheme, host, port = _parts(url)
        address = _literal(host)
        if address is None and (problem := _name_problem(host)):
            return problem
        if (address is None or not _is_never_allowed(address)) and self._is_listed(host, port, address):
            return None
        if _is_this_machine(host, address):
            return None if self.allow_loopback else "must not point to the machine Gatehouse runs on"
        if address is not None and not is_public(address):
            return f"must not point to {INSIDE}"
        return None if scheme == "https" else "must use https"

    def address_problem(self, host: str, port: int, address: Address) -> str | None:
        """Why `address`, one that `host` of a URL without a problem resolves to or is, must not be connected to."""
        host = _plain(host)
        if not _is_never_allowed(address) and (
            is_public(address)
            or self._is_listed(host, port, address)
            # A name of anybody's that resolves to this machine is not this machine's name.
            or (self.allow_loopback and address.is_loopback and _is_this_machine(host, _literal(host)))
        ):
            return None
        return f"must not point to {INSIDE}, as {host} does"

    def _is_listed(self, host: str, port: int, address: Address | None) -> bool:
        return any(
            each.covers_host(host, port) or (address is not None and each.covers_address(address, port))
            for each in self.allowed
        )


def host_and_port(url: str) -> tuple[str, int]:
    """Where `url`, which has no `url_problem`, is served: the host in lower case without brackets or a last dot."""
    _, host, port = _parts(url)
    return host, port


def is_literal(host: str) -> bool:
    """Whether `host` is an address itself and no name to resolve."""
    return _literal(_plain(host)) is not None


def is_public(address: Address) -> bool:
    """Whether `address` is that of one host of the open internet, by no tunnel or translation.

    An IPv4 address inside an IPv6 one counts as itself where networks without IPv4 spell it so (NAT64's well-known
    prefix, and IPv4-mapped); in every other form it is refused.
    """
    if isinstance(address, ipaddress.IPv4Address):
        return not _is_in(address, _SPECIAL_IPV4)
    if address.scope_id is not None:
        return False
    if address.ipv4_mapped is not None:
        return is_public(address.ipv4_mapped)
    if address in _NAT64:
        return is_public(_low_ipv4(address))
    return address in _GLOBAL_UNICAST and not _is_in(address, _SPECIAL_IPV6) and not _is_isatap(address)


def _networks(*texts: str) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(text) for text in texts)


# IANA's registries of special addresses, by hand: what `ipaddress` calls global differs by Python version and takes in
# multicast, tunnels and translations.
_SPECIAL_IPV4 = _networks(
    "0.0.0.0/8",  # this network
    "10.0.0.0/8",
    "100.64.0.0/10",  # shared between carriers; Alibaba's metadata is in it
    "127.0.0.0/8",
    "168.63.129.16/32",  # Azure's agent and metadata, although the address is a public one
    "169.254.0.0/16",  # link-local, and most clouds' metadata
    "172.16.0.0/12",
    "192.0.0.0/24",  # protocols; Oracle's metadata is in it
    "192.0.2.0/24",  # documentation
    "192.31.196.0/24",  # AS112
    "192.52.193.0/24",  # multicast relays
    "192.88.99.0/24",  # 6to4 relays
    "192.168.0.0/16",
    "192.175.48.0/24",  # AS112
    "198.18.0.0/15",  # benchmarks
    "198.51.100.0/24",  # documentation
    "203.0.113.0/24",  # documentation
    "224.0.0.0/4",  # multicast
    "240.0.0.0/4",  # reserved, and broadcast
)
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
_SPECIAL_IPV6 = _networks(
    "2001::/23",  # protocols: Teredo, benchmarks, ORCHID
    "2001:db8::/32",  # documentation
    "2002::/16",  # 6to4
    "2620:4f:8000::/48",  # AS112
    "3fff::/20",  # documentation
)
_ISATAP = frozenset({0x0000_5EFE, 0x0200_5EFE})
# RFC 6052. The prefix for local use (64:ff9b:1::/48) is not among them: what it leads to is the network's own affair.
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_NEVER_IPV4 = _networks(
    "0.0.0.0/8",
    "100.100.100.200/32",
    "168.63.129.16/32",
    "169.254.0.0/16",
    "192.0.0.192/32",
    "224.0.0.0/4",
    "240.0.0.0/4",
)
_NEVER_IPV6 = _networks(
    "::/128",
    "fd00:ec2::/32",  # Amazon's metadata, resolver and clock
    "fd20:ce::/32",  # Google's metadata
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
)


def _is_never_allowed(address: Address) -> bool:
    """Whether `address` gives out credentials of this machine, or is not that of one host: no list allows those."""
    if isinstance(address, ipaddress.IPv4Address):
        return _is_in(address, _NEVER_IPV4)
    if address.scope_id is not None:
        return True
    inside = address.ipv4_mapped or (_low_ipv4(address) if address in _NAT64 else None)
    return _is_never_allowed(inside) if inside is not None else _is_in(address, _NEVER_IPV6)


def _is_in(address: Address, networks: Iterable[Network]) -> bool:
    return any(address in network for network in networks)


def _low_ipv4(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address:
    return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)


def _is_isatap(address: ipaddress.IPv6Address) -> bool:
    """RFC 5214: under any prefix, the lower half is 0000:5efe or 0200:5efe and an IPv4 address."""
    return int(address) >> 32 & 0xFFFF_FFFF in _ISATAP


def _parts(url: str) -> tuple[str, str, int]:
    parts = urlsplit(url)
    return parts.scheme, _plain(parts.hostname or ""), parts.port or _DEFAULT_PORTS[parts.scheme]


def _plain(host: str) -> str:
    return host.lower().removesuffix(".")


def _literal(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _name_problem(host: str) -> str | None:
    if _HOST.fullmatch(host) is None:
        return "must have a host of letters, digits, '-', '_' and '.', or an IP address"
    if _NUMBER.fullmatch(host.rpartition(".")[2]):
        return "must have a host name, or an IPv4 address of four decimal numbers"
    return None


def _is_this_machine(host: str, address: Address | None) -> bool:
    if address is not None:
        # Not the IPv4 one spelt as IPv6: there is no honest use for that.
        return address.is_loopback and getattr(address, "ipv4_mapped", None) is None
    return host == "localhost" or host.endswith(".localhost")


def _split_port(text: str) -> tuple[str, int | None]:
    """The place and the port of an entry of the operator's list. Raises ValueError."""
    if text.startswith("["):
        place, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ValueError(f"{text!r} is no address in brackets, with or without a port")
        port = rest[1:] if rest else None
    elif text.count(":") == 1:
        place, _, port = text.partition(":")
    else:
        return text, None
    if port is None:
        return place, None
    if not (port.isascii() and port.isdigit() and 0 < int(port) <= _LAST_PORT):
        raise ValueError(f"{text!r} has no port from 1 to {_LAST_PORT}")
    return place, int(port)
