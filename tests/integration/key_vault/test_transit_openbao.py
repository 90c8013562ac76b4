"""Sealing and opening with a real Vault."""

from __future__ import annotations

import asyncio
import json
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
    assert opened.materials == [SECRET, None, None, SECRET]


async def test_damaged_ciphertexts_fail_by_themselves(vault: VaultClient) -> None:
    good = await vault.seal(SECRET, b"c")
    texts = [good, good[:-4] + "AAAA", "vault:v9:" + good[9:], "vault:v1:", "rubbish", good]
    opened = await vault.open([Ciphertext(text=text, context=b"c") for text in texts])
    assert opened.materials == [SECRET, None, None, None, None, SECRET]


async def test_a_full_batch_of_the_largest_keys_is_opened(vault: VaultClient) -> None:
    largest = Secret(b"k" * 8192)
    ciphertext = await vault.seal(largest, b"c")
    opened = await vault.open([Ciphertext(text=ciphertext, context=b"c")] * MOST_TOGETHER)
    assert opened.materials == [largest] * MOST_TOGETHER


async def test_vaults_audit_log_has_an_opening_under_the_request_id_it_came_with(
    openbao: ThrowAwayVault, vault: VaultClient
) -> None:
    ciphertext = await vault.seal(SECRET, b"c")
    opened = [
        await vault.open([Ciphertext(text=ciphertext, context=context) for context in contexts])
        for contexts in ([b"c"], [b"c", b"other"])
    ]
    entries = [json.loads(line) for line in openbao.audit_log.read_text().splitlines()]
    paths = {entry["request"]["id"]: entry["request"]["path"] for entry in entries if entry["type"] == "response"}
    assert [paths.get(batch.request_id) for batch in opened] == ["transit/decrypt/provider-keys"] * 2
    assert opened[0].request_id != opened[1].request_id


async def test_a_new_version_of_the_sealing_key_seals_and_the_old_ciphertexts_follow(vault: VaultClient) -> None:
    before = await vault.sealing_version()
    old = [Ciphertext(text=await vault.seal(Secret(each), each), context=each) for each in (b"sk-1", b"sk-2")]
    assert await vault.rotate_sealing_key() == await vault.sealing_version() == before + 1
    assert (await vault.seal(SECRET, b"c")).startswith(f"vault:v{before + 1}:")
    assert (await vault.open(old)).materials == [Secret(b"sk-1"), Secret(b"sk-2")]
    moved = Ciphertext(text=old[0].text, context=b"another row")
    new = await vault.rewrap([*old, moved, Ciphertext(text="rubbish", context=b"c")])
    assert new[2:] == [None, None]
    rewrapped = [Ciphertext(text=text or "", context=each.context) for text, each in zip(new[:2], old, strict=True)]
    assert all(each.text.startswith(f"vault:v{before + 1}:") for each in rewrapped)
    assert (await vault.open(rewrapped)).materials == [Secret(b"sk-1"), Secret(b"sk-2")]


async def test_a_full_batch_of_the_largest_keys_is_rewrapped(vault: VaultClient) -> None:
    ciphertext = Ciphertext(text=await vault.seal(Secret(b"k" * 8192), b"c"), context=b"c")
    assert None not in await vault.rewrap([ciphertext] * MOST_TOGETHER)


async def test_what_was_signed_is_told_from_everything_else(vault: VaultClient) -> None:
    signature = await vault.sign(b"head of a chain")
    assert signature.startswith("vault:v1:")
    assert await vault.verify(b"head of a chain", signature)
    assert not await vault.verify(b"head of a chaim", signature)
    changed = signature[:-6] + ("A" if signature[-6] != "A" else "B") + signature[-5:]
    for other in (changed, "vault:v9:" + signature[9:], "vault:v1:", "vault:v0:AAAA", "rubbish", "", signature[9:]):
        assert not await vault.verify(b"head of a chain", other), other


async def test_a_missing_signing_key_is_told_from_a_bad_signature(openbao: ThrowAwayVault, vault: VaultClient) -> None:
    signature = await vault.sign(b"head")
    without = client_of(openbao, anchor_key="another")
    try:
        with pytest.raises(Unavailable) as caught:
            await without.verify(b"head", signature)
    finally:
        await without.close()
    assert caught.value.reason == "VAULT_DENIED"


async def test_each_identity_may_do_its_own_work_only(openbao: ThrowAwayVault, vault: VaultClient) -> None:
    ciphertext = await vault.seal(SECRET, b"c")
    swapped = client_of(openbao, swapped=True)
    try:
        with pytest.raises(Unavailable) as sealing:
            await swapped.seal(SECRET, b"c")
        with pytest.raises(Unavailable) as opening:
            await swapped.open([Ciphertext(text=ciphertext, context=b"c")])
        with pytest.raises(Unavailable) as rewrapping:
            await swapped.rewrap([Ciphertext(text=ciphertext, context=b"c")])
        with pytest.raises(Unavailable) as signing:
            await swapped.sign(b"head")
    finally:
        await swapped.close()
    reasons = [each.value.reason for each in (sealing, opening, rewrapping, signing)]
    assert reasons == ["VAULT_DENIED"] * 4


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
                    assert (await client.open([ciphertext])).materials == [SECRET]
                except Unavailable:
                    await asyncio.sleep(0.1)
                else:
                    break
        await client.ping()
    finally:
        await client.close()
        server.kill()
