"""What the database knows of what changed when."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, func, insert, select, text, update

from libs.core.resource_names import Owner, ProviderName
from libs.storage.engines import backend_for
from libs.storage.migrations import upgrade
from services.provider_config.domain.scope_size import MAX_SCOPE_BYTES
from services.provider_config.domain.snapshot import Changes
from services.provider_config.storage import revisions as module
from services.provider_config.storage.revisions import SqlRevisions
from services.provider_config.storage.store import MIGRATIONS
from services.provider_config.storage.tables import changes, scopes

_ACME, _OTHER = Owner("acme"), Owner("other")


@pytest.fixture
def connection(config_url: str) -> Iterator[Connection]:
    """A transaction on a migrated database."""
    engine = backend_for(config_url).writer()
    with engine.connect() as connection, connection.begin():
        yield connection
    engine.dispose()


@pytest.fixture
def revisions(connection: Connection) -> SqlRevisions:
    return SqlRevisions(connection)


def _name(name: str, owner: Owner = _ACME) -> ProviderName:
    return ProviderName(owner, name)


def _text(*names: str) -> set[str]:
    return {f"tenants/acme/providers/{name}" for name in names}


def test_what_changed_since_is_known_by_name_and_each_name_once(revisions: SqlRevisions) -> None:
    for names in (("a",), ("b", "c"), ("a",)):
        revisions.advance(_ACME, [_name(name) for name in names])
    found = [revisions.changed_names(_ACME, since=since) for since in range(4)]
    assert found == [_text("a", "b", "c"), _text("a", "b", "c"), _text("a"), set()]
    assert revisions.changed_names(_OTHER, since=2) == set()


@pytest.mark.parametrize("since", [-1, 2, 10**12])
def test_a_revision_that_was_never_given_out_is_unknown(revisions: SqlRevisions, since: int) -> None:
    revisions.advance(_ACME, [_name("a")])
    assert revisions.changed_names(_ACME, since=since) is None
    assert revisions.unchanged({_ACME: since}) == set()


def test_changes_are_apart_by_scope(revisions: SqlRevisions) -> None:
    revisions.advance(_ACME, [_name("a")])
    revisions.advance(_OTHER, [_name("b", _OTHER)])
    assert revisions.changes_since(0) == Changes(revision=2, scopes={_ACME: 1, _OTHER: 2}, anew=False)
    assert revisions.changed_names(_ACME, since=0) == _text("a")
    assert revisions.unchanged({_ACME: 1, _OTHER: 1, Owner(): 1}) == {_ACME, Owner()}


def test_more_scopes_than_fit_into_one_statement_are_compared(revisions: SqlRevisions) -> None:
    revisions.advance(_ACME, [_name("a")])
    many = [Owner(f"t{number}") for number in range(1200)]
    assert revisions.unchanged(dict.fromkeys([*many, _ACME], 0)) == set(many)


@pytest.mark.parametrize("name", ["tenants/acme", "tenants/acme/providers/a/models/m", "tenants/acme/keys/k", ""])
def test_a_change_of_what_routers_cannot_be_sent_is_a_defect(revisions: SqlRevisions, name: str) -> None:
    with pytest.raises(ValueError, match="cannot be sent"):
        revisions.advance(_ACME, [name])


def test_a_change_without_a_name_makes_everything_before_unknown(revisions: SqlRevisions) -> None:
    revisions.advance(_ACME, [_name("a")])
    revisions.advance(_ACME, [])
    assert revisions.changed_names(_ACME, since=1) is None
    assert revisions.changed_names(_ACME, since=2) == set()
    revisions.advance(_ACME, [_name("b")])
    assert revisions.changed_names(_ACME, since=2) == _text("b")


def test_a_bounded_number_of_names_is_remembered_and_of_the_rest_that_they_are_forgotten(
    revisions: SqlRevisions, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_REMEMBERED", 4)
    revisions.advance(_OTHER, [_name("z", _OTHER)])
    for number in range(30):
        revision = revisions.advance(_ACME, [_name(f"p{number}")])
        kept = connection.scalars(select(func.count()).where(changes.c.scope == str(_ACME))).one()
        assert kept <= 8
        for back in range(min(5, revision + 1)):
            names = revisions.changed_names(_ACME, since=revision - back)
            expected = _text(*(f"p{each}" for each in range(max(0, number - back + 1), number + 1)))
            assert names == expected or (names is None and number > 4 and back > 3)
    assert revisions.changed_names(_ACME, since=1) is None
    assert revisions.changed_names(_OTHER, since=0) == {"tenants/other/providers/z"}


def test_one_change_of_more_names_than_are_remembered_makes_everything_before_unknown(
    revisions: SqlRevisions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_REMEMBERED", 4)
    revisions.advance(_ACME, [_name("a")])
    revisions.advance(_ACME, [_name(f"p{number}") for number in range(1100)])
    assert revisions.changed_names(_ACME, since=1) is None
    assert revisions.changed_names(_ACME, since=2) == set()


def test_the_largest_scope_and_all_names_that_are_remembered_fit_into_a_grpc_message() -> None:
    longest = changes.c.name.type.length  # type: ignore[attr-defined]  # it is a String
    assert MAX_SCOPE_BYTES + 2 * module._REMEMBERED * (longest + 4) < 4 * 1024 * 1024


def test_a_database_that_was_put_back_counts_on_and_knows_nothing_of_before(revisions: SqlRevisions) -> None:
    revisions.advance(_ACME, [_name("a")])
    assert revisions.count_on(100) == 101
    assert revisions.changes_since(1).anew
    assert revisions.changed_names(_ACME, since=1) is None
    assert revisions.unchanged({_ACME: 1, _OTHER: 100}) == set()
    assert revisions.advance(_ACME, [_name("b")]) == 102
    assert revisions.changed_names(_ACME, since=101) == _text("b")
    # Two replicas may find out at the same time.
    assert revisions.count_on(100) == 102


def test_a_new_kind_of_content_makes_everything_before_unknown_once(revisions: SqlRevisions) -> None:
    revisions.compose("1")
    assert revisions.present() == 0
    revisions.advance(_ACME, [_name("a")])
    for content in ("1", "2", "2"):
        revisions.compose(content)
    assert revisions.present() == 2
    assert revisions.changed_names(_ACME, since=1) is None


def test_changes_by_a_version_that_notes_none_are_not_missed(revisions: SqlRevisions, connection: Connection) -> None:
    revisions.advance(_ACME, [_name("a")])
    connection.execute(text("UPDATE revisions SET revision = 2"))
    connection.execute(update(scopes).where(scopes.c.scope == str(_ACME)).values(revision=2))
    assert revisions.changed_names(_ACME, since=1) is None
    revisions.advance(_ACME, [_name("b")])
    assert revisions.changed_names(_ACME, since=1) is None
    assert revisions.changed_names(_ACME, since=2) == _text("b")


def test_a_new_scope_by_a_version_that_notes_nothing_is_not_missed(
    revisions: SqlRevisions, connection: Connection
) -> None:
    connection.execute(text("UPDATE revisions SET revision = 1"))
    connection.execute(insert(scopes).values(scope=str(_ACME), revision=1))
    assert revisions.changed_names(_ACME, since=0) is None
    revisions.advance(_ACME, [_name("b")])
    assert revisions.changed_names(_ACME, since=0) is None
    assert revisions.changed_names(_ACME, since=1) == _text("b")


def test_of_a_database_from_before_only_later_changes_are_known(database_url: str, tmp_path: Path) -> None:
    earlier = tmp_path / "services" / "storage" / "migrations"
    shutil.copytree(MIGRATIONS, earlier)
    for revision in (earlier / "versions").glob("*.py"):
        if revision.name >= "0005":
            revision.unlink()
    upgrade(database_url, earlier)
    engine = backend_for(database_url).writer()
    with engine.begin() as connection:
        connection.execute(text("UPDATE revisions SET revision = 7"))
        connection.execute(text("INSERT INTO scopes (scope, revision) VALUES ('tenants/acme', 5)"))
    upgrade(database_url, MIGRATIONS)
    with engine.begin() as connection:
        migrated = SqlRevisions(connection)
        assert migrated.changed_names(_ACME, since=4) is None
        assert migrated.changed_names(_ACME, since=5) == set()
        assert migrated.advance(_ACME, [_name("a")]) == 8
        assert migrated.changed_names(_ACME, since=5) == _text("a")
    engine.dispose()
