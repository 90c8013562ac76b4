"""Host names become addresses outside of the event loop."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from libs.rpc.name_lookup import NameLookup


@pytest.fixture
async def lookup() -> AsyncIterator[NameLookup]:
    running = NameLookup()
    yield running
    await running.close()


async def test_a_name_has_its_addresses_each_once(lookup: NameLookup) -> None:
    addresses = await lookup("localhost", 443)
    assert ipaddress.ip_address("127.0.0.1") in addresses
    assert len(set(addresses)) == len(addresses)


async def test_an_address_is_its_own(lookup: NameLookup) -> None:
    assert await lookup("192.0.2.7", 443) == (ipaddress.ip_address("192.0.2.7"),)


@pytest.mark.parametrize("host", ["a" * 64 + ".example", "..", ".example"])
async def test_what_cannot_be_a_name_has_none(lookup: NameLookup, host: str) -> None:
    with pytest.raises(OSError):  # noqa: PT011 - whichever the system's resolver says
        await lookup(host, 443)


async def test_the_zone_of_an_address_is_kept(lookup: NameLookup, monkeypatch: pytest.MonkeyPatch) -> None:
    def found(*_: Any, **__: Any) -> list[Any]:
        return [(socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("fe80::1%eth0", 443, 0, 2))] * 2

    monkeypatch.setattr(socket, "getaddrinfo", found)
    (address,) = await lookup("router.local", 443)
    assert (str(address), address.version) == ("fe80::1%eth0", 6)
