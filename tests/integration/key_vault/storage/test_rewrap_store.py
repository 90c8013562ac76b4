"""What re-wrapping needs of the store: SQLite, PostgreSQL and the stand-in of the unit tests behave alike."""

from __future__ import annotations

from dataclasses import replace

from services.key_vault.domain.key import Key, VaultSecretRef
from services.key_vault.domain.ports import KeyStore, WrappedVersion
from services.key_vault.domain.rewrap_run import RewrapRun
from tests.integration.key_vault.storage.stored_keys import BOBS, HOUR, NAME, NOW, add, key, rotated, version

RUN = RewrapRun(uid="run", sealing_key_version=3, total=7, remaining=5, failed=1, start_time=NOW)


def wrapped(key: Key, number: int, ciphertext: str) -> WrappedVersion:
    return WrappedVersion(owner=key.name.owner, key_uid=key.uid, version=number, ciphertext=ciphertext)


async def below(
    store: KeyStore, sealing_key_version: int, after: tuple[str, int] | None = None, limit: int = 9
) -> list[WrappedVersion]:
    found = await store.read(
        lambda transaction: transaction.keys.wrapped_below(sealing_key_version, after=after, limit=limit)
    )
    everything = await store.read(lambda transaction: transaction.keys.count_wrapped_below(sealing_key_version))
    if after is None and limit > len(found):
        assert everything == len(found)
    return list(found)


async def test_versions_sealed_with_an_older_key_come_by_uid_and_number(store: KeyStore) -> None:
    first, second, referring = key(uid="a"), key(BOBS, uid="b"), key("platform/keys/x", uid="c")
    referring = replace(referring, versions=(version(1, vault_secret=VaultSecretRef("team-a")),))
    after = rotated(second)
    await add(store, first, second)
    await store.write(lambda transaction: transaction.keys.add_version(after, "vault:v12:new"))
    await store.write(lambda transaction: transaction.keys.add(referring, ""))
    old = [wrapped(first, 1, "vault:v1:a/1"), wrapped(second, 1, "vault:v1:b/1")]
    assert await below(store, 1) == []
    assert await below(store, 2) == old
    assert await below(store, 12) == old
    assert await below(store, 13) == [*old, wrapped(second, 2, "vault:v12:new")]
    assert await below(store, 13, limit=2) == old
    assert await below(store, 13, after=("b", 1)) == [wrapped(second, 2, "vault:v12:new")]
    assert await below(store, 13, after=("", 0), limit=1) == old[:1]


async def test_a_destroyed_version_has_nothing_to_wrap(store: KeyStore) -> None:
    await add(store, key(uid="a"))
    after = rotated(key(uid="a"))
    await store.write(lambda transaction: transaction.keys.add_version(after, "vault:v1:new"))
    assert len(await below(store, 2)) == 2
    destroyed = after.version_destroyed(1, now=NOW + HOUR)
    await store.write(lambda transaction: transaction.keys.put(destroyed))
    assert await below(store, 2) == [wrapped(after, 2, "vault:v1:new")]


async def test_a_ciphertext_is_replaced_and_counts_as_sealed_anew(store: KeyStore) -> None:
    await add(store, key(uid="a"), key(BOBS, uid="b"))
    [first, second] = await below(store, 2)
    await store.write(lambda transaction: transaction.keys.replace_ciphertext(first, "vault:v2:x"))
    assert await below(store, 2) == [second]
    assert await below(store, 3) == [replace(first, ciphertext="vault:v2:x"), second]
    row = (await store.read(lambda transaction: transaction.keys.sealed({NAME})))[NAME]
    assert row.ciphertext == "vault:v2:x"


async def test_a_ciphertext_that_is_not_the_one_any_more_stays(store: KeyStore) -> None:
    await add(store, key(uid="a"))
    [found] = await below(store, 2)
    after = rotated(key(uid="a")).version_destroyed(1, now=NOW + HOUR)
    await store.write(lambda transaction: transaction.keys.replace_ciphertext(found, "vault:v2:x"))
    await store.write(lambda transaction: transaction.keys.replace_ciphertext(found, "vault:v2:late"))
    assert await below(store, 3) == [replace(found, ciphertext="vault:v2:x")]
    await store.write(lambda transaction: transaction.keys.add_version(after, "vault:v2:y"))
    await store.write(
        lambda transaction: transaction.keys.replace_ciphertext(replace(found, ciphertext="vault:v2:x"), "vault:v3:z")
    )
    assert await below(store, 9) == [wrapped(after, 2, "vault:v2:y")]


async def test_the_last_run_is_the_one_that_was_put_last(store: KeyStore) -> None:
    async def last() -> RewrapRun | None:
        return await store.read(lambda transaction: transaction.rewraps.get())

    assert await last() is None
    await store.write(lambda transaction: transaction.rewraps.put(RUN))
    assert await last() == RUN
    after = replace(RUN, uid="next", end_time=NOW + HOUR, after_uid="a", after_version=4, remaining=0)
    await store.write(lambda transaction: transaction.rewraps.put(after))
    assert await last() == after
