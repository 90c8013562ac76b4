"""Any process killed with -9: the launcher starts it again, calls work again within five seconds, nothing is lost."""

import asyncio
import contextlib
import signal
import time

import pytest
from gatehouse import AsyncClient, GatehouseError

from libs.sandbox.bill import key_fingerprint
from tests.local_stack import PROCESSES, LocalStack

BACK_WITHIN_S = 5.0


async def keep_calling(client: AsyncClient, served: set[str]) -> None:
    """Call over and over; the ids of the calls that were answered go into `served`."""
    while True:
        with contextlib.suppress(GatehouseError):
            served.add((await client.generate("Is anybody there?", timeout=5)).outcome.operation_id)
        # What is restarted needs the processor too.
        await asyncio.sleep(0.05)


async def first_answer(client: AsyncClient) -> str:
    while True:
        with contextlib.suppress(GatehouseError):
            return (await client.generate("Hello again?", timeout=2)).outcome.operation_id
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("process", PROCESSES)
async def test_calls_work_again_within_five_seconds_of_a_kill(stack: LocalStack, process: str) -> None:
    tenant, material = f"killed-{process.replace('_', '-')}", f"sk-sandbox-killed-{process}"
    async with stack.client(tenant=tenant) as client:
        revision = await stack.give_provider(client, tenant, material)
        await client.generate("Warm-up", revision=revision)
        served: set[str] = set()
        callers = [asyncio.create_task(keep_calling(client, served)) for _ in range(4)]
        try:
            await asyncio.sleep(0.3)
            before = stack.pids()[process]
            stack.signal(process, signal.SIGKILL)
            async with asyncio.timeout(BACK_WITHIN_S * stack.slowness):
                while stack.pids().get(process) in (before, None):
                    await asyncio.sleep(0.01)
                served.add(await first_answer(client))
        finally:
            for caller in callers:
                caller.cancel()
            await asyncio.gather(*callers, return_exceptions=True)
    accepted = {line.call for line in stack.bill(key_fingerprint=key_fingerprint(material)) if line.event == "accepted"}
    answered = {call for call in accepted if call and call.split("/")[0] in served}
    assert len(answered) >= len(served) > 0, "every answered call was charged"
    deadline = time.monotonic() + 10 * stack.slowness
    while True:
        recorded = [f"{record.operation_id}/{record.attempt}" for record in await stack.records(tenant)]
        missing = answered - set(recorded)
        if not missing or time.monotonic() > deadline:
            break
        await asyncio.sleep(0.1)
    assert not missing, "every answered call is in the ledger"
    assert len(recorded) == len(set(recorded)), "none is there twice"
