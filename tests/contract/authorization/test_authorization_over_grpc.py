"""The same over the network: real ports, real certificates, real tokens, every method of every service."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from grpc_status import rpc_status

from libs.rpc.channels import open_channel
from libs.rpc.service import Service
from libs.rpc.settings import ServerSettings
from libs.telemetry.telemetry import silent
from tests.contract.authorization.callers import NOBODY, SERVICES, SUPER_ADMIN, Caller, Person, Tokens, peer
from tests.contract.authorization.cases import METHODS
from tests.contract.authorization.documented import RAN, RPCS, Kind, outcome, service_of
from tests.contract.authorization.driver import outcome_of
from tests.contract.authorization.forgeries import request
from tests.contract.authorization.recording import Ran, recording_servicers
from tests.identities import Identities

CALLERS: tuple[Caller, ...] = (
    *(NOBODY, SUPER_ADMIN, Person(roles=frozenset())),
    *(Person(roles=frozenset({role})) for role in ("tenant_admin", "member", "service")),
    Person(roles=frozenset({"super_admin"}), beside="router"),
    *map(peer, SERVICES),
)
OWNERS = ("tenants/acme/users/ann", "tenants/rival")
FEWEST = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Street:
    """A server with every service of the API, and a connection to it for everybody."""

    ran: Ran
    public: grpc.aio.Channel
    internal: dict[str, grpc.aio.Channel]
    tokens: Tokens

    async def call(self, method: str, caller: Caller, data: bytes) -> str:
        """How a call ends, in the words of `documented`."""
        shown = caller.beside if isinstance(caller, Person) else service_of(caller)
        channel: Any = self.public if shown is None else self.internal[shown]
        options: dict[str, Any] = {"metadata": self.tokens.of(caller), "timeout": 20}
        try:
            match METHODS[method].client_streaming, METHODS[method].server_streaming:
                case False, False:
                    await channel.unary_unary(method)(data, **options)
                case False, True:
                    await anext(aiter(channel.unary_stream(method)(data, **options)))
                case True, False:
                    await channel.stream_unary(method)(iter((data,)), **options)
                case _:
                    await anext(aiter(channel.stream_stream(method)(iter((data,)), **options)))
        except grpc.aio.AioRpcError as error:
            status = rpc_status.from_call(error)
            return outcome_of(error.code(), status) if status is not None else f"{error.code()} {error.details()}"
        return RAN


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
async def street(identities: Identities, tokens: Tokens) -> AsyncIterator[Street]:
    settings = ServerSettings(
        public_address=f"127.0.0.1:{free_port()}",
        internal_address=f"127.0.0.1:{free_port()}",
        shutdown_grace_s=0.2,
        **identities.settings("key-vault"),  # type: ignore[arg-type]
    )
    ran: Ran = []
    async with AsyncExitStack() as exits:
        service = Service("every-service", settings, domain="test.gatehouse", telemetry=silent(), longest_s={})
        await exits.enter_async_context(service)
        for register, servicer in recording_servicers(ran):
            service.add(register, servicer)
        await service.start()
        exits.push_async_callback(service.stop)
        public = grpc.aio.secure_channel(settings.public_address, identities.anonymous())
        await exits.enter_async_context(public)
        internal = {}
        for name in SERVICES:
            own = {
                "tls_cert_file": identities.layout.certificate(name),
                "tls_key_file": identities.layout.certificate_key(name),
            }
            channel = open_channel(settings.internal_address, settings.model_copy(update=own))
            internal[name] = await exits.enter_async_context(channel)
        yield Street(ran=ran, public=public, internal=internal, tokens=tokens)


def cases() -> Iterator[tuple[str, Caller, str | None]]:
    for method, rpc in RPCS.items():
        for caller in CALLERS:
            if rpc.field is None:
                yield method, caller, None
            else:
                yield from ((method, caller, owner if rpc.field == "parent" else f"{owner}/keys/x") for owner in OWNERS)


def test_there_are_enough_cases() -> None:
    assert len(list(cases())) >= FEWEST


async def test_every_method_of_every_service_is_guarded_on_the_wire(street: Street) -> None:
    wrong = []
    for method, caller, resource in cases():
        rpc = RPCS[method]
        street.ran.clear()
        others = "rival" if resource is None or "acme" in resource else "acme"
        data = request(METHODS[method].input_type, rpc.field, resource, others=others)
        ended = await street.call(method, caller, data)
        expected = outcome(rpc, caller, resource, demands_mfa=False)
        received = [message.SerializeToString(deterministic=True) for _, message in street.ran]
        sent = [type(message).FromString(data).SerializeToString(deterministic=True) for _, message in street.ran]
        if (ended, bool(received), received) != (expected, expected == RAN, sent):
            wrong.append(f"{method} by {caller} on {resource}: {ended}, documented is {expected}; ran: {street.ran}")
    assert wrong == []


@pytest.mark.parametrize("method", sorted(name for name, rpc in RPCS.items() if rpc.kind is Kind.ROUTER))
async def test_the_routers_methods_refuse_every_other_certificate(street: Street, method: str) -> None:
    data = request(METHODS[method].input_type, None, None, others="acme")
    ended = {service: await street.call(method, peer(service), data) for service in SERVICES}
    assert {service for service, how in ended.items() if how == RAN} == {"router"}
    assert {how for service, how in ended.items() if service != "router"} == {"denied"}
