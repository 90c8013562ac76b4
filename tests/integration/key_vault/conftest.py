"""Vaults for key_vault: a real OpenBao for the whole session, and one that answers whatever a test wants."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from libs.core.clock import Clock, SystemClock
from services.key_vault.vault.client import VaultClient
from services.key_vault.vault.connection import AppRoleFiles, VaultAddress
from tests.integration.key_vault.fake_vault import FakeVault
from tests.vault import ThrowAwayVault

Connect = Callable[..., VaultClient]


@pytest.fixture(scope="session")
def openbao(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ThrowAwayVault]:
    """A real Vault, shared; tests that stop it make their own."""
    vault = ThrowAwayVault(tmp_path_factory.mktemp("openbao"))
    try:
        vault.start()
        yield vault
    finally:
        vault.kill()


@pytest.fixture
def fake_vault() -> Iterator[FakeVault]:
    fake = FakeVault()
    yield fake
    fake.stop()


@pytest.fixture
async def connect(tmp_path: Path) -> AsyncIterator[Connect]:
    """Makes clients of a Vault at an address, with credentials of no worth unless told; closes them."""
    async with AsyncExitStack() as stack:

        def make(url: str, *, timeout_s: float = 4.0, clock: Clock | None = None, **changes: Any) -> VaultClient:
            files = {}
            for role in ("writer", "reader"):
                for part in ("role_id", "secret_id"):
                    files[role, part] = tmp_path / f"{role}.{part}"
                    files[role, part].write_text(f"{role}-{part}\n")
            client = VaultClient(
                VaultAddress(url=url, **({"ca_file": tmp_path / "no-ca.pem"} | changes)),
                writer=AppRoleFiles(role_id=files["writer", "role_id"], secret_id=files["writer", "secret_id"]),
                reader=AppRoleFiles(role_id=files["reader", "role_id"], secret_id=files["reader", "secret_id"]),
                timeout_s=timeout_s,
                clock=clock or SystemClock(),
            )
            stack.push_async_callback(client.close)
            return client

        yield make


def client_of(vault: ThrowAwayVault, *, swapped: bool = False, **changes: Any) -> VaultClient:
    """A client with the credentials of a real Vault; `swapped`: each identity does the other's work.

    `changes` are those of the VaultAddress.
    """
    writer, reader = vault.writer_files, vault.reader_files
    if swapped:
        writer, reader = reader, writer
    return VaultClient(
        VaultAddress(url=vault.bao.address, ca_file=vault.layout.ca_certificate, **changes),
        writer=AppRoleFiles(role_id=writer[0], secret_id=writer[1]),
        reader=AppRoleFiles(role_id=reader[0], secret_id=reader[1]),
        timeout_s=4.0,
        clock=SystemClock(),
    )


@pytest.fixture
async def vault(openbao: ThrowAwayVault) -> AsyncIterator[VaultClient]:
    """A client of the real Vault."""
    client = client_of(openbao)
    yield client
    await client.close()
