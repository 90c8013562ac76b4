"""Bringing all keys to a new version of Vault's sealing key, while they are being used."""

from __future__ import annotations

import asyncio
from pathlib import Path

from gatehouse.keyvault.v1 import key_maintenance_service_pb2 as pb
from gatehouse.keyvault.v1 import key_service_pb2 as key_pb
from google.protobuf.duration_pb2 import Duration
from sqlalchemy import create_engine, text

from tests.integration.key_vault.api.served_key_vault import (
    OTHER_CANARY,
    ServedKeyVault,
    error_of,
    served_key_vault,
)
from tests.vault import ThrowAwayVault

KEYS = 250


def prefixes(database_url: str) -> set[str]:
    """The beginnings (`vault:vN`) of all ciphertexts."""
    engine = create_engine(database_url.replace("postgresql://", "postgresql+psycopg://"))
    try:
        with engine.begin() as connection:
            found = connection.scalars(text("SELECT ciphertext FROM key_versions WHERE ciphertext <> ''")).all()
    finally:
        engine.dispose()
    return {ciphertext.rpartition(":")[0] for ciphertext in found}


async def finished(served: ServedKeyVault) -> pb.RewrapProgress:
    async with asyncio.timeout(60):
        while True:
            response = await served.maintenance.GetRewrapProgress(
                pb.GetRewrapProgressRequest(), metadata=served.operator
            )
            if response.progress.HasField("end_time"):
                progress: pb.RewrapProgress = response.progress
                return progress
            await asyncio.sleep(0.05)


async def test_all_keys_move_to_a_new_sealing_key_while_every_call_is_served(served: ServedKeyVault) -> None:
    await asyncio.gather(*(served.create(f"k{number}") for number in range(KEYS)))
    rotate = key_pb.RotateKeyRequest(
        name="tenants/acme/keys/k0", api_key=OTHER_CANARY.encode(), overlap=Duration(seconds=600)
    )
    await served.keys.RotateKey(rotate, metadata=served.admin)
    (before,) = prefixes(served.settings.database_url)
    done = asyncio.Event()
    failures: list[str] = []

    async def call(number: int) -> None:
        name = f"tenants/acme/keys/k{number % KEYS}"
        while not done.is_set():
            opened = await served.open(served.item(name))
            failures.extend(each for each in opened if not each.startswith("sk-"))
            number += 1

    calls = [asyncio.create_task(call(number * 31)) for number in range(4)]
    request = pb.RewrapKeysRequest(rotate_sealing_key=True)
    begun = (await served.maintenance.RewrapKeys(request, metadata=served.operator)).progress
    assert (begun.total_count, begun.failed_count) == (KEYS + 1, 0)
    progress = await finished(served)
    done.set()
    await asyncio.gather(*calls)
    assert failures == []
    assert (progress.remaining_count, progress.failed_count) == (0, 0)
    assert prefixes(served.settings.database_url) == {f"vault:v{begun.sealing_key_version}"} != {before}
    assert await served.open(served.item("tenants/acme/keys/k0", version=1)) != ["KEY_UNREADABLE"]


async def test_a_run_that_broke_off_goes_on_after_a_restart(
    tmp_path: Path, openbao: ThrowAwayVault, database_url: str
) -> None:
    async with served_key_vault(tmp_path, openbao, database_url) as served:
        await asyncio.gather(*(served.create(f"k{number}") for number in range(KEYS)))
        request = pb.RewrapKeysRequest(rotate_sealing_key=True)
        begun = (await served.maintenance.RewrapKeys(request, metadata=served.operator)).progress
        again = (await served.maintenance.RewrapKeys(request, metadata=served.operator)).progress
        assert again.sealing_key_version == begun.sealing_key_version
    async with served_key_vault(tmp_path, openbao, database_url) as served:
        progress = await finished(served)
        assert (progress.sealing_key_version, progress.remaining_count) == (begun.sealing_key_version, 0)
    assert prefixes(database_url) == {f"vault:v{begun.sealing_key_version}"}


async def test_only_operators_rewrap(world: ServedKeyVault) -> None:
    for method, request in (
        (world.maintenance.RewrapKeys, pb.RewrapKeysRequest()),
        (world.maintenance.GetRewrapProgress, pb.GetRewrapProgressRequest()),
    ):
        assert (await error_of(method(request, metadata=world.admin))).reason == "PERMISSION_DENIED"
    response = await world.maintenance.GetRewrapProgress(pb.GetRewrapProgressRequest(), metadata=world.operator)
    assert not response.HasField("progress")
