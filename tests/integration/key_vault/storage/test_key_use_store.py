"""The port `KeyUses`: SQLite, PostgreSQL and the stand-in of the unit tests behave alike."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest

from libs.core.errors import InvalidArgument
from libs.core.resource_names import KeyName, Owner
from services.key_vault.domain.key_use import KeyUseCount
from services.key_vault.domain.ports import KeyStore
from tests.integration.key_vault.storage.stored_keys import BOBS, HOUR, NAME, NOW, OTHERS, PLATFORMS, key, opened_store

NOON = NOW.replace(hour=12, minute=0, second=0, microsecond=0)


def use(name: KeyName = NAME, **changes: object) -> KeyUseCount:
    first = KeyUseCount(
        hour=NOON,
        name=name,
        key_uid=key(name).uid,
        version=1,
        service="router",
        count=1,
        last_vault_request_id="vault-1",
    )
    return replace(first, **changes)  # type: ignore[arg-type]


async def count(store: KeyStore, *uses: KeyUseCount) -> None:
    await store.write(lambda transaction: transaction.uses.add(uses))


async def page(
    store: KeyStore,
    owner: Owner,
    key: KeyName | None = None,
    since: datetime | None = None,
    after: str | None = None,
    limit: int = 99,
) -> list[tuple[str, KeyUseCount]]:
    return list(
        await store.read(lambda transaction: transaction.uses.page(owner, key, since=since, after=after, limit=limit))
    )


async def uses(
    store: KeyStore, owner: Owner, key: KeyName | None = None, since: datetime | None = None
) -> list[KeyUseCount]:
    return [found for _, found in await page(store, owner, key, since)]


async def test_counts_of_the_same_hour_version_and_service_add_up(store: KeyStore) -> None:
    await count(store, use(count=2), use(BOBS, count=5))
    await count(store)
    await count(store, use(count=3, last_vault_request_id="vault-2"), use(count=10, last_vault_request_id="vault-3"))
    assert await uses(store, Owner("acme")) == [
        use(count=15, last_vault_request_id="vault-3"),
        use(BOBS, count=5),
    ]


async def test_counts_are_kept_apart_and_listed_newest_hour_first(store: KeyStore) -> None:
    expected = [
        use(hour=NOON + HOUR),
        use(),
        use(service="worker"),
        use(version=2),
        # The key was deleted and created again.
        use(key_uid="z"),
        use(BOBS),
        use(hour=NOON - HOUR),
    ]
    await count(store, *reversed(expected))
    assert await uses(store, Owner("acme")) == expected


async def test_counts_are_their_owners(store: KeyStore) -> None:
    second = KeyName.parse("tenants/acme/keys/second")
    await count(store, use(), use(second), use(BOBS), use(OTHERS), use(PLATFORMS))
    assert await uses(store, Owner("acme")) == [use(), use(second), use(BOBS)]
    assert await uses(store, Owner("acme", "bob")) == [use(BOBS)]
    assert await uses(store, Owner()) == [use(PLATFORMS)]
    assert await uses(store, Owner("acme"), second) == [use(second)]
    # A key of another owner is nothing of theirs.
    assert await uses(store, Owner("acme"), OTHERS) == []
    assert await uses(store, Owner("acme", "eve"), BOBS) == []


async def test_counts_can_begin_at_an_hour(store: KeyStore) -> None:
    await count(store, use(), use(hour=NOON + HOUR), use(hour=NOON - HOUR))
    assert await uses(store, Owner("acme"), since=NOON) == [use(hour=NOON + HOUR), use()]
    assert await uses(store, Owner("acme"), NAME, since=NOON + HOUR) == [use(hour=NOON + HOUR)]


async def test_old_hours_are_forgotten_and_no_others(store: KeyStore) -> None:
    old = use(hour=NOON - HOUR)
    await count(store, use(), old)
    await store.write(lambda transaction: transaction.uses.forget(NOON))
    assert [found for _, found in await page(store, NAME.owner)] == [use()]


async def test_pages_go_on_where_the_one_before_ended(store: KeyStore) -> None:
    names = (NAME, BOBS, KeyName.parse("tenants/acme/keys/a-b"), KeyName.parse("tenants/acme/keys/a.b"))
    await count(
        store,
        *(
            use(name, hour=NOON - number * HOUR, version=version, service=service)
            for name in names
            for number in range(3)
            for version in (1, 2, 10)
            for service in ("router", "worker")
        ),
    )
    whole = await uses(store, Owner("acme"))
    paged: list[KeyUseCount] = []
    cursor = None
    while found := await page(store, Owner("acme"), after=cursor, limit=5):
        paged += [each for _, each in found]
        cursor = found[-1][0]
    assert paged == whole
    assert len(whole) == 72


@pytest.mark.parametrize(
    "cursor",
    ["", "x", "1 2 3", "1 n u 1 s more", "-1 n u 1 s", f"{'9' * 18} n u 1 s", "1 n u 99999999999 s", "1 n\0 u 1 s"],
)
async def test_a_forged_cursor_is_refused(database_url: str, cursor: str) -> None:
    async with opened_store(database_url) as store:
        with pytest.raises(InvalidArgument, match="page_token"):
            await page(store, Owner("acme"), after=cursor)
