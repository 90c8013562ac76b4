"""What is found out about a provider's address and key before it is saved, and when nobody is asked."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest

from libs.core.endpoints import Address, AllowedEndpoint, EndpointRules
from libs.core.errors import InvalidArgument, Unavailable
from libs.core.resource_names import KeyName
from services.provider_config.clients import addresses
from services.provider_config.clients.addresses import ResolvedAddresses
from services.provider_config.domain.changes import Changed
from services.provider_config.domain.create_provider import create_provider
from services.provider_config.domain.ports import KeyCheck, KeyUsability, Transaction
from services.provider_config.domain.provider import Provider
from services.provider_config.domain.provider_reach import ReachChecks, ReachFindings, checked_reach
from tests.unit.provider_config.builders import ACME, creation
from tests.unit.provider_config.memory_store import MemoryStore

PUBLIC = ipaddress.ip_address("8.8.8.8")


def resolving(*found: str) -> ResolvedAddresses:
    async def lookup(_host: str, _port: int) -> Sequence[Address]:
        return tuple(map(ipaddress.ip_address, found))

    allowed = (AllowedEndpoint.parse("ollama.models:11434"),)
    return ResolvedAddresses(EndpointRules(allow_loopback=True, allowed=allowed), lookup)


class TestAddresses:
    async def test_a_public_name_is_taken(self) -> None:
        assert await resolving("8.8.8.8", "2001:4860:4860::8888").problem("https://x.example.com/v1") is None

    async def test_one_inside_address_is_enough_to_refuse(self) -> None:
        problem = await resolving("8.8.8.8", "10.0.0.1").problem("https://X.example.com./v1")
        assert problem is not None
        assert problem.endswith("as x.example.com does")

    async def test_a_listed_name_and_this_machine_are_taken(self) -> None:
        assert await resolving("10.0.0.1").problem("http://ollama.models:11434/v1") is None
        assert await resolving("10.0.0.1").problem("https://ollama.models/v1") is not None
        assert await resolving("127.0.0.1").problem("http://localhost:11434/v1") is None

    async def test_an_address_is_not_looked_up(self) -> None:
        async def nobody(_host: str, _port: int) -> Sequence[Address]:
            raise AssertionError("it is no name")

        asked = ResolvedAddresses(EndpointRules(), nobody)
        for url in ("https://8.8.8.8/v1", "https://[2001:4860:4860::8888]/v1"):
            assert await asked.problem(url) is None

    async def test_saving_does_not_depend_on_dns(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async def unknown(_host: str, _port: int) -> Sequence[Address]:
            raise socket.gaierror(socket.EAI_AGAIN, "later")

        async def slow(_host: str, _port: int) -> Sequence[Address]:
            await asyncio.Event().wait()
            raise AssertionError

        monkeypatch.setattr(addresses, "_PATIENCE_S", 0.01)
        for lookup in (unknown, slow):
            assert await ResolvedAddresses(EndpointRules(), lookup).problem("https://x.example.com") is None


class Answers:
    """Answers of key_vault and DNS; `asked` counts what was asked of both."""

    def __init__(self, usability: KeyUsability = KeyUsability.USABLE) -> None:
        self.usability = usability
        self.asked: list[object] = []

    async def check(self, wanted: Sequence[tuple[KeyName, str]]) -> Sequence[KeyCheck]:
        self.asked += wanted
        return [KeyCheck(usability=self.usability, origin="https://e.example:443") for _ in wanted]

    async def problem(self, base_url: str) -> str | None:
        self.asked.append(base_url)
        return None


def creating(name: str = "openai", **settings: Any) -> partial[Changed[Provider]]:
    command = creation(name, **settings)
    return partial(checked_reach, name=command.name, change=partial(create_provider, command=command))


async def test_each_is_asked_once_and_the_change_begins_anew() -> None:
    answers = Answers()
    store = MemoryStore()
    await ReachChecks(store=store, keys=answers, addresses=answers).write(creating())
    assert answers.asked == [(KeyName(ACME, "prod"), "https://api.openai.com:443"), "https://api.openai.com/v1"]
    assert [event.action for event in store.events] == ["CreateProvider"], "the first try left nothing"


async def test_without_a_key_key_vault_is_not_asked() -> None:
    answers = Answers(KeyUsability.MISSING)
    await ReachChecks(store=MemoryStore(), keys=answers, addresses=answers).write(creating(key=None))
    assert answers.asked == ["https://api.openai.com/v1"]


@pytest.mark.parametrize("usability", [KeyUsability.MISSING, KeyUsability.ORIGIN_MISMATCH])
async def test_what_can_never_work_is_refused_and_nothing_is_stored(usability: KeyUsability) -> None:
    answers = Answers(usability)
    store = MemoryStore()
    with pytest.raises(InvalidArgument):
        await ReachChecks(store=store, keys=answers, addresses=answers).write(creating())
    assert list(store.events) == []


async def test_a_provider_that_changes_faster_than_anybody_can_be_asked_is_given_up() -> None:
    answers = Answers()
    numbers = iter(range(100))

    def restless(transaction: Transaction, findings: ReachFindings) -> Changed[Provider]:
        return creating(base_url=f"https://host{next(numbers)}.example.com")(transaction, findings)

    with pytest.raises(Unavailable) as busy:
        await ReachChecks(store=MemoryStore(), keys=answers, addresses=answers).write(restless)
    assert busy.value.reason == "DATABASE_BUSY"
