"""No provider's address leads inside: a listener stands behind every address there is, and must hear nothing.

Every connection that this process opens, to whatever address, goes to one listener on loopback. So the listener proves
that nothing was connected; that it hears the allowed ones shows that it would have heard the others.
"""

from __future__ import annotations

import asyncio
import ipaddress
import random
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from libs.core.endpoints import Address, AllowedEndpoint, EndpointRules
from libs.rpc.name_lookup import NameLookup
from libs.sandbox import Sandbox
from services.router.domain import health
from services.router.domain.errors import ProviderError, Reason
from services.router.domain.failover import FailoverPolicy, GiveUp, NextTarget, next_step
from services.router.providers.http.session import HttpProviderSession
from services.router.providers.http.timers import Timers
from services.router.providers.http.vetted_http import Lookup, VettedHttp, _VettedResolver
from services.router.providers.registry import DIALECTS
from tests.integration.router_providers.wire import dispatch, failure
from tests.unit.core.inside_addresses import INSIDE, METADATA, PUBLIC

NAME = "models.example.com"
STRICT = EndpointRules()


@dataclass
class Listener:
    """What stands behind every address."""

    port: int
    accepted: int = 0
    asked_for: list[tuple[str, int]] = field(default_factory=list)
    """The (address, port) pairs that were connected to."""

    async def connections(self) -> int:
        """How many were heard, those included that still wait to be accepted."""
        with socket.create_connection(("127.0.0.1", self.port)) as last:
            last.setblocking(False)
            # They are accepted in their order, and this one is closed at once.
            await asyncio.get_running_loop().sock_recv(last, 1)
        self.accepted -= 1
        return self.accepted


