"""Host names become addresses outside of the event loop."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest

from libs.rpc import name_lookup
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


async def test_what_did_not_begin_in_time_never_does(lookup: NameLookup, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names that answer slowly hold up the others no longer than they are asked for."""
    answering = threading.Event()
    begun = []

    def slow(host: str, *_: Any, **__: Any) -> list[Any]:
        begun.append(host)
        answering.wait()
        return []

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    monkeypatch.setattr(name_lookup, "_PATIENCE_S", 0.05)
    asked = [lookup(f"{n}.example", 443) for n in range(100)]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert all(isinstance(each, socket.gaierror) and each.errno == socket.EAI_AGAIN for each in answers)
    answering.set()
    monkeypatch.setattr(name_lookup, "_PATIENCE_S", 60)
    await lookup("last.example", 443)
    assert begun[-1] == "last.example"
    assert len(begun) <= name_lookup._THREADS + 1
