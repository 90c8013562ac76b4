"""The port `Keys`: SQLite, PostgreSQL and the stand-in of the unit tests behave alike."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy import text

from libs.core.errors import AlreadyExists, InvalidArgument
from libs.core.resource_names import KeyName, Owner
from libs.storage.database import Database
from libs.storage.migrations import upgrade
from services.key_vault.domain.key import Condition, Key, KeyState, KeyStatus, SealedKey, VaultSecretRef
from services.key_vault.domain.ports import KeyAnswer, KeyFilter, KeyStore, KeyTransaction, Request
from services.key_vault.storage.store import MIGRATIONS, SqlKeyStore
from tests.integration.key_vault.storage.stored_keys import (
    BOBS,
    HOUR,
    NAME,
    NOW,
    OTHERS,
    PLATFORMS,
    add,
    ciphertext_of,
    get,
    key,
    rotate,
    rotated,
    version,
)
from tests.unit.key_vault.memory import SEAL

ANY = KeyFilter()


async def put(store: KeyStore, changed: Key) -> Key:
    await store.write(lambda transaction: transaction.keys.put(changed))
    return changed


async def sealed(store: KeyStore, *names: KeyName) -> dict[KeyName, SealedKey]:
    return dict(await store.read(lambda transaction: transaction.keys.sealed(set(names))))


async def ciphertexts(store: KeyStore, name: KeyName = NAME) -> dict[int, str]:
    wanted = {(name, number) for number in range(1, 30)}
    found = await store.read(lambda transaction: transaction.keys.sealed_versions(wanted))
    return {number: row.ciphertext for (_, number), row in found.items()}


async def page(
    store: KeyStore,
    owner: Owner,
    wanted: KeyFilter = ANY,
    after: tuple[str, str] | None = None,
    limit: int = 100,
) -> list[str]:
    found = await store.read(lambda transaction: transaction.keys.page(owner, wanted, after=after, limit=limit))
    return [str(each.name) for each in found]


async def test_a_stored_key_is_read_as_it_was(store: KeyStore) -> None:
    await add(store, key(), key(PLATFORMS), key(BOBS))
    assert await get(store) == key()
    assert await get(store, PLATFORMS) == key(PLATFORMS)
    assert await get(store, BOBS) == key(BOBS)
    assert await get(store, KeyName(Owner("x"), "openai")) is None


async def test_a_key_in_the_operators_vault_keeps_its_reference(store: KeyStore) -> None:
    referring = key(versions=(version(1, vault_secret=VaultSecretRef("team-a", 7)),))
    await store.write(lambda transaction: transaction.keys.add(referring, ""))
    assert await get(store) == referring
    row = (await sealed(store, NAME))[NAME]
    assert (row.ciphertext, row.vault_secret) == ("", VaultSecretRef("team-a", 7))


async def test_a_name_is_taken_once(store: KeyStore) -> None:
    await add(store, key())
    with pytest.raises(AlreadyExists, match="exists already"):
        await add(store, key(uid="another"))
    await add(store, key(BOBS), key(OTHERS))


async def test_pages_hold_exactly_one_owners_keys_by_id(store: KeyStore) -> None:
    ids = ["a", "a-b", "a.b", "a_b", "ab", "b", "0"]
    await add(store, *(key(f"tenants/acme/keys/{each}") for each in ids))
    await add(store, key(BOBS), key("tenants/acme2/keys/d"), key(PLATFORMS))
    acme = Owner("acme")
    names = [f"tenants/acme/keys/{each}" for each in sorted(ids)]
    assert await page(store, acme) == names
    assert await page(store, acme, limit=3) == names[:3]
    assert await page(store, acme, after=("", "a.b")) == names[names.index("tenants/acme/keys/a.b") + 1 :]
    assert await page(store, acme, after=("", "b")) == []
    assert await page(store, Owner("acme", "bob")) == [str(BOBS)]
    assert await page(store, Owner()) == [str(PLATFORMS)]


async def test_a_tenants_pages_with_its_users_go_on_by_user_and_id(store: KeyStore) -> None:
    names = [f"tenants/acme/{each}" for each in ("keys/b", "users/al/keys/z", "users/bob/keys/a", "users/bob/keys/b")]
    await add(store, *map(key, reversed(names)), key("tenants/acme2/users/al/keys/a"), key(PLATFORMS))
    wanted = KeyFilter(include_users=True)
    assert await page(store, Owner("acme"), wanted) == names
    assert await page(store, Owner("acme"), wanted, after=("", "b"), limit=2) == names[1:3]
    assert await page(store, Owner("acme"), wanted, after=("bob", "a")) == names[3:]
    assert await page(store, Owner("acme", "bob"), wanted) == names[2:]
    assert await page(store, Owner(), wanted) == [str(PLATFORMS)]


async def test_pages_can_be_narrowed(store: KeyStore) -> None:
    names = [f"tenants/acme/keys/{each}" for each in "abcd"]
    a, b, c, d = map(key, names)
    await add(store, a, replace(b, provider_type="gemini"), c, d)
    await put(store, replace(c, state=KeyState.DISABLED))
    await put(store, replace(d, status=KeyStatus(condition=Condition.REJECTED)))
    for wanted, expected in (
        (KeyFilter(provider_type="gemini"), "b"),
        (KeyFilter(provider_type="openai"), "acd"),
        (KeyFilter(state=KeyState.DISABLED), "c"),
        (KeyFilter(state=KeyState.ACTIVE), "abd"),
        (KeyFilter(condition=Condition.REJECTED), "d"),
        (KeyFilter(condition=Condition.UNKNOWN), "abc"),
        (KeyFilter(condition=Condition.UNKNOWN, state=KeyState.ACTIVE, provider_type="openai"), "a"),
        (KeyFilter(condition=Condition.WORKING), ""),
    ):
        found = await page(store, Owner("acme"), wanted)
        assert "".join(name[-1] for name in found) == expected, wanted


async def test_a_page_holds_whole_keys(store: KeyStore) -> None:
    await add(store, key())
    changed = await put(store, replace(await rotate(store, key()), status=KeyStatus(last_use_time=NOW)))
    found = await store.read(lambda transaction: transaction.keys.page(Owner("acme"), ANY, after=None, limit=9))
    assert found == [changed]


async def test_a_batch_is_found_in_one_go_and_what_is_missing_left_out(store: KeyStore) -> None:
    others = [key(f"tenants/acme/keys/k{number}") for number in range(300)]
    await add(store, key(), *others)
    missing = KeyName.parse("tenants/acme/keys/missing")
    names = {NAME, missing, *(each.name for each in others[:255])}
    found = await sealed(store, *names)
    assert set(found) == names - {missing}
    assert found[NAME] == SealedKey(
        name=NAME,
        uid=key().uid,
        state=KeyState.ACTIVE,
        origin=key().origin,
        version=1,
        is_current=True,
        usable_until=None,
        overlaps=False,
        ciphertext=ciphertext_of(key()),
    )
    assert await sealed(store) == {}


async def test_a_row_is_found_in_whatever_state(store: KeyStore) -> None:
    await add(store, key())
    await put(store, replace(key(), state=KeyState.DISABLED))
    assert (await sealed(store, NAME))[NAME].state is KeyState.DISABLED


async def test_a_new_version_is_the_one_that_is_found_and_names_the_one_it_replaced(store: KeyStore) -> None:
    await add(store, key())
    after = await rotate(store, key(), overlap=3 * HOUR)
    assert await get(store) == after
    row = (await sealed(store, NAME))[NAME]
    assert (row.version, row.ciphertext, row.is_current) == (2, ciphertext_of(after), True)
    assert (row.fallback_version, row.fallback_until) == (1, NOW + 4 * HOUR)
    assert await ciphertexts(store) == {1: ciphertext_of(key()), 2: ciphertext_of(after)}


async def test_a_version_is_found_by_its_number_as_it_stands(store: KeyStore) -> None:
    await add(store, key(), key(BOBS))
    await rotate(store, key(), overlap=3 * HOUR)
    wanted = {(NAME, 1), (NAME, 2), (NAME, 3), (BOBS, 1), (BOBS, 2), (OTHERS, 1)}
    found = await store.read(lambda transaction: transaction.keys.sealed_versions(wanted))
    assert {place: (row.is_current, row.usable_until) for place, row in found.items()} == {
        (NAME, 1): (False, NOW + 4 * HOUR),
        (NAME, 2): (True, None),
        (BOBS, 1): (True, None),
    }
    assert await store.read(lambda transaction: transaction.keys.sealed_versions({(NAME, 1)})) == {
        (NAME, 1): found[NAME, 1]
    }


async def test_the_fallback_follows_every_change(store: KeyStore) -> None:
    await add(store, key())
    second = await rotate(store, key(), overlap=3 * HOUR)
    third = await rotate(store, second, overlap=HOUR)

    async def fallback() -> tuple[int, datetime | None]:
        row = (await sealed(store, NAME))[NAME]
        return row.fallback_version, row.fallback_until

    assert await fallback() == (1, NOW + 4 * HOUR)
    later = NOW + timedelta(days=1)
    destroyed = await put(store, third.version_destroyed(1, now=later))
    assert await fallback() == (2, NOW + 3 * HOUR)
    back = await put(store, destroyed.rolled_back(2, now=later))
    # What was rolled away from retires at once.
    assert await fallback() == (0, None)
    await put(store, back.version_destroyed(3, now=later))
    assert await fallback() == (0, None)


async def test_rolling_back_puts_the_old_ciphertext_in_use(store: KeyStore) -> None:
    await add(store, key())
    back = await put(store, (await rotate(store, key())).rolled_back(1, now=NOW + 5 * HOUR))
    assert await get(store) == back
    row = (await sealed(store, NAME))[NAME]
    assert (row.version, row.ciphertext, row.usable_until) == (1, ciphertext_of(key()), None)


async def test_a_destroyed_version_stays_as_a_memory_without_its_ciphertext(store: KeyStore) -> None:
    await add(store, key())
    after = (await rotate(store, key())).version_destroyed(1, now=NOW + 5 * HOUR)
    await put(store, after)
    assert await get(store) == after
    assert list(await ciphertexts(store)) == [2]


async def test_a_version_that_the_key_forgot_is_erased(store: KeyStore) -> None:
    await add(store, key())
    latest = key()
    for _ in range(11):
        latest = await rotate(store, latest)
    assert [each.number for each in latest.versions] == list(range(12, 1, -1))
    assert await get(store) == latest
    assert sorted(await ciphertexts(store)) == list(range(2, 13))


async def test_changing_one_key_leaves_the_others_alone(store: KeyStore) -> None:
    await add(store, key(), key(BOBS), key(OTHERS), key(PLATFORMS))
    bobs, others = await rotate(store, key(BOBS)), await rotate(store, key(OTHERS))
    await put(store, (await rotate(store, key())).version_destroyed(1, now=NOW + 5 * HOUR))
    # Of versions that this key does not have, others have some.
    await put(store, key(PLATFORMS).in_state(KeyState.DISABLED, now=NOW + HOUR))
    await store.write(lambda transaction: transaction.keys.remove(others))
    assert await get(store, BOBS) == bobs
    assert sorted(await ciphertexts(store, BOBS)) == [1, 2]
    assert sorted(await ciphertexts(store, NAME)) == [2]


async def test_no_ciphertext_survives_its_version_or_key(database_url: str) -> None:
    upgrade(database_url, MIGRATIONS)
    async with Database.open(database_url, name="key_vault") as database:
        store = SqlKeyStore(database, SEAL)

        async def stored() -> list[str]:
            query = text("SELECT ciphertext FROM key_versions ORDER BY version")
            return await database.read(lambda connection: list(connection.scalars(query)))

        await add(store, key())
        after = await rotate(store, key())
        assert await stored() == [ciphertext_of(key()), ciphertext_of(after)]
        await put(store, after.version_destroyed(1, now=NOW + 5 * HOUR))
        assert await stored() == ["", ciphertext_of(after)]
        await store.write(lambda transaction: transaction.keys.remove(after))
        assert await stored() == []


async def test_a_new_version_begins_with_the_status_it_is_given(store: KeyStore) -> None:
    await add(store, key())
    status = KeyStatus(condition=Condition.REJECTED, condition_time=NOW, last_use_time=NOW, last_rejection_time=NOW)
    used = await put(store, replace(key(), status=status))
    assert await get(store) == used
    after = await rotate(store, used)
    assert after.status == KeyStatus(last_use_time=NOW)
    assert await get(store) == after


async def test_a_removed_key_is_gone_and_its_name_free(store: KeyStore) -> None:
    await add(store, key())
    after = await put(store, replace(await rotate(store, key()), status=KeyStatus(last_use_time=NOW)))
    await store.write(lambda transaction: transaction.keys.remove(after))
    assert await get(store) is None
    assert await sealed(store, NAME) == {}
    assert await ciphertexts(store) == {}
    # Not even a key with the same uid would find anything.
    await add(store, key())
    assert await get(store) == key()
    assert await ciphertexts(store) == {1: ciphertext_of(key())}


async def test_the_same_material_is_found_within_one_tenant(store: KeyStore) -> None:
    second = KeyName.parse("tenants/acme/keys/second")
    await add(store, key(), key(second), key(BOBS), key(OTHERS), key(PLATFORMS))

    async def same(owner: Owner, fingerprint: str) -> set[KeyName]:
        return set(await store.read(lambda transaction: transaction.keys.with_fingerprint(owner, fingerprint)))

    first = version(1).fingerprint
    assert await same(Owner("acme"), first) == {NAME, second, BOBS}
    assert await same(Owner("acme", "bob"), first) == {NAME, second, BOBS}
    assert await same(Owner(), first) == {PLATFORMS}
    assert await same(Owner("initech"), first) == set()
    after = await rotate(store, key())
    assert await same(Owner("acme"), first) == {second, BOBS}
    assert await same(Owner("acme"), after.current.fingerprint) == {NAME}


async def test_what_retired_before_a_time_and_is_not_destroyed_is_found(store: KeyStore) -> None:
    await add(store, key(), key(BOBS), key(OTHERS), key(PLATFORMS))
    twice = await rotate(store, await rotate(store, key(), overlap=timedelta(0)))
    await rotate(store, key(BOBS), overlap=5 * HOUR)
    destroyed = await put(store, (await rotate(store, key(OTHERS))).version_destroyed(1, now=NOW + HOUR))

    async def retired(time: datetime, limit: int = 9) -> set[KeyName]:
        return set(await store.read(lambda transaction: transaction.keys.retired_before(time, limit=limit)))

    assert await retired(NOW + HOUR) == set()
    assert await retired(NOW + HOUR + timedelta(microseconds=1)) == {NAME}
    assert await retired(NOW + timedelta(days=9)) == {NAME, BOBS}
    assert len(await retired(NOW + timedelta(days=9), limit=1)) == 1
    assert (destroyed.current.usable_until, twice.current.usable_until) == (None, None)


async def test_an_exception_undoes_the_work(store: KeyStore) -> None:
    await add(store, key())
    request = Request(caller="acme/bob", method="RotateKey", request_id="r", digest=b"d" * 32)
    after = rotated(key())

    def work(transaction: KeyTransaction) -> None:
        transaction.keys.add_version(after, ciphertext_of(after))
        transaction.requests.remember(request, KeyAnswer(key=after), now=NOW)
        transaction.requests.recall(replace(request, digest=b"x" * 32), now=NOW)

    with pytest.raises(InvalidArgument):
        await store.write(work)
    assert await get(store) == key()
    assert sorted(await ciphertexts(store)) == [1]
    assert await store.read(lambda transaction: transaction.requests.recall(request, now=NOW)) is None
