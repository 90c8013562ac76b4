"""No query reads more than what it is asked for, however many keys there are: each finds its rows by an index."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Connection, event
from sqlalchemy.engine import Engine

from libs.core.resource_names import Owner
from libs.storage.engines import backend_for
from libs.storage.migrations import upgrade
from services.key_vault.domain.key import Condition
from services.key_vault.domain.ports import KeyFilter
from services.key_vault.storage.keys import KeyRepository
from services.key_vault.storage.statuses import KeyStatusRepository
from services.key_vault.storage.store import MIGRATIONS
from services.key_vault.storage.uses import KeyUseRepository
from tests.integration.key_vault.storage.stored_keys import BOBS, NAME, NOW

ACME, BOB = Owner("acme"), Owner("acme", "bob")
ANY = KeyFilter()
USERS = KeyFilter(include_users=True)
CURSOR = f"1 {NAME} uid 1 router"
VERSION_KEY = "sqlite_autoindex_key_versions_1"

Query = Callable[[Connection], object]
QUERIES: dict[str, tuple[Query, list[str]]] = {
    "the hot one": (
        lambda each: KeyRepository(each).sealed({NAME, BOBS}),
        ["keys USING INDEX sqlite_autoindex_keys_2 (name=?)", f"{VERSION_KEY} (key_uid=? AND version=?)"],
    ),
    "to check": (
        lambda each: KeyRepository(each).outlines({NAME, BOBS}),
        [
            "keys USING INDEX sqlite_autoindex_keys_2 (name=?)",
            f"{VERSION_KEY} (key_uid=? AND version=?)",
            "key_status_1",
        ],
    ),
    "by number": (
        lambda each: KeyRepository(each).sealed_versions({(NAME, 1)}),
        ["keys USING INDEX sqlite_autoindex_keys_2 (name=?)", f"{VERSION_KEY} (key_uid=?)"],
    ),
    "by owner": (
        lambda each: KeyRepository(each).page(ACME, ANY, after=("", "k"), limit=9),
        ["ix_keys_owner (tenant=? AND user_id=? AND key_id>?)", "sqlite_autoindex_key_status_1"],
    ),
    "by tenant": (
        lambda each: KeyRepository(each).page(ACME, USERS, after=("bob", "k"), limit=9),
        ["ix_keys_owner (tenant=? AND (user_id,key_id)>(?,?))", "sqlite_autoindex_key_status_1"],
    ),
    "by condition": (
        lambda each: KeyRepository(each).page(BOB, KeyFilter(condition=Condition.REJECTED), after=None, limit=9),
        ["ix_keys_owner (tenant=? AND user_id=?)", "sqlite_autoindex_key_status_1"],
    ),
    "duplicates": (
        lambda each: KeyRepository(each).with_fingerprint(ACME, "f"),
        ["ix_keys_fingerprint (tenant=? AND fingerprint=?)"],
    ),
    "to destroy": (
        lambda each: KeyRepository(each).retired_before(NOW, limit=9),
        ["ix_key_versions_usable_until (destroy_time=? AND usable_until<?)", "sqlite_autoindex_keys_1 (uid=?)"],
    ),
    # By the primary key and not by the column that is asked for, so that a page ends where it is full.
    "to re-wrap": (
        lambda each: KeyRepository(each).wrapped_below(2, after=("", 0), limit=9),
        [f"{VERSION_KEY} ((key_uid,version)>(?,?))", "sqlite_autoindex_keys_1 (uid=?)"],
    ),
    "left to re-wrap": (
        lambda each: KeyRepository(each).count_wrapped_below(2),
        ["ix_key_versions_sealing_key_version (sealing_key_version>? AND sealing_key_version<?)"],
    ),
    "statuses": (
        lambda each: KeyStatusRepository(each).load([NAME], notified_since=NOW),
        [
            "keys_2 (name=?)",
            "ix_key_notifications_key (key_uid=? AND create_time>?)",
            "keys_2 (name=?)",
            "key_status_1",
        ],
    ),
    "a tenant's notifications": (
        lambda each: KeyStatusRepository(each).notifications(ACME, before=(NOW, "u"), limit=9),
        ["ix_key_notifications_tenant (tenant=? AND (create_time,uid)<(?,?))"],
    ),
    "a user's notifications": (
        lambda each: KeyStatusRepository(each).notifications(BOB, before=(NOW, "u"), limit=9),
        ["ix_key_notifications_user (tenant=? AND user_id=? AND (create_time,uid)<(?,?))"],
    ),
    "a tenant's use": (
        lambda each: KeyUseRepository(each).page(ACME, None, since=NOW, after=CURSOR, limit=9),
        ["ix_key_use_tenant (tenant=? AND hour>? AND hour<?)"],
    ),
    "a key's use": (
        lambda each: KeyUseRepository(each).page(ACME, NAME, since=NOW, after=None, limit=9),
        ["ix_key_use_name (name=? AND hour>?)"],
    ),
}


@pytest.fixture
def engine(sqlite_url: str) -> Iterator[Engine]:
    upgrade(sqlite_url, MIGRATIONS)
    engine = backend_for(sqlite_url).reader()
    yield engine
    engine.dispose()


@pytest.mark.parametrize("name", QUERIES)
def test_rows_are_found_by_their_index(engine: Engine, name: str) -> None:
    query, expected = QUERIES[name]
    asked: list[tuple[str, tuple[object, ...]]] = []

    @event.listens_for(engine, "before_cursor_execute")
    def note(_connection: object, _cursor: object, statement: str, parameters: tuple[object, ...], *_: object) -> None:
        asked.append((statement, parameters))

    with engine.connect() as connection:
        query(connection)
        selects = [each for each in asked if each[0].startswith("SELECT")]
        steps = [
            row[3]
            for statement, parameters in selects
            for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        ]
    found = [step for step in steps if step.startswith("SEARCH")]
    assert [part in step for part, step in zip(expected, found, strict=True)] == [True] * len(expected), steps
    # What is scanned is the result of a step before.
    assert [step for step in steps if step.startswith("SCAN") and step != "SCAN anon_1"] == []
    # The order is the index's; only the page of what is to be re-wrapped, once it is cut, is sorted again.
    assert steps.count("USE TEMP B-TREE FOR ORDER BY") == (1 if name == "to re-wrap" else 0)
