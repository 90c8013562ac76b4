"""PostgreSQL stops and comes back under load: callers are told so, nobody is taken for a stranger, and it heals."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from gatehouse.keyvault.v1 import key_service_pb2 as pb

from libs.rpc.status import from_rpc_error
from tests.databases import PostgresServer
from tests.integration.key_vault.api.served_key_vault import CANARY, NAME, ServedKeyVault, served_key_vault
from tests.vault import ThrowAwayVault

CALLERS = 4
HEALED_WITHIN_S = 10.0


@pytest.fixture
def openbao(tmp_path: Path) -> Iterator[ThrowAwayVault]:
    vault = ThrowAwayVault(tmp_path / "openbao")
    try:
        vault.start()
        yield vault
    finally:
        vault.kill()


@pytest.fixture
def own_server() -> Iterator[PostgresServer]:
    """A server that this test alone uses: it is stopped in the middle."""
    server = PostgresServer()
    try:
        server.start()
        yield server
    finally:
        server.remove()


async def answer(served: ServedKeyVault) -> str:
    """What a read and an opening give: `ok`, or the reason why not."""
    try:
        await served.keys.GetKey(pb.GetKeyRequest(name=NAME), metadata=served.admin, timeout=20)
    except grpc.aio.AioRpcError as error:
        return from_rpc_error(error, service="key-vault").reason
    (opened,) = await served.open(served.item())
    return "ok" if opened == CANARY else opened


@pytest.mark.postgres
async def test_a_database_outage_is_told_as_such_and_heals_by_itself(
    tmp_path: Path, openbao: ThrowAwayVault, own_server: PostgresServer
) -> None:
    async with served_key_vault(tmp_path, openbao, own_server.create_database()) as served:
        await served.create()
        assert await answer(served) == "ok"
        answers: list[str] = []
        stop = asyncio.Event()

        async def call() -> None:
            while not stop.is_set():
                answers.append(await answer(served))
                await asyncio.sleep(0.02)

        callers = [asyncio.create_task(call()) for _ in range(CALLERS)]
        await asyncio.sleep(0.5)
        await asyncio.to_thread(own_server.stop, immediately=True)
        answers.clear()
        async with asyncio.timeout(30):
            while len(answers) < 2 * CALLERS:
                await asyncio.sleep(0.05)
        during = set(answers)
        await asyncio.to_thread(own_server.start)
        returned = time.monotonic()
        answers.clear()
        async with asyncio.timeout(HEALED_WITHIN_S):
            while "ok" not in answers:
                await asyncio.sleep(0.02)
        answers.clear()
        while len(answers) < 4 * CALLERS and time.monotonic() - returned < HEALED_WITHIN_S:
            await asyncio.sleep(0.02)
        stop.set()
        await asyncio.gather(*callers)
    assert during == {"DATABASE_UNAVAILABLE"}
    assert set(answers) == {"ok"}
