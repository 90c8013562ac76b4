"""Which addresses a provider may have.

The rules for literal addresses and for names that mean this machine. A name that resolves to an inside address is
found where it is resolved, by the router.
"""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

from libs.core.validation import origin_of

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# What a URL may be made of (RFC 3986); whatever else is there, two parsers may read in two ways.
_PRINTABLE = re.compile(r"[!-\[\]-~]+")
_HOST = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*")
# Resolvers read a host whose last part is a number as an IPv4 address, in forms nobody means: 127.1, 0x7f000001.
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
# NAT64 (RFC 6052) and the old IPv4-compatible form: the last 32 bits are an IPv4 address.
_IPV4_INSIDE = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("::/96"))


def endpoint_problem(url: str, *, allow_loopback: bool) -> str | None:
    """Why `url` cannot be a provider's address, None when it can. To follow the field's name in a sentence.

    `allow_loopback`: whether this machine itself (localhost, 127.0.0.0/8, ::1) may be named, also by http.
    """
    if _PRINTABLE.fullmatch(url) is None or origin_of(url) is None:
        return (
            "must be an http or https URL with a host and without user information, query or fragment, of visible "
            "ASCII characters (percent-encode others)"
        )
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".")
    address = _literal(host)
    if address is None and (problem := _name_problem(host)):
        return problem
    if _is_loopback(host, address):
        return None if allow_loopback else "must not point to the machine Gatehouse runs on"
    if address is not None and not _is_public(address):
        return "must not point to a private, link-local, multicast, unspecified or reserved address"
    if parts.scheme != "https":
        return "must use https"
    return None


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


def _is_loopback(host: str, address: Address | None) -> bool:
    if address is not None:
        return address.is_loopback
    return host == "localhost" or host.endswith(".localhost")


def _is_public(address: Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id is not None:
            return False
        inside = _ipv4_inside(address)
        if inside is not None:
            return _is_public(inside)
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_link_local)


def _ipv4_inside(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if any(address in network for network in _IPV4_INSIDE):
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return None
