"""Providers that were called before can be called on while DNS is slow."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Sequence

import pytest

from libs.core.endpoints import Address
from services.router.providers.http import remembered_names
from services.router.providers.http.remembered_names import RememberedNames

FIRST, SECOND = (ipaddress.ip_address("8.8.8.8"),), (ipaddress.ip_address("8.8.4.4"),)


class Resolver:
    """Gives `answer`: addresses, an error, or nothing ever."""

    def __init__(self) -> None:
        self.answer: Sequence[Address] | OSError | None = FIRST

    async def __call__(self, _host: str, _port: int) -> Sequence[Address]:
        if self.answer is None:
            await asyncio.Event().wait()
        if isinstance(self.answer, OSError):
            raise self.answer
        return self.answer or ()


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Resolver:
    monkeypatch.setattr(remembered_names, "_PATIENCE_S", 0.01)
    return Resolver()


@pytest.mark.parametrize("answer", [None, socket.gaierror(socket.EAI_AGAIN, "try again")])
async def test_a_name_without_an_answer_means_what_it_meant_before(resolver: Resolver, answer: OSError | None) -> None:
    names = RememberedNames(resolver)
    assert await names("a.example.com", 443) == FIRST
    resolver.answer = answer
    assert await names("a.example.com", 443) == FIRST


async def test_an_answer_counts_more_than_the_memory(resolver: Resolver) -> None:
    names = RememberedNames(resolver)
    await names("a.example.com", 443)
    resolver.answer = SECOND
    assert await names("a.example.com", 443) == SECOND
    resolver.answer = None
    assert await names("a.example.com", 443) == SECOND


async def test_a_name_that_is_gone_is_gone(resolver: Resolver) -> None:
    names = RememberedNames(resolver)
    await names("a.example.com", 443)
    resolver.answer = socket.gaierror(socket.EAI_NONAME, "no such name")
    with pytest.raises(socket.gaierror):
        await names("a.example.com", 443)


async def test_an_answer_is_remembered_for_an_hour(resolver: Resolver, monkeypatch: pytest.MonkeyPatch) -> None:
    names = RememberedNames(resolver)
    await names("a.example.com", 443)
    monkeypatch.setattr(remembered_names, "_KEPT_S", -1.0)
    resolver.answer = socket.gaierror(socket.EAI_AGAIN, "try again")
    with pytest.raises(socket.gaierror):
        await names("a.example.com", 443)


async def test_the_names_asked_for_last_are_remembered(resolver: Resolver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered_names, "_MOST_NAMES", 2)
    names = RememberedNames(resolver)
    for name in ("a", "b", "a", "c"):
        await names(f"{name}.example.com", 443)
    resolver.answer = socket.gaierror(socket.EAI_AGAIN, "try again")
    assert await names("a.example.com", 443) == FIRST
    with pytest.raises(socket.gaierror):
        await names("b.example.com", 443)
