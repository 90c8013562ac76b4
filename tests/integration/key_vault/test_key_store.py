"""The port `KeyStore`: SQLite, PostgreSQL and the stand-in of the unit tests behave alike."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select

from libs.core.errors import AlreadyExists, InvalidArgument
from libs.core.resource_names import KeyName, Owner
from libs.storage.database import Database
from libs.storage.migrations import differences, upgrade
from services.key_vault.domain.key import Key, KeyState, SealedKey
from services.key_vault.domain.ports import KeyStore, KeyTransaction, Request
from services.key_vault.storage.store import MIGRATIONS, SqlKeyStore
from services.key_vault.storage.tables import key_versions, metadata
from tests.unit.key_vault.memory import MemoryStore

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
NAME = KeyName.parse("tenants/acme/keys/openai")


def key(name: KeyName | str = NAME, **changes: object) -> Key:
    name = KeyName.parse(name) if isinstance(name, str) else name
    first = Key(
        name=name,
        uid=str(uuid.uuid5(uuid.NAMESPACE_URL, str(name))),
        revision=1,
        provider_type="openai",
        origin="https://api.openai.com:443",
        display_name="Für uns",
        labels={"env": "prod"},
        mask="…a1b2",
        fingerprint="0123456789abcdef",
        state=KeyState.ACTIVE,
        version=1,
        create_time=NOW,
        update_time=NOW,
    )
    return replace(first, **changes)  # type: ignore[arg-type]


ROTATED = key().rotated(mask="…zzzz", fingerprint="f" * 16, now=NOW + timedelta(hours=1))
REQUEST = Request(caller="acme/bob", method="CreateKey", request_id="r", digest=b"d" * 32)


@pytest.fixture(params=["memory", "sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[KeyStore]:
    if request.param == "memory":
        yield MemoryStore()
        return
    url = request.getfixturevalue(f"{request.param}_url")
    upgrade(url, MIGRATIONS)
    async with Database.open(url, name="key_vault") as database:
        yield SqlKeyStore(database)


async def add(store: KeyStore, *added: Key) -> None:
    def work(transaction: KeyTransaction) -> None:
        for each in added:
            transaction.keys.add(each, f"cipher of {each.name}")

    await store.write(work)


async def recalled(store: KeyStore, request: Request, now: datetime) -> Key | None:
    return await store.read(lambda transaction: transaction.requests.recall(request, now=now))


def test_the_migrated_schema_is_that_of_the_tables(database_url: str) -> None:
    upgrade(database_url, MIGRATIONS)
    assert differences(database_url, metadata) == []


async def test_a_stored_key_is_read_as_it_was(store: KeyStore) -> None:
    await add(store, key(), key("platform/keys/openai"), key("tenants/acme/users/bob/keys/openai"))
    assert await store.read(lambda transaction: transaction.keys.get(NAME)) == key()
    platform = KeyName.parse("platform/keys/openai")
    assert await store.read(lambda transaction: transaction.keys.get(platform)) == key(platform)
    assert await store.read(lambda transaction: transaction.keys.get(KeyName(Owner("x"), "openai"))) is None


async def test_a_name_is_taken_once(store: KeyStore) -> None:
    await add(store, key())
    with pytest.raises(AlreadyExists, match="exists already"):
        await add(store, key(uid="another"))
    await add(store, key("tenants/acme/users/bob/keys/openai"), key("tenants/globex/keys/openai", uid="g"))


async def test_pages_hold_exactly_one_owners_keys_by_id(store: KeyStore) -> None:
    ids = ["a", "a-b", "a.b", "a_b", "ab", "b", "0"]
    await add(store, *(key(f"tenants/acme/keys/{each}") for each in ids))
    await add(store, key("tenants/acme/users/bob/keys/c"), key("tenants/acme2/keys/d"), key("platform/keys/e"))

    async def page(after: str | None, limit: int) -> list[str]:
        found = await store.read(lambda transaction: transaction.keys.page(Owner("acme"), after=after, limit=limit))
        return [each.name.key for each in found]

    assert await page(None, 100) == sorted(ids)
    assert await page(None, 3) == sorted(ids)[:3]
    assert await page("a.b", 100) == [each for each in sorted(ids) if each > "a.b"]
    assert await page("b", 100) == []


async def test_a_batch_is_found_in_one_go_and_what_is_missing_left_out(store: KeyStore) -> None:
    others = [key(f"tenants/acme/keys/k{number}") for number in range(300)]
    await add(store, key(), *others)
    missing = KeyName.parse("tenants/acme/keys/missing")
    names = {NAME, missing, *(each.name for each in others[:255])}
    found = await store.read(lambda transaction: transaction.keys.sealed(names))
    assert set(found) == names - {missing}
    assert found[NAME] == SealedKey(
        name=NAME, uid=key().uid, version=1, origin=key().origin, ciphertext=f"cipher of {NAME}"
    )
    assert await store.read(lambda transaction: transaction.keys.sealed(set())) == {}


async def test_new_material_takes_the_place_of_the_old(store: KeyStore) -> None:
    await add(store, key())
    await store.write(lambda transaction: transaction.keys.replace_material(ROTATED, "new cipher"))
    assert await store.read(lambda transaction: transaction.keys.get(NAME)) == ROTATED
    found = await store.read(lambda transaction: transaction.keys.sealed({NAME}))
    assert (found[NAME].version, found[NAME].ciphertext) == (2, "new cipher")


async def test_a_removed_key_is_gone_and_its_name_free(store: KeyStore) -> None:
    await add(store, key())
    await store.write(lambda transaction: transaction.keys.remove(key()))
    assert await store.read(lambda transaction: transaction.keys.get(NAME)) is None
    assert await store.read(lambda transaction: transaction.keys.sealed({NAME})) == {}
    await add(store, key(uid="another"))


async def test_an_exception_undoes_the_work(store: KeyStore) -> None:
    await add(store, key())

    def work(transaction: KeyTransaction) -> None:
        transaction.keys.replace_material(ROTATED, "new cipher")
        transaction.requests.remember(REQUEST, ROTATED, now=NOW)
        transaction.requests.recall(replace(REQUEST, digest=b"x" * 32), now=NOW)

    with pytest.raises(InvalidArgument):
        await store.write(work)
    assert await store.read(lambda transaction: transaction.keys.get(NAME)) == key()
    assert await recalled(store, REQUEST, NOW) is None


@pytest.mark.parametrize("answer", [key(), ROTATED])
async def test_an_answer_is_remembered_for_a_day(store: KeyStore, answer: Key) -> None:
    await store.write(lambda transaction: transaction.requests.remember(REQUEST, answer, now=NOW))
    assert await recalled(store, REQUEST, NOW + timedelta(hours=23, minutes=59)) == answer
    assert await recalled(store, REQUEST, NOW + timedelta(hours=24)) is None


async def test_a_request_is_remembered_for_its_caller_and_method(store: KeyStore) -> None:
    await store.write(lambda transaction: transaction.requests.remember(REQUEST, key(), now=NOW))
    for other in (replace(REQUEST, caller="acme/eve"), replace(REQUEST, method="RotateKey")):
        assert await recalled(store, other, NOW) is None


async def test_no_ciphertext_survives_its_key_or_version(database_url: str) -> None:
    upgrade(database_url, MIGRATIONS)
    async with Database.open(database_url, name="key_vault") as database:
        store = SqlKeyStore(database)

        async def ciphertexts() -> int | None:
            return await database.read(
                lambda connection: connection.execute(select(func.count()).select_from(key_versions)).scalar()
            )

        await add(store, key())
        await store.write(lambda transaction: transaction.keys.replace_material(ROTATED, "new cipher"))
        assert await ciphertexts() == 1
        await store.write(lambda transaction: transaction.keys.remove(ROTATED))
        assert await ciphertexts() == 0