@pytest.fixture
async def listener(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Listener]:
    heard: Listener

    async def accept(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.accepted += 1
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    heard = Listener(port=server.sockets[0].getsockname()[1])
    loop = asyncio.get_running_loop()
    real = loop.sock_connect

    async def connect(sock: socket.socket, address: tuple[str, int]) -> None:
        heard.asked_for.append((address[0], address[1]))
        if sock.family == socket.AF_INET:
            return await real(sock, ("127.0.0.1", heard.port))
        # Not every machine has IPv6: the listener hears it over IPv4, and the caller is told that nobody is there.
        with socket.socket() as other:
            other.setblocking(False)
            await real(other, ("127.0.0.1", heard.port))
        raise ConnectionRefusedError

    monkeypatch.setattr(loop, "sock_connect", connect)
    async with server:
        yield heard


class Names:
    """A resolver whose answers a test makes up; the last one stays."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self._answers = [tuple(map(ipaddress.ip_address, answer)) for answer in answers]
        self.asked: list[tuple[str, int]] = []

    async def __call__(self, host: str, port: int) -> Sequence[Address]:
        self.asked.append((host, port))
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


@asynccontextmanager
async def session(lookup: Lookup, rules: EndpointRules = STRICT) -> AsyncIterator[HttpProviderSession]:
    http = VettedHttp(rules, lookup)
    running = HttpProviderSession(http, DIALECTS, Timers(connect_s=5, first_event_s=10, idle_s=10))
    try:
        yield running
    finally:
        await running.aclose()
        await http.aclose()


async def outcome(running: HttpProviderSession, base_url: str, *, stream: bool = False) -> ProviderError:
    return await failure(running, dispatch(base_url), stream=stream)


def url(address: str, scheme: str = "https") -> str:
    return f"{scheme}://[{address}]/v1" if ":" in address else f"{scheme}://{address}/v1"


@pytest.mark.parametrize("address", INSIDE)
async def test_a_name_that_leads_inside_is_not_connected_to(listener: Listener, address: str) -> None:
    async with session(Names([address])) as running:
        for stream in (False, True):
            error = await outcome(running, f"https://{NAME}/v1", stream=stream)
            assert (error.reason, error.sent, error.status) == (Reason.PROVIDER_ADDRESS_REFUSED, False, 0)
    assert await listener.connections() == 0


@pytest.mark.parametrize("address", [each for each in INSIDE if "%" not in each])
async def test_an_inside_address_in_the_url_is_not_connected_to(listener: Listener, address: str) -> None:
    async with session(Names(["8.8.8.8"])) as running:
        for scheme in ("http", "https"):
            error = await outcome(running, url(address, scheme))
            assert error.reason is Reason.PROVIDER_ADDRESS_REFUSED
    assert await listener.connections() == 0


@pytest.mark.parametrize(
    "base_url",
    [
        *("http://2130706433", "http://0x7f000001", "http://0x7f.1", "http://017700000001", "http://127.1", "http://0"),
        *("http://127.0.0.1:80", "http://127.0.0.1.", "http://localhost", "http://localhost.", "http://a.localhost"),
        *(
            "https://LOCALHOST",
            "https://①②⑦.⓪.⓪.①",
            "https://\uff11\uff12\uff17.0.0.1",
            "https://127。0。0。1",
            "https://ⓛocalhost",
        ),
        *(
            "https://user@8.8.8.8",
            "https://8.8.8.8@127.0.0.1",
            "https://8.8.8.8#@127.0.0.1",
            "https://8.8.8.8\\@127.0.0.1",
        ),
        *("https://[::1]", "https://[::ffff:7f00:1]", "https://[fe80::1%25lo]", "https://8.8.8.8?@127.0.0.1"),
        *(
            "http://metadata.google.internal",
            "http://8.8.8.8",
            "http://models.example.com",
            "https://127.0.0.1%00.a.com",
        ),
        *("ftp://8.8.8.8", "file:///etc/passwd", "gopher://127.0.0.1:6379/_", "unix:///var/run/docker.sock"),
    ],
)
async def test_another_spelling_of_an_inside_address_is_not_connected_to(listener: Listener, base_url: str) -> None:
    async with session(Names(["127.0.0.1"])) as running:
        error = await outcome(running, base_url)
    assert error.reason in {Reason.PROVIDER_ADDRESS_REFUSED, Reason.PROVIDER_BAD_RESPONSE}
    assert not error.reached_provider
    assert await listener.connections() == 0


@pytest.mark.parametrize("address", PUBLIC)
async def test_a_public_address_is_connected_to(listener: Listener, address: str) -> None:
    """So the listener hears what is connected, whatever the address."""
    names = Names([address])
    async with session(names) as running:
        error = await outcome(running, f"https://{NAME}:8443/v1")
    assert error.reason is Reason.PROVIDER_UNREACHABLE, "the listener speaks no TLS"
    assert await listener.connections() == 1
    assert listener.asked_for == [(str(ipaddress.ip_address(address)), 8443)], "it connects to what was judged"
    assert names.asked == [(NAME, 8443)], "and resolves once"


@pytest.mark.parametrize("address", [each for each in PUBLIC if "." not in each or "::" not in each])
async def test_a_public_address_in_the_url_is_connected_to(listener: Listener, address: str) -> None:
    names = Names(["10.0.0.1"])
    async with session(names) as running:
        await outcome(running, url(address))
    assert await listener.connections() == 1
    assert not names.asked


@pytest.mark.parametrize("inside", ["10.0.0.1", *METADATA, "127.0.0.1", "::1", "fc00::1"])
async def test_an_answer_with_one_inside_address_is_refused_whole(listener: Listener, inside: str) -> None:
    for answer in (["8.8.8.8", inside], [inside, "8.8.8.8"], ["8.8.8.8", "2001:4860:4860::8888", inside]):
        async with session(Names(answer)) as running:
            error = await outcome(running, f"https://{NAME}/v1")
        assert error.reason is Reason.PROVIDER_ADDRESS_REFUSED
    assert await listener.connections() == 0


async def test_of_a_name_with_many_addresses_few_are_connected_to(listener: Listener) -> None:
    """A name's owner chooses whom the router would flood."""
    ipv4 = [f"8.8.{n // 250}.{n % 250}" for n in range(1000)]
    ipv6 = [f"2001:4860::{n:x}" for n in range(1, 1000)]
    async with session(Names([*ipv6, *ipv4])) as running:
        error = await outcome(running, f"https://{NAME}/v1")
    assert error.reason is Reason.PROVIDER_UNREACHABLE
    assert {address for address, _ in listener.asked_for} == {*ipv4[:4], *ipv6[:4]}
    assert len(listener.asked_for) < 50


@pytest.mark.parametrize("inside", ["127.0.0.1", "169.254.169.254", "::1", "fd00:ec2::254"])
async def test_a_name_that_means_something_else_a_moment_later_gets_nobody_inside(
    listener: Listener, inside: str
) -> None:
    """DNS rebinding: public when it is judged, inside ever after."""
    names = Names(["8.8.8.8"], [inside])
    async with session(names) as running:
        first = await outcome(running, f"https://{NAME}/v1")
        connector = running._http.session.connector
        assert connector is not None
        connector.clear_dns_cache()  # type: ignore[attr-defined]
        second = await outcome(running, f"https://{NAME}/v1")
    assert (first.reason, second.reason) == (Reason.PROVIDER_UNREACHABLE, Reason.PROVIDER_ADDRESS_REFUSED)
    assert listener.asked_for == [("8.8.8.8", 443)]
    assert len(names.asked) == 2


@pytest.mark.parametrize("inside", ["127.0.0.1", "169.254.169.254", "::1", "fd00:ec2::254", "64:ff9b::7f00:1"])
async def test_the_address_is_judged_once_more_where_the_socket_is_opened(
    listener: Listener, monkeypatch: pytest.MonkeyPatch, inside: str
) -> None:
    """The last line holds without the one before it."""
    monkeypatch.setattr(_VettedResolver, "resolve", unvetted)
    async with session(Names([inside])) as running:
        error = await outcome(running, f"https://{NAME}/v1")
    assert error.reason is Reason.PROVIDER_ADDRESS_REFUSED
    assert await listener.connections() == 0


async def unvetted(self: _VettedResolver, host: str, port: int = 0, family: int = 0) -> list[dict[str, object]]:
    return [
        {
            "hostname": host,
            "host": str(address),
            "port": port,
            "family": socket.AF_INET if address.version == 4 else socket.AF_INET6,
            "proto": 0,
            "flags": 0,
        }
        for address in await self._lookup(host, port)
    ]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    connected: list[tuple[str, int]] = []
    loop = asyncio.get_running_loop()
    real = loop.sock_connect

    async def connect(sock: socket.socket, address: tuple[str, int]) -> None:
        connected.append((address[0], address[1]))
        await real(sock, address)

    monkeypatch.setattr(loop, "sock_connect", connect)
    rules = EndpointRules(allow_loopback=True)
    async with (
        redirecting(status, "http://169.254.169.254/latest/meta-data") as port,
        session(Names([]), rules) as running,
    ):
        error = await outcome(running, f"http://127.0.0.1:{port}/v1")
    assert error.reason is Reason.PROVIDER_BAD_RESPONSE
    assert connected == [("127.0.0.1", port)]


@asynccontextmanager
async def redirecting(status: int, location: str) -> AsyncIterator[int]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 {status} x\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


async def test_no_proxy_of_the_environment_is_used(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{listener.port}")
    async with session(Names(["8.8.8.8"])) as running:
        await outcome(running, f"https://{NAME}/v1")
    assert listener.asked_for == [("8.8.8.8", 443)]


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST"])
async def test_what_the_systems_resolver_makes_of_a_name_is_judged(
    listener: Listener, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    lookup = NameLookup()
    # As if the rules for URLs knew no name of this machine.
    monkeypatch.setattr(EndpointRules, "url_problem", lambda _self, _url: None)
    async with session(lookup) as running:
        error = await outcome(running, f"https://{host}/v1")
    await lookup.close()
    assert error.reason is Reason.PROVIDER_ADDRESS_REFUSED
    assert await listener.connections() == 0


async def test_a_place_on_the_operators_list_is_called() -> None:
    async with Sandbox() as sandbox:
        port = int(sandbox.url.rpartition(":")[2])
        rules = EndpointRules(allowed=(AllowedEndpoint.parse(f"ollama.models:{port}"),))
        async with session(Names(["127.0.0.1"]), rules) as running:
            answer = await running.generate(dispatch(f"http://ollama.models:{port}/v1"))
            assert answer.text
            for other in (f"http://ollama.models:{port + 1}/v1", f"http://ollama.other:{port}/v1"):
                assert (await outcome(running, other)).reason is Reason.PROVIDER_ADDRESS_REFUSED


async def test_a_name_without_an_address_is_unreachable(listener: Listener) -> None:
    async def nowhere(_host: str, _port: int) -> Sequence[Address]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    async with session(nowhere) as running:
        assert (await outcome(running, f"https://{NAME}/v1")).reason is Reason.PROVIDER_UNREACHABLE
    async with session(Names([])) as running:
        assert (await outcome(running, f"https://{NAME}/v1")).reason is Reason.PROVIDER_UNREACHABLE
    assert await listener.connections() == 0


def test_a_refused_address_goes_to_the_next_target_and_cools_nothing() -> None:
    error = ProviderError(Reason.PROVIDER_ADDRESS_REFUSED)
    assert error.reason not in health._FAULTS | health._RESTS_S.keys()
    steps = [
        next_step(
            error,
            FailoverPolicy(),
            attempts=1,
            retries=0,
            targets_left=left,
            fallback_version=0,
            remaining_s=60,
            jitter=random.Random(0),
        )
        for left in (1, 0)
    ]
    assert steps == [NextTarget(), GiveUp()]
