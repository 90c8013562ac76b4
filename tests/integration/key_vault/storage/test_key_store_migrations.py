"""The schema, and what becomes of the keys of a database that an earlier version made."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import Connection, MetaData, Table, insert, text

from libs.core.audit_verification import ChainVerification
from libs.core.resource_names import KeyName, Owner
from libs.core.secret import Secret
from libs.storage.database import Database
from libs.storage.engines import backend_for
from libs.storage.migrations import differences, upgrade
from services.key_vault.domain.key import Key, KeyState, KeyVersion
from services.key_vault.domain.ports import Ciphertext, KeyAnswer, Request
from services.key_vault.domain.sealing import sealing_context
from services.key_vault.storage.store import MIGRATIONS, SqlKeyStore
from services.key_vault.storage.tables import metadata
from tests.integration.key_vault.storage.stored_keys import OTHERS, opened_store, rotate
from tests.unit.key_vault.memory import SEAL, FakeVault

CREATED, CHANGED = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC), datetime(2026, 2, 3, 4, 5, 6, 7, tzinfo=UTC)
CREATED_US, CHANGED_US = 1767323045000006, 1770091506000007
NAME = KeyName.parse("tenants/acme/users/bob/keys/openai")
UID = "8d7f6c5e-0000-4000-8000-000000000001"
CONTEXT = sealing_context(NAME.owner, UID, 3)
REQUEST = Request(caller="acme/bob", method="RotateKey", request_id="r", digest=b"d" * 32)
# As revision 0001 wrote them.
ROW = {
    "uid": UID,
    "name": str(NAME),
    "tenant": "acme",
    "user_id": "bob",
    "key_id": "openai",
    "revision": 5,
    "provider_type": "openai",
    "origin": "https://api.openai.com:443",
    "display_name": "Für uns",
    "labels": '{"env":"prod"}',
    "mask": "…a1b2",
    "fingerprint": "0123456789abcdef",
    "state": "active",
    "version": 3,
    "create_time": CREATED_US,
    "update_time": CHANGED_US,
    "rotate_time": CHANGED_US,
}
NEVER_ROTATED = ROW | {
    "uid": "2",
    "name": str(OTHERS),
    "tenant": "globex",
    "user_id": "",
    "revision": 1,
    "version": 1,
    "update_time": CREATED_US,
    "rotate_time": None,
}
ANSWER = {
    **{name: ROW[name] for name in ("name", "uid", "revision", "provider_type", "origin", "display_name")},
    **{name: ROW[name] for name in ("mask", "fingerprint", "state", "version")},
    "labels": {"env": "prod"},
    "create_time": "2026-01-02T03:04:05.000006+00:00",
    "update_time": "2026-02-03T04:05:06.000007+00:00",
    "rotate_time": "2026-02-03T04:05:06.000007+00:00",
}
KEY = Key(
    name=NAME,
    uid=UID,
    revision=5,
    provider_type="openai",
    origin="https://api.openai.com:443",
    display_name="Für uns",
    labels={"env": "prod"},
    state=KeyState.ACTIVE,
    version=3,
    last_version=3,
    versions=(KeyVersion(number=3, mask="…a1b2", fingerprint="0123456789abcdef", create_time=CHANGED),),
    create_time=CREATED,
    update_time=CHANGED,
    rotate_time=CHANGED,
)


@pytest.fixture
def old_url(database_url: str, tmp_path: Path) -> str:
    """A database as revision 0001 left it, with two keys and a remembered answer."""
    scripts = tmp_path / "key_vault" / "storage" / "migrations"
    (scripts / "versions").mkdir(parents=True)
    for file in ("env.py", "versions/0001_keys.py"):
        shutil.copy(MIGRATIONS / file, scripts / file)
    upgrade(database_url, scripts)
    request = {
        "scope": REQUEST.caller,
        "method": REQUEST.method,
        "request_id": REQUEST.request_id,
        "digest": REQUEST.digest,
        "response": orjson.dumps(ANSWER),
        "expire_time": CHANGED_US + 1,
    }
    in_use = [
        {"key_uid": UID, "version": 3, "ciphertext": "vault:v12:of-bob"},
        {"key_uid": "2", "version": 1, "ciphertext": "vault:v1:of-globex"},
    ]
    engine = backend_for(database_url).writer()
    with engine.begin() as connection:
        for table, rows in (
            ("keys", [ROW, NEVER_ROTATED]),
            ("key_versions", in_use),
            ("remembered_requests", [request]),
        ):
            connection.execute(insert(_as_it_is(connection, table)), rows)
    engine.dispose()
    return database_url


def _as_it_is(connection: Connection, name: str) -> Table:
    return Table(name, MetaData(), autoload_with=connection, resolve_fks=False)


def test_the_migrated_schema_is_that_of_the_tables(database_url: str) -> None:
    upgrade(database_url, MIGRATIONS)
    assert differences(database_url, metadata) == []


def test_an_older_schema_becomes_that_of_the_tables(old_url: str) -> None:
    upgrade(old_url, MIGRATIONS)
    assert differences(old_url, metadata) == []


async def test_the_keys_of_an_older_database_are_all_there(old_url: str) -> None:
    async with opened_store(old_url) as store:
        assert await store.read(lambda transaction: transaction.keys.get(NAME)) == KEY
        other = await store.read(lambda transaction: transaction.keys.get(OTHERS))
    assert other is not None
    assert (other.current.create_time, other.rotate_time, other.last_version) == (CREATED, None, 1)


async def test_the_keys_of_an_older_database_open_as_before(old_url: str) -> None:
    vault, material = FakeVault(), Secret(b"sk-0123456789")
    ciphertext = await vault.seal(material, CONTEXT)
    engine = backend_for(old_url).writer()
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE key_versions SET ciphertext = :it WHERE key_uid = :uid"), {"it": ciphertext, "uid": UID}
        )
    engine.dispose()
    async with opened_store(old_url) as store:
        row = (await store.read(lambda transaction: transaction.keys.sealed({NAME})))[NAME]
    assert (row.version, row.state, row.fallback_version, row.fallback_until) == (3, KeyState.ACTIVE, 0, None)
    context = sealing_context(row.name.owner, row.uid, row.version)
    assert (await vault.open([Ciphertext(text=row.ciphertext, context=context)])).materials == [material]


async def test_the_keys_of_an_older_database_are_found_by_all_that_is_new(old_url: str) -> None:
    async with opened_store(old_url) as store:
        same = await store.read(
            lambda transaction: transaction.keys.with_fingerprint(Owner("acme"), "0123456789abcdef")
        )
        counts = await store.read(
            lambda transaction: [transaction.keys.count_wrapped_below(number) for number in (1, 2, 12, 13)]
        )
        after = await rotate(store, KEY)
        found = await store.read(lambda transaction: transaction.keys.sealed_versions({(NAME, 3), (NAME, 4)}))
    assert same == [NAME]
    assert counts == [0, 1, 1, 2]
    assert [each.number for each in after.versions] == [4, 3]
    assert found[NAME, 3].ciphertext == "vault:v12:of-bob"


async def test_a_request_repeated_across_the_upgrade_is_answered_as_before(old_url: str) -> None:
    async with opened_store(old_url) as store:
        answer = await store.read(lambda transaction: transaction.requests.recall(REQUEST, now=CHANGED))
    assert answer == KeyAnswer(key=KEY)


async def test_what_the_older_schema_held_together_still_holds(old_url: str) -> None:
    upgrade(old_url, MIGRATIONS)

    def remains(connection: Connection) -> list[Any]:
        connection.execute(text("DELETE FROM keys WHERE uid = :uid"), {"uid": UID})
        return list(connection.scalars(text("SELECT key_uid FROM key_versions")))

    def take_the_name(connection: Connection) -> None:
        connection.execute(text("UPDATE keys SET name = :name"), {"name": str(NAME)})

    async with Database.open(old_url, name="key_vault") as database:
        with pytest.raises(Exception, match="unique"):
            await database.write(take_the_name)
        assert await database.write(remains) == ["2"]


async def test_an_older_database_begins_its_audit_log(old_url: str) -> None:
    upgrade(old_url, MIGRATIONS)
    async with Database.open(old_url, name="key_vault") as database:
        store = SqlKeyStore(database, SEAL)
        found: ChainVerification = await store.verify_audit("tenants/acme", [])
    assert (found.is_intact, found.checked) == (True, 0)
