"""What is known of keys without opening them, on every kind of store."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from libs.core.resource_names import KeyName
from services.key_vault.domain.check_keys import KeyCheck, KeyCheckResult, KeyUsability, check_keys
from services.key_vault.domain.key import Condition, KeyOutline, KeyState, KeyStatus, VaultSecretRef
from services.key_vault.domain.ports import KeyStore
from tests.integration.key_vault.storage.stored_keys import BOBS, NAME, NOW, OTHERS, add, key, rotate, version

ORIGIN = "https://api.openai.com:443"


async def outlines(store: KeyStore, *names: KeyName) -> Mapping[KeyName, KeyOutline]:
    return await store.read(lambda transaction: transaction.keys.outlines(set(names)))


async def checked(store: KeyStore, name: KeyName = NAME, origin: str | None = ORIGIN) -> KeyCheckResult:
    checks = [KeyCheck(name=name, origin=origin)]
    return (await store.read(lambda transaction: check_keys(transaction, checks)))[0]


async def test_those_that_exist_are_found_each_with_its_own(store: KeyStore) -> None:
    disabled = key(BOBS, state=KeyState.DISABLED, origin="http://localhost:11434")
    await add(store, key(), disabled)
    assert await outlines(store, NAME, BOBS, OTHERS) == {
        NAME: KeyOutline(state=KeyState.ACTIVE, origin=ORIGIN, has_material=True, condition=Condition.UNKNOWN),
        BOBS: KeyOutline(
            state=KeyState.DISABLED, origin="http://localhost:11434", has_material=True, condition=Condition.UNKNOWN
        ),
    }
    assert await outlines(store, OTHERS) == {}


async def test_a_rotated_key_is_one_key(store: KeyStore) -> None:
    first = key()
    await add(store, first)
    await rotate(store, first)
    assert list(await outlines(store, NAME)) == [NAME]


async def test_a_key_in_the_operators_vault_has_material(store: KeyStore) -> None:
    there = key(versions=(version(1, vault_secret=VaultSecretRef("openai-prod")),))
    await store.write(lambda transaction: transaction.keys.add(there, ""))
    assert (await checked(store)).usability is KeyUsability.USABLE


async def test_a_key_without_material_has_no_version_to_open(store: KeyStore) -> None:
    await store.write(lambda transaction: transaction.keys.add(key(), ""))
    assert await checked(store) == KeyCheckResult(usability=KeyUsability.NO_VERSION, origin=ORIGIN)


@pytest.mark.parametrize(
    ("condition", "refused"),
    [
        (Condition.UNKNOWN, False),
        (Condition.WORKING, False),
        (Condition.REJECTED, True),
        (Condition.EXHAUSTED, True),
    ],
)
async def test_what_the_provider_said_last_is_told(store: KeyStore, condition: Condition, refused: bool) -> None:
    stored = key()
    await add(store, stored)
    status = KeyStatus(condition=condition, condition_time=NOW)
    await store.write(lambda transaction: transaction.statuses.put({stored.uid: status}))
    assert await checked(store) == KeyCheckResult(
        usability=KeyUsability.USABLE, origin=ORIGIN, refused_by_provider=refused
    )


async def test_a_key_is_missing_disabled_or_of_another_origin(store: KeyStore) -> None:
    await add(store, key(), key(BOBS, state=KeyState.DISABLED))
    assert await checked(store, OTHERS) == KeyCheckResult(usability=KeyUsability.MISSING)
    assert (await checked(store, BOBS)).usability is KeyUsability.DISABLED
    elsewhere = "https://evil.example.com:443"
    assert await checked(store, NAME, elsewhere) == KeyCheckResult(
        usability=KeyUsability.ORIGIN_MISMATCH, origin=ORIGIN
    )
    assert (await checked(store, BOBS, elsewhere)).usability is KeyUsability.ORIGIN_MISMATCH
    assert (await checked(store, NAME, None)).usability is KeyUsability.USABLE
