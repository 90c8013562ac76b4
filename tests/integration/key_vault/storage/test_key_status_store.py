"""The port `KeyStatuses`: SQLite, PostgreSQL and the stand-in of the unit tests behave alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from libs.core.resource_names import KeyName, Owner
from services.key_vault.domain.key import Condition, KeyStatus
from services.key_vault.domain.key_outcome import KeyNotification, NotificationType
from services.key_vault.domain.ports import KeyStore, KeyTransaction, StoredStatus
from tests.integration.key_vault.storage.stored_keys import (
    BOBS,
    HOUR,
    NAME,
    NOW,
    OTHERS,
    PLATFORMS,
    add,
    get,
    key,
    rotate,
)

REJECTED = KeyStatus(
    condition=Condition.REJECTED,
    condition_time=NOW,
    last_use_time=NOW + HOUR,
    last_success_time=NOW - HOUR,
    last_rejection_time=NOW,
)
WORKING = KeyStatus(condition=Condition.WORKING, last_success_time=NOW + HOUR, last_exhaustion_time=NOW)


def told(uid: str, name: KeyName = NAME, **changes: object) -> KeyNotification:
    first = KeyNotification(uid=uid, key=name, version=1, type=NotificationType.REJECTED, create_time=NOW)
    return replace(first, **changes)  # type: ignore[arg-type]


async def load(store: KeyStore, *names: KeyName, since: datetime = NOW) -> Mapping[KeyName, StoredStatus]:
    return await store.read(lambda transaction: transaction.statuses.load(names, notified_since=since))


async def put(store: KeyStore, statuses: Mapping[KeyName, KeyStatus]) -> None:
    by_uid = {key(name).uid: status for name, status in statuses.items()}
    await store.write(lambda transaction: transaction.statuses.put(by_uid))


async def notify(store: KeyStore, *notifications: KeyNotification) -> None:
    await store.write(lambda transaction: transaction.statuses.notify(notifications))


async def notifications(
    store: KeyStore, owner: Owner, before: tuple[datetime, str] | None = None, limit: int = 9
) -> list[str]:
    found = await store.read(lambda transaction: transaction.statuses.notifications(owner, before=before, limit=limit))
    return [each.uid for each in found]


async def test_a_status_is_read_as_it_was_put_last(store: KeyStore) -> None:
    await add(store, key(), key(BOBS), key(OTHERS))
    await put(store, {NAME: REJECTED, BOBS: REJECTED})
    await put(store, {BOBS: WORKING})
    await put(store, {})
    found = await load(store, NAME, BOBS, OTHERS, PLATFORMS)
    assert {name: row.status for name, row in found.items()} == {NAME: REJECTED, BOBS: WORKING, OTHERS: KeyStatus()}
    assert await get(store) == key(status=REJECTED)


async def test_a_status_is_about_the_version_in_use(store: KeyStore) -> None:
    await add(store, key())
    rotated = await rotate(store, key())
    assert rotated.rotate_time is not None
    assert await load(store, NAME) == {
        NAME: StoredStatus(
            key_uid=key().uid, version=2, since=rotated.rotate_time, status=KeyStatus(), notified=frozenset()
        )
    }


async def test_what_was_told_of_this_version_since_a_time_is_known(store: KeyStore) -> None:
    await add(store, key(), key(BOBS))
    await notify(
        store,
        told("1"),
        told("2", type=NotificationType.EXHAUSTED, create_time=NOW - timedelta(microseconds=1)),
        told("3", BOBS, type=NotificationType.RECOVERED),
        told("4", version=2, type=NotificationType.RECOVERED),
    )
    found = await load(store, NAME, BOBS)
    assert {name: row.notified for name, row in found.items()} == {
        NAME: {NotificationType.REJECTED},
        BOBS: {NotificationType.RECOVERED},
    }
    assert (await load(store, NAME, since=NOW - HOUR))[NAME].notified == {
        NotificationType.REJECTED,
        NotificationType.EXHAUSTED,
    }
    await rotate(store, key())
    assert (await load(store, NAME, since=NOW - HOUR))[NAME].notified == {NotificationType.RECOVERED}


async def test_a_key_of_the_same_name_is_another_key(store: KeyStore) -> None:
    await add(store, key())
    await put(store, {NAME: REJECTED})
    await notify(store, told("1"))
    await store.write(lambda transaction: transaction.keys.remove(key()))
    await add(store, key(uid="another"))
    assert await load(store, NAME) == {
        NAME: StoredStatus(
            key_uid="another", version=1, since=key().create_time, status=KeyStatus(), notified=frozenset()
        )
    }
    # Its owner is still told what happened to the one before.
    assert await notifications(store, Owner("acme")) == ["1"]


async def test_notifications_come_newest_first_and_a_tenants_with_its_users(store: KeyStore) -> None:
    await add(store, key(), key(BOBS), key(OTHERS), key(PLATFORMS))
    await notify(store, told("c", BOBS), told("a"), told("d", create_time=NOW - HOUR), told("b", BOBS))
    await notify(store, told("x", OTHERS), told("y", PLATFORMS))
    assert await notifications(store, Owner("acme")) == ["c", "b", "a", "d"]
    assert await notifications(store, Owner("acme"), limit=2) == ["c", "b"]
    assert await notifications(store, Owner("acme"), before=(NOW, "b")) == ["a", "d"]
    assert await notifications(store, Owner("acme"), before=(NOW - HOUR, "d")) == []
    assert await notifications(store, Owner("acme", "bob")) == ["c", "b"]
    assert await notifications(store, Owner("acme", "eve")) == []
    assert await notifications(store, Owner()) == ["y"]


async def test_a_notification_is_read_as_it_was_stored(store: KeyStore) -> None:
    await add(store, key(BOBS), key(PLATFORMS))
    stored = [
        told("1", BOBS, version=3, type=NotificationType.EXHAUSTED, create_time=NOW + HOUR),
        told("2", PLATFORMS, type=NotificationType.RECOVERED),
    ]
    await notify(store, *stored)

    def found(transaction: KeyTransaction) -> list[KeyNotification]:
        owners = (Owner("acme"), Owner())
        pages = [transaction.statuses.notifications(owner, before=None, limit=9) for owner in owners]
        return [each for page in pages for each in page]

    assert await store.read(found) == stored


async def test_old_notifications_are_forgotten(store: KeyStore) -> None:
    await add(store, key(), key(OTHERS))
    await notify(store, told("1", create_time=NOW - HOUR), told("2"), told("3", OTHERS, create_time=NOW - HOUR))
    await store.write(lambda transaction: transaction.statuses.forget_notifications(NOW))
    assert await notifications(store, Owner("acme")) == ["2"]
    assert await notifications(store, Owner("globex")) == []
