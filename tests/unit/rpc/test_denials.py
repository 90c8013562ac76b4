"""A denial is recorded before it is answered, and whatever goes wrong with that stays inside."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import Iterator

import pytest

from libs.identity.caller import Caller, Role
from libs.rpc.context import RequestContext
from libs.rpc.denials import Denial, record
from libs.telemetry.telemetry import configure

CALLER = Caller(tenant="acme", user="ann", roles=frozenset({Role.MEMBER}))
METHOD = "/gatehouse.keyvault.v1.KeyService/DeleteKey"
CANARY = "sk-canary-0123456789abcdefghijklmnop"


def call(*, remaining_s: float = 10.0) -> RequestContext:
    now = time.monotonic()
    return RequestContext(
        method=METHOD,
        request_id="req-1",
        peer="ipv4:192.0.2.7:4711",
        metadata={},
        arrived=now,
        deadline=now + remaining_s,
        established=CALLER,
    )


@pytest.fixture
def log() -> Iterator[io.BytesIO]:
    stream = io.BytesIO()
    telemetry = configure("test", stream=stream)
    yield stream
    telemetry.restore_logs()


async def recorded(resource: str | None) -> Denial:
    denials: list[Denial] = []

    async def hook(denial: Denial) -> None:
        denials.append(denial)

    await record(hook, call(), resource=resource, reason="PERMISSION_DENIED")
    (denial,) = denials
    return denial


async def test_a_denial_says_who_wanted_what_from_where() -> None:
    assert await recorded("tenants/rival/keys/x") == Denial(
        caller=CALLER,
        method=METHOD,
        resource="tenants/rival/keys/x",
        reason="PERMISSION_DENIED",
        address="192.0.2.7",
        request_id="req-1",
    )


@pytest.mark.parametrize("sent", [None, "", "tenants/acme/../rival", f"tenants/acme/keys/{CANARY} ", "x" * 10_000_000])
async def test_what_is_no_resource_name_is_not_kept(sent: str | None) -> None:
    assert (await recorded(sent)).resource is None


async def broken(_: Denial) -> None:
    raise ConnectionError(f"cannot write {CANARY}")


async def silent(_: Denial) -> None:
    await asyncio.sleep(60)


async def cancelled_inside(_: Denial) -> None:
    # As when a pool that serves others too is being closed.
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    future.cancel()
    await future


@pytest.mark.parametrize("hook", [broken, silent, cancelled_inside])
async def test_a_hook_that_fails_changes_nothing_and_the_log_has_the_denial(hook: object, log: io.BytesIO) -> None:
    await record(hook, call(remaining_s=0.2), resource="tenants/rival/keys/x", reason="PERMISSION_DENIED")  # type: ignore[arg-type]
    text = log.getvalue().decode()
    assert '"event":"denial_unrecorded"' in text
    for part in ("tenants/acme/users/ann", METHOD, "tenants/rival/keys/x", "PERMISSION_DENIED", "192.0.2.7", "req-1"):
        assert f'"{part}"' in text
    assert CANARY not in text


async def test_a_silent_hook_leaves_time_to_answer(log: io.BytesIO) -> None:
    info = call(remaining_s=1.0)
    await record(silent, info, resource=None, reason="PERMISSION_DENIED")
    assert info.remaining_s() > 0


async def test_a_call_that_is_cancelled_meanwhile_is_cancelled() -> None:
    task = asyncio.create_task(record(silent, call(), resource=None, reason="PERMISSION_DENIED"))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
