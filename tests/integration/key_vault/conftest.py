"""Vaults for key_vault: a real OpenBao for the whole session, and one that answers whatever a test wants."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from deploy.local.openbao import READER, WRITER
from libs.core.clock import Clock, SystemClock
from services.key_vault.vault.client import VaultClient
from services.key_vault.vault.connection import AppRoleFiles, Credentials, VaultAddress
from services.key_vault.vault.session import VaultSession
from services.key_vault.vault.token import SharedToken
from tests.integration.key_vault.fake_vault import FakeVault
from tests.unit.key_vault.memory import HandClock
from tests.vault import RootedVault, ThrowAwayVault

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
def rooted(tmp_path: Path) -> Iterator[RootedVault]:
    """A real Vault that was started and nothing more."""
    vault = RootedVault(tmp_path / "rooted")
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

        def make(
            url: str,
            *,
            timeout_s: float = 4.0,
            clock: Clock | None = None,
            writer: Credentials | None = None,
            reader: Credentials | None = None,
            **changes: Any,
        ) -> VaultClient:
            client = VaultClient(
                VaultAddress(url=url, **({"ca_file": tmp_path / "no-ca.pem"} | changes)),
                writer=writer or approle(tmp_path, "writer"),
                reader=reader or approle(tmp_path, "reader"),
                timeout_s=timeout_s,
                clock=clock or SystemClock(),
            )
            stack.push_async_callback(client.close)
            return client

        yield make


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def token(clock: HandClock) -> SharedToken:
    """What the sessions of one identity share."""
    return SharedToken(clock)


@pytest.fixture
def session(fake_vault: FakeVault, tmp_path: Path, token: SharedToken) -> Iterator[VaultSession]:
    """What one thread has: with it, a test knows on which connection a call goes."""
    session = VaultSession(VaultAddress(url=fake_vault.address, ca_file=tmp_path), approle(tmp_path, "reader"), token)
    yield session
    session.close()


def approle(directory: Path, role: str) -> AppRoleFiles:
    """Credentials that only a fake takes: `<role>-role_id`, `<role>-secret_id`."""
    files = {part: directory / f"{role}.{part}" for part in ("role_id", "secret_id")}
    for part, file in files.items():
        file.write_text(f"{role}-{part}\n")
    return AppRoleFiles(role_id=files["role_id"], secret_id=files["secret_id"])


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


@pytest.fixture
async def rooted_client(rooted: RootedVault, connect: Connect) -> VaultClient:
    """A client of the real Vault that a test rules; its credentials appear when that is initialised."""
    writer, reader = (rooted.credentials(role) for role in (WRITER, READER))
    return connect(
        rooted.address,
        ca_file=rooted.layout.ca_certificate,
        writer=AppRoleFiles(role_id=writer[0], secret_id=writer[1]),
        reader=AppRoleFiles(role_id=reader[0], secret_id=reader[1]),
    )
