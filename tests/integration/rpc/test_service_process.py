"""The life of a service's process: when it is healthy, how it ends, how it says why it cannot start."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import grpc
import pytest
from gatehouse.keyvault.v1 import key_service_pb2 as pb
from gatehouse.keyvault.v1.key_service_pb2_grpc import KeyServiceStub
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.identities import Identities

ROOT = Path(__file__).parents[3]
START_S = 30.0
KEYS = "gatehouse.keyvault.v1.KeyService"
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


def sleep_for(hundredths: int) -> pb.GetKeyRequest:
    return pb.GetKeyRequest(name=f"tenants/acme/users/ann/keys/sleep-{hundredths}")


class Tiny:
    """One process of the tiny service."""

    def __init__(self, directory: Path, identities: Identities, ports: tuple[int, int], **changes: object) -> None:
        directory.mkdir(exist_ok=True)
        self.notes = directory / "notes"
        self.dependency = directory / "dependency"
        self._identities = identities
        self.public, self.internal = (f"127.0.0.1:{port}" for port in ports)
        settings: dict[str, object] = {
            **identities.settings("key-vault"),
            "public_address": self.public,
            "internal_address": self.internal,
            "notes_file": self.notes,
            "dependency_file": self.dependency,
            "shutdown_grace_s": 10,
            **changes,
        }
        self.environment = {f"TINY_{name.upper()}": str(value) for name, value in settings.items()}
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self.process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.integration.rpc.tiny_service",
            cwd=ROOT,
            env=self.environment | {"PATH": os.environ["PATH"]},
            stderr=asyncio.subprocess.PIPE,
        )

    async def ended(self) -> tuple[int, str]:
        assert self.process is not None
        assert self.process.stderr is not None
        async with asyncio.timeout(START_S):
            text = await self.process.stderr.read()
            return await self.process.wait(), text.decode()

    def terminate(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)

    @contextlib.asynccontextmanager
    async def channel(self, *, internal: bool = False) -> AsyncIterator[grpc.aio.Channel]:
        credentials = self._identities.peer("router") if internal else self._identities.anonymous()
        async with grpc.aio.secure_channel(self.internal if internal else self.public, credentials) as channel:
            yield channel

    async def health(self, service: str = "", *, internal: bool = False) -> int:
        async with self.channel(internal=internal) as channel:
            request = health_pb2.HealthCheckRequest(service=service)
            answer = await health_pb2_grpc.HealthStub(channel).Check(request, wait_for_ready=True, timeout=START_S)
            status: int = answer.status
            return status

    async def become(self, status: int) -> None:
        async with asyncio.timeout(START_S):
            while await self.health() != status:
                await asyncio.sleep(0.05)

    async def noted(self, line: str) -> None:
        async with asyncio.timeout(START_S):
            while line not in self.lines():
                await asyncio.sleep(0.02)

    def lines(self) -> Sequence[str]:
        return self.notes.read_text().splitlines() if self.notes.exists() else ()


Start = Callable[..., Awaitable[Tiny]]


def free_ports() -> tuple[int, int]:
    with socket.socket() as first, socket.socket() as second:
        for each in (first, second):
            each.bind(("127.0.0.1", 0))
        return first.getsockname()[1], second.getsockname()[1]


@pytest.fixture
async def start(tmp_path: Path, identities: Identities) -> AsyncIterator[Start]:
    """Starts processes; those still there at the end are killed."""
    started: list[Tiny] = []

    async def begin(*, ports: tuple[int, int] | None = None, ready: bool = True, **changes: object) -> Tiny:
        tiny = Tiny(tmp_path / str(len(started)), identities, ports or free_ports(), **changes)
        if ready:
            tiny.dependency.touch()
        await tiny.start()
        started.append(tiny)
        return tiny

    yield begin
    for tiny in started:
        assert tiny.process is not None
        if tiny.process.returncode is None:
            tiny.process.kill()
        await tiny.process.communicate()


async def test_health_follows_the_ready_checks_on_both_ports(start: Start) -> None:
    tiny = await start(ready=False)
    for internal in (False, True):
        for service in ("", KEYS):
            assert await tiny.health(service, internal=internal) == NOT_SERVING
    tiny.dependency.touch()
    await tiny.become(SERVING)
    for internal in (False, True):
        for service in ("", KEYS):
            assert await tiny.health(service, internal=internal) == SERVING
    tiny.dependency.unlink()
    await tiny.become(NOT_SERVING)


async def test_a_service_waits_for_what_it_cannot_start_without(start: Start, tmp_path: Path) -> None:
    needed = tmp_path / "needed"
    tiny = await start(needed_to_start_file=needed)
    await tiny.noted("not yet")
    # What the failed attempt had opened is closed again, in reverse order.
    await tiny.noted("closed first")
    assert tiny.lines()[:3] == ["not yet", "closed second", "closed first"]
    needed.touch()
    await tiny.become(SERVING)


async def test_a_service_that_still_waits_ends_when_told(start: Start, tmp_path: Path) -> None:
    tiny = await start(needed_to_start_file=tmp_path / "never")
    await tiny.noted("not yet")
    tiny.terminate()
    code, _ = await tiny.ended()
    assert code == 0


async def test_a_call_under_way_finishes_after_sigterm_and_then_everything_is_closed(
    start: Start, identities: Identities
) -> None:
    tiny = await start()
    await tiny.become(SERVING)
    async with tiny.channel() as channel:
        keys: Any = KeyServiceStub(channel)
        call = asyncio.ensure_future(keys.GetKey(sleep_for(100), timeout=20, metadata=identities.bearer("member")))
        await tiny.noted("call began")
        tiny.terminate()
        assert await call == pb.GetKeyResponse()
        code, text = await tiny.ended()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await keys.GetKey(sleep_for(0), timeout=5, metadata=identities.bearer("member"))
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert code == 0
    assert "Traceback" not in text
    assert tiny.lines() == ["call began", "call finished", "call cleaned up", "closed second", "closed first"]


async def test_a_call_that_outlives_the_grace_is_cut_and_cleans_up_before_resources_close(
    start: Start, identities: Identities
) -> None:
    tiny = await start(shutdown_grace_s=0.3)
    await tiny.become(SERVING)
    async with tiny.channel() as channel:
        keys: Any = KeyServiceStub(channel)
        call = asyncio.ensure_future(keys.GetKey(sleep_for(6000), timeout=90, metadata=identities.bearer("member")))
        await tiny.noted("call began")
        tiny.terminate()
        code, text = await tiny.ended()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
    assert caught.value.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}
    assert code == 0
    assert "Traceback" not in text
    assert tiny.lines() == ["call began", "call cleaned up", "closed second", "closed first"]


@pytest.mark.parametrize("which", [0, 1])
async def test_a_taken_port_ends_the_start_with_a_sentence(start: Start, which: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports = list(free_ports())
        ports[which] = taken.getsockname()[1]
        tiny = await start(ports=tuple(ports))
        code, text = await tiny.ended()
    assert code == 2
    assert f"tiny: cannot listen on 127.0.0.1:{ports[which]}: is another process using the port?" in text
    assert "Traceback" not in text


async def test_a_second_process_cannot_take_the_ports_of_a_running_one(start: Start) -> None:
    first = await start()
    await first.become(SERVING)
    ports = tuple(int(address.rpartition(":")[2]) for address in (first.public, first.internal))
    second = await start(ports=ports)
    code, _ = await second.ended()
    assert code == 2
    assert await first.health() == SERVING


async def test_a_missing_certificate_ends_the_start_with_a_sentence(start: Start, tmp_path: Path) -> None:
    tiny = await start(tls_cert_file=tmp_path / "missing.pem")
    code, text = await tiny.ended()
    assert code == 2
    assert "missing.pem" in text
    assert "Traceback" not in text


async def test_a_setting_that_shows_itself_wrong_in_use_ends_the_start_with_a_sentence(start: Start) -> None:
    tiny = await start(refuses_to_start=True)
    code, text = await tiny.ended()
    assert code == 2
    assert "tiny: TINY_SECRETS_FILE: is not what it should be" in text
    assert "Traceback" not in text


async def test_a_misspelt_setting_is_named_and_what_kubernetes_sets_is_not(start: Start) -> None:
    tiny = await start(shutdown_grace="1", service_host="10.0.0.1", port_7100_tcp_addr="10.0.0.1")
    await tiny.become(SERVING)
    tiny.terminate()
    _, text = await tiny.ended()
    assert "TINY_SHUTDOWN_GRACE is set, but is no setting of this service: is it misspelt?" in text
    assert "TINY_SERVICE_HOST" not in text
    assert "TINY_PORT_7100_TCP_ADDR" not in text


async def test_missing_settings_are_named_without_their_values(start: Start) -> None:
    tiny = await start(shutdown_grace_s="sk-canary-0123456789abcdef")
    code, text = await tiny.ended()
    assert code == 2
    assert "TINY_SHUTDOWN_GRACE_S" in text
    assert "canary" not in text


async def test_a_process_leaves_no_core_file(start: Start) -> None:
    tiny = await start()
    await tiny.become(SERVING)
    assert tiny.process is not None
    assert resource.prlimit(tiny.process.pid, resource.RLIMIT_CORE) == (0, 0)


async def test_a_watcher_of_health_that_stopped_reading_does_not_keep_a_service_from_ending(start: Start) -> None:
    tiny = await start(shutdown_grace_s=0.3)
    await tiny.become(SERVING)
    async with tiny.channel() as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        assert (await watch.read()).status == SERVING
        tiny.terminate()
        code, _ = await tiny.ended()
        watch.cancel()
    assert code == 0
