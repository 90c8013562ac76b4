"""Sealing and opening with a real Vault."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from libs.core.errors import Unavailable
from libs.core.secret import Secret
from services.key_vault.domain.ports import Ciphertext
from services.key_vault.vault.client import MOST_TOGETHER, VaultClient
from tests.integration.key_vault.conftest import Connect, client_of
from tests.vault import ThrowAwayVault

SECRET = Secret(b"sk-canary-0123456789")


async def test_what_is_sealed_opens_in_its_context_and_in_no_other(vault: VaultClient) -> None:
    ciphertext = await vault.seal(SECRET, b"tenants/acme|uid|1")
    contexts = [b"tenants/acme|uid|1", b"tenants/acme|uid|2", b"tenants/globex|uid|1", b"tenants/acme|uid|1"]
    opened = await vault.open([Ciphertext(text=ciphertext, context=context) for context in contexts])
    assert opened == [SECRET, None, None, SECRET]


async def test_damaged_ciphertexts_fail_by_themselves(vault: VaultClient) -> None:
    good = await vault.seal(SECRET, b"c")
    texts = [good, good[:-4] + "AAAA", "vault:v9:" + good[9:], "vault:v1:", "rubbish", good]
    opened = await vault.open([Ciphertext(text=text, context=b"c") for text in texts])
    assert opened == [SECRET, None, None, None, None, SECRET]


async def test_a_full_batch_of_the_largest_keys_is_opened(vault: VaultClient) -> None:
    largest = Secret(b"k" * 8192)
    ciphertext = await vault.seal(largest, b"c")
    assert await vault.open([Ciphertext(text=ciphertext, context=b"c")] * MOST_TOGETHER) == [largest] * MOST_TOGETHER


async def test_each_identity_may_do_its_own_work_only(openbao: ThrowAwayVault, vault: VaultClient) -> None:
    ciphertext = await vault.seal(SECRET, b"c")
    swapped = client_of(openbao, swapped=True)
    try:
        with pytest.raises(Unavailable) as sealing:
            await swapped.seal(SECRET, b"c")
        with pytest.raises(Unavailable) as opening:
            await swapped.open([Ciphertext(text=ciphertext, context=b"c")])
    finally:
        await swapped.close()
    assert [sealing.value.reason, opening.value.reason] == ["VAULT_DENIED", "VAULT_DENIED"]


async def test_wrong_credentials_are_denied(openbao: ThrowAwayVault, connect: Connect) -> None:
    client = connect(openbao.bao.address, ca_file=openbao.layout.ca_certificate)
    with pytest.raises(Unavailable) as caught:
        await client.seal(SECRET, b"c")
    assert caught.value.reason == "VAULT_DENIED"


@pytest.mark.parametrize("changes", [{"transit_mount": "elsewhere"}, {"transit_key": "another"}])
async def test_a_mount_or_key_that_is_not_ours_is_denied(openbao: ThrowAwayVault, changes: dict[str, Any]) -> None:
    client = client_of(openbao, **changes)
    try:
        with pytest.raises(Unavailable) as caught:
            await client.seal(SECRET, b"c")
    finally:
        await client.close()
    assert caught.value.reason == "VAULT_DENIED"


async def test_a_vault_with_another_authority_gets_no_credentials(
    openbao: ThrowAwayVault, connect: Connect, tmp_path: Path
) -> None:
    stranger = ThrowAwayVault(tmp_path / "stranger")  # never started: only its authority is wanted
    client = connect(openbao.bao.address, ca_file=stranger.layout.ca_certificate)
    with pytest.raises(Unavailable) as caught:
        await client.seal(SECRET, b"c")
    assert caught.value.reason == "VAULT_UNREACHABLE"


async def test_readiness_needs_vault(vault: VaultClient) -> None:
    await vault.ping()


async def test_a_vault_that_was_killed_serves_again_once_it_is_back(tmp_path: Path) -> None:
    server = ThrowAwayVault(tmp_path)
    await asyncio.to_thread(server.start)
    client = client_of(server)
    try:
        ciphertext = Ciphertext(text=await client.seal(SECRET, b"c"), context=b"c")
        server.kill()
        with pytest.raises(Unavailable) as caught:
            await client.open([ciphertext])
        assert caught.value.reason == "VAULT_UNREACHABLE"
        with pytest.raises(Unavailable):
            await client.ping()
        await asyncio.to_thread(server.start)
        async with asyncio.timeout(10):
            while True:
                try:
                    assert await client.open([ciphertext]) == [SECRET]
                except Unavailable:
                    await asyncio.sleep(0.1)
                else:
                    break
        await client.ping()
    finally:
        await client.close()
        server.kill()
