"""Keys to store, and a database to store them in."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from libs.core.resource_names import KeyName
from libs.storage.database import Database
from libs.storage.migrations import upgrade
from services.key_vault.domain.key import Key, KeyState, KeyVersion
from services.key_vault.domain.ports import KeyStore, KeyTransaction
from services.key_vault.storage.store import MIGRATIONS, SqlKeyStore
from tests.unit.key_vault.memory import SEAL

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
HOUR = timedelta(hours=1)
NAME = KeyName.parse("tenants/acme/keys/openai")
OTHERS = KeyName.parse("tenants/globex/keys/openai")
BOBS = KeyName.parse("tenants/acme/users/bob/keys/openai")
PLATFORMS = KeyName.parse("platform/keys/openai")


def version(number: int, **changes: object) -> KeyVersion:
    """A version like any other."""
    first = KeyVersion(number=number, mask=f"…k{number:03}", fingerprint=f"{number:016x}", create_time=NOW)
    return replace(first, **changes)  # type: ignore[arg-type]


def key(name: KeyName | str = NAME, **changes: object) -> Key:
    """A key that was just created."""
    name = KeyName.parse(name) if isinstance(name, str) else name
    first = Key(
        name=name,
        uid=str(uuid.uuid5(uuid.NAMESPACE_URL, str(name))),
        revision=1,
        provider_type="openai",
        origin="https://api.openai.com:443",
        display_name="Für uns",
        labels={"env": "prod"},
        state=KeyState.ACTIVE,
        version=1,
        last_version=1,
        versions=(version(1),),
        create_time=NOW,
        update_time=NOW,
    )
    return replace(first, **changes)  # type: ignore[arg-type]


def rotated(before: Key, overlap: timedelta = HOUR) -> Key:
    """The same key an hour after its last change."""
    return before.rotated(version(before.last_version + 1), overlap=overlap, now=before.update_time + HOUR)


def ciphertext_of(key: Key) -> str:
    """The ciphertext of the version in use, as `add` and `rotate` store it."""
    return f"vault:v1:{key.uid}/{key.version}"


async def add(store: KeyStore, *added: Key) -> None:
    """Store new keys."""

    def work(transaction: KeyTransaction) -> None:
        for each in added:
            transaction.keys.add(each, ciphertext_of(each))

    await store.write(work)


async def rotate(store: KeyStore, before: Key, overlap: timedelta = HOUR) -> Key:
    """Store another version of a key."""
    after = rotated(before, overlap)
    await store.write(lambda transaction: transaction.keys.add_version(after, ciphertext_of(after)))
    return after


async def get(store: KeyStore, name: KeyName = NAME) -> Key | None:
    """The stored key."""
    return await store.read(lambda transaction: transaction.keys.get(name))


@asynccontextmanager
async def opened_store(url: str) -> AsyncIterator[SqlKeyStore]:
    """A store over a database that is brought to the newest schema."""
    upgrade(url, MIGRATIONS)
    async with Database.open(url, name="key_vault") as database:
        yield SqlKeyStore(database, SEAL)
