"""The order of the chain is a contract, and every method of every service is inside it."""

from __future__ import annotations

import inspect
from typing import Any

import grpc
import pytest

from libs.identity.tokens import TokenVerifier
from libs.rpc.chain import Call, Link, Next, _time_to_work, chain, wrapped
from libs.rpc.registration import Registrar
from libs.telemetry.telemetry import silent
from tests.contract.api.descriptors import generated, services


class NoKeys:
    def generation(self) -> int:
        return 0

    def find(self, kid: str | None) -> None:
        return None

    async def refresh(self) -> None:
        return None


def links() -> tuple[tuple[str, Link], ...]:
    verifier = TokenVerifier(NoKeys(), issuer="i", audience="a")
    return chain(telemetry=silent(), verifier=verifier, domain="test.gatehouse", details=lambda _: ())


def test_the_links_stand_in_this_order() -> None:
    assert [name for name, _ in links()] == [
        "telemetry",
        "request context",
        "errors",
        "deadline",
        "authentication",
        "decoding",
        "authorization",
    ]


async def test_the_first_link_is_the_outermost() -> None:
    ran: list[str] = []

    def link(name: str) -> Link:
        def wrap(following: Next) -> Next:
            async def run(call: Call) -> object:
                ran.append(name)
                return await following(call)

            return run

        return wrap

    async def innermost(call: Call) -> object:
        ran.append("servicer")
        return None

    await wrapped((("a", link("a")), ("b", link("b"))), innermost)(None)  # type: ignore[arg-type]
    assert ran == ["a", "b", "servicer"]


def registrations() -> list[Any]:
    return [
        pytest.param(getattr(module, name), getattr(module, name.removeprefix("add_").removesuffix("_to_server")))
        for module in generated("_service_pb2_grpc")
        for name in dir(module)
        if name.startswith("add_") and name.endswith("_to_server")
    ]


@pytest.mark.parametrize(("remaining_s", "work_s"), [(0.0, 0.0), (0.1, 0.095), (1.0, 0.95), (600.0, 599.95)])
def test_a_handler_stops_short_of_the_deadline_so_that_its_answer_arrives(remaining_s: float, work_s: float) -> None:
    assert _time_to_work(remaining_s) == pytest.approx(work_s)


def test_no_service_is_left_out_here() -> None:
    assert len(registrations()) == len(services()) > 0


class FakeServer:
    def __init__(self) -> None:
        self.handlers: list[Any] = []

    def add_generic_rpc_handlers(self, handlers: tuple[Any, ...]) -> None:
        self.handlers += handlers


class Details:
    def __init__(self, method: str) -> None:
        self.method = method
        self.invocation_metadata = ()


@pytest.mark.parametrize(("register", "servicer"), registrations())
async def test_every_method_of_every_service_is_wrapped(register: Any, servicer: Any) -> None:
    seen: list[str] = []

    def link(following: Next) -> Next:
        async def refuse(call: Call) -> object:
            seen.append(call.method.name)
            return None

        return refuse

    registrar = Registrar((("refuse", link),), longest_s={}, default_s=1.0)
    registrar.add(register, servicer())
    server = FakeServer()
    registrar.install(server)  # type: ignore[arg-type]
    (service,) = registrar.services
    methods = [name for name, value in vars(servicer).items() if inspect.isfunction(value)]
    assert methods
    for name in methods:
        handler = server.handlers[0].service(Details(f"/{service}/{name}"))
        # Bytes in, bytes out: what decodes and encodes is inside the chain.
        assert handler.request_deserializer is None
        assert handler.response_serializer is None
        behaviour = next(
            each
            for each in (handler.unary_unary, handler.unary_stream, handler.stream_unary, handler.stream_stream)
            if each is not None
        )
        await behaviour(b"", None)
        assert seen[-1] == f"/{service}/{name}"
    assert len(seen) == len(methods)


def test_a_handler_that_would_bypass_the_chain_is_not_served() -> None:
    # Only methods that generated code registers by name are served; a generic handler would bypass the chain.
    registrar = Registrar(links(), longest_s={}, default_s=1.0)
    registrar.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("x.Y", {}),))
    server = FakeServer()
    registrar.install(server)  # type: ignore[arg-type]
    assert server.handlers == []
