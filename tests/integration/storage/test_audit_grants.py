"""A service that works as another role than its schema's owner may do what it needs and no more (PostgreSQL)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import Connection, insert, text

from libs.core.errors import FailedPrecondition
from libs.storage.audit_verification import verify
from libs.storage.database import Database
from libs.storage.engines import backend_for
from libs.storage.errors import InvalidDatabaseUrl, StatementFailed
from libs.storage.migrations import role_of, upgrade
from tests.databases import PostgresServer
from tests.integration.storage.audit_log import (
    add,
    listed,
    metadata,
    numbered,
    tables,
    things,
    write_migrations,
    write_revision,
)
from tests.unit.core.audit_chains import SCOPE, SEAL

pytestmark = pytest.mark.postgres

# A name must not leave its place in a statement.
_OWNER = "gatehouse owner"
_SERVICE = """key"vault's 100% %s role"""
_APPEND_ONLY = ("audit_events",)


@dataclass(frozen=True, slots=True)
class Deployment:
    """A database whose schema belongs to one role, and where the service works as another."""

    root_url: str
    owner_url: str
    service_url: str
    migrations: Path

    def upgrade(self, *, service_role: str = _SERVICE) -> None:
        upgrade(self.owner_url, self.migrations, service_role=service_role, append_only=_APPEND_ONLY)

    def as_root(self, statement: str, *names: str) -> None:
        with psycopg.connect(self.root_url, autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))

    def refusal(self, statement: str) -> str:
        """Why the service may not do `statement`."""
        with psycopg.connect(self.service_url) as connection, pytest.raises(psycopg.Error) as caught:
            connection.execute(sql.SQL(statement))
        assert caught.value.sqlstate is not None
        return caught.value.sqlstate


@pytest.fixture
def deployment(postgres_server: PostgresServer, postgres_url: str, tmp_path: Path) -> Iterator[Deployment]:
    """A database whose owner is no superuser, and a role for the service that has no rights yet."""
    here = Deployment(
        root_url=postgres_url,
        owner_url=postgres_url.replace("gatehouse@", f"{quote(_OWNER)}@"),
        service_url=postgres_url.replace("gatehouse@", f"{quote(_SERVICE)}@"),
        migrations=write_migrations(tmp_path),
    )
    here.as_root("CREATE ROLE {} LOGIN", _OWNER)
    here.as_root("CREATE ROLE {} LOGIN", _SERVICE)
    here.as_root("ALTER SCHEMA public OWNER TO {}", _OWNER)
    here.as_root("REVOKE USAGE ON SCHEMA public FROM PUBLIC")
    yield here
    here.as_root("ALTER SCHEMA public OWNER TO gatehouse")
    for role in (_SERVICE, _OWNER):
        here.as_root("DROP OWNED BY {}", role)
        here.as_root("DROP ROLE {}", role)


async def test_a_service_writes_lists_and_verifies_its_log_and_uses_its_other_tables(deployment: Deployment) -> None:
    deployment.upgrade()

    def use(connection: Connection) -> list[str]:
        connection.execute(insert(things).values(name="a"))
        connection.execute(insert(things).values(name="b"))
        connection.execute(things.update().values(name="c").where(things.c.name == "b"))
        connection.execute(things.delete().where(things.c.name == "a"))
        return list(connection.scalars(text("SELECT name FROM things")))

    async with (
        Database.open(deployment.service_url, name="one") as one,
        Database.open(deployment.service_url, name="two") as two,
    ):
        await asyncio.gather(*((one, two)[number % 2].write(add(each)) for number, each in enumerate(numbered(20))))
        assert await one.read(listed()) == list(range(20, 0, -1))
        assert (await two.read(lambda connection: verify(connection, tables, SCOPE, seal=SEAL))).is_intact
        assert await one.write(use) == ["c"]
        assert await one.read(lambda connection: list(connection.scalars(text("TABLE alembic_version")))) == ["0001"]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_events SET action = 'Forged'",
        "UPDATE audit_events SET action = 'Forged' WHERE false",
        "DELETE FROM audit_events",
        "TRUNCATE audit_events",
        "SELECT 1 FROM audit_events FOR UPDATE",
        "INSERT INTO audit_events SELECT * FROM audit_events ON CONFLICT (scope, sequence) DO UPDATE SET action = 'x'",
        "ALTER TABLE audit_events DISABLE TRIGGER ALL",
        "DROP TRIGGER refuse_change ON audit_events",
        "DROP TABLE audit_events",
        "ALTER TABLE audit_events ADD COLUMN more integer",
        "CREATE TRIGGER mine BEFORE INSERT ON audit_events FOR EACH ROW EXECUTE FUNCTION refuse_change()",
        "DO $$BEGIN GRANT UPDATE ON audit_events TO CURRENT_USER; UPDATE audit_events SET action = 'x'; END$$",
        "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
        "TRUNCATE things",
        "TRUNCATE audit_heads",
        "DROP TABLE things",
        "CREATE TABLE more (id integer)",
        "UPDATE alembic_version SET version_num = '0000'",
        "DELETE FROM alembic_version",
        "INSERT INTO alembic_version VALUES ('0002')",
        "SELECT setval('things_id_seq', 1)",
    ],
)
def test_a_service_may_not_do_more(deployment: Deployment, statement: str) -> None:
    deployment.upgrade()
    assert deployment.refusal(statement) == "42501"


def test_every_start_grants_what_is_new_and_takes_back_what_is_too_much(deployment: Deployment) -> None:
    deployment.upgrade()
    deployment.upgrade()
    deployment.as_root("GRANT UPDATE, DELETE ON audit_events TO {}", _SERVICE)
    deployment.as_root("GRANT UPDATE (action) ON audit_events TO {}", _SERVICE)
    deployment.as_root("GRANT ALL ON alembic_version TO {}", _SERVICE)
    write_revision(deployment.migrations, "0002", "0001", 'op.create_table("more", sa.Column("id", sa.Integer))')
    deployment.upgrade()
    assert deployment.refusal("UPDATE audit_events SET action = 'Forged'") == "42501"
    assert deployment.refusal("DELETE FROM audit_events") == "42501"
    assert deployment.refusal("DELETE FROM alembic_version") == "42501"
    with psycopg.connect(deployment.service_url) as connection:
        connection.execute("INSERT INTO more VALUES (1)")


def test_a_failed_revision_leaves_the_grants_as_they_were(deployment: Deployment) -> None:
    deployment.upgrade()
    write_revision(deployment.migrations, "0002", "0001", 'op.execute("SELECT nothing")')
    with pytest.raises(StatementFailed):
        deployment.upgrade()
    with psycopg.connect(deployment.service_url) as connection:
        connection.execute("INSERT INTO things (name) VALUES ('a')")


@pytest.mark.parametrize(
    ("statement", "undo"),
    [
        ("ALTER ROLE {0} SUPERUSER", "ALTER ROLE {0} NOSUPERUSER"),
        ("GRANT {1} TO {0}", "REVOKE {1} FROM {0}"),
        ("GRANT DELETE ON audit_events TO PUBLIC", "REVOKE DELETE ON audit_events FROM PUBLIC"),
        ("GRANT TRUNCATE ON audit_events TO PUBLIC", "REVOKE TRUNCATE ON audit_events FROM PUBLIC"),
        ("GRANT TRIGGER ON audit_events TO PUBLIC", "REVOKE TRIGGER ON audit_events FROM PUBLIC"),
        ("GRANT UPDATE (action) ON audit_events TO PUBLIC", "REVOKE UPDATE ON audit_events FROM PUBLIC"),
    ],
)
def test_a_role_that_can_change_the_log_after_all_is_refused(deployment: Deployment, statement: str, undo: str) -> None:
    deployment.upgrade()
    deployment.as_root(statement, _SERVICE, _OWNER)
    with pytest.raises(FailedPrecondition) as caught:
        deployment.upgrade()
    assert caught.value.reason == "DATABASE_ROLE_TOO_POWERFUL"
    assert caught.value.metadata == {"role": _SERVICE, "table": "audit_events", "owner": _OWNER}
    deployment.as_root(undo, _SERVICE, _OWNER)
    deployment.upgrade()


def test_a_role_that_owns_the_log_is_refused(deployment: Deployment) -> None:
    deployment.upgrade()
    with pytest.raises(FailedPrecondition) as caught:
        upgrade(deployment.root_url, deployment.migrations, service_role=_OWNER, append_only=_APPEND_ONLY)
    assert caught.value.reason == "DATABASE_ROLE_TOO_POWERFUL"


def test_a_role_that_may_not_grant_says_so(deployment: Deployment) -> None:
    deployment.as_root("ALTER SCHEMA public OWNER TO gatehouse")
    deployment.as_root("GRANT CREATE, USAGE ON SCHEMA public TO {}", _OWNER)
    with pytest.raises(FailedPrecondition, match="rights on public") as caught:
        deployment.upgrade()
    assert caught.value.reason == "DATABASE_GRANT_REFUSED"
    deployment.as_root("GRANT USAGE ON SCHEMA public TO PUBLIC")
    deployment.upgrade()
    deployment.as_root("ALTER TABLE things OWNER TO gatehouse")
    deployment.as_root("GRANT SELECT ON things TO {}", _OWNER)
    deployment.as_root("REVOKE ALL ON things FROM {}", _SERVICE)
    with pytest.raises(FailedPrecondition, match="rights on things") as caught:
        deployment.upgrade()
    assert caught.value.reason == "DATABASE_GRANT_REFUSED"


def test_a_role_that_does_not_exist_is_refused_by_its_name(deployment: Deployment) -> None:
    with pytest.raises(FailedPrecondition, match="no role nobody") as caught:
        deployment.upgrade(service_role="nobody")
    assert caught.value.reason == "DATABASE_ROLE_MISSING"


def test_an_append_only_table_that_does_not_exist_is_refused(deployment: Deployment) -> None:
    with pytest.raises(ValueError, match="no table audit_event to be append-only"):
        upgrade(deployment.owner_url, deployment.migrations, service_role=_SERVICE, append_only=["audit_event"])


def test_the_role_that_migrates_needs_no_grants(deployment: Deployment) -> None:
    deployment.upgrade(service_role=_OWNER)
    with psycopg.connect(deployment.owner_url) as connection:
        connection.execute("INSERT INTO things (name) VALUES ('a')")
        connection.execute("TRUNCATE things")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("DELETE FROM audit_events")


def test_without_a_service_role_nobody_is_granted_anything(deployment: Deployment) -> None:
    upgrade(deployment.owner_url, deployment.migrations)
    assert deployment.refusal("SELECT * FROM things") == "42P01"
    deployment.as_root("GRANT USAGE ON SCHEMA public TO {}", _SERVICE)
    assert deployment.refusal("SELECT * FROM things") == "42501"


def test_sqlite_has_no_roles(sqlite_url: str, tmp_path: Path) -> None:
    folder = write_migrations(tmp_path)
    upgrade(sqlite_url, folder, service_role="nobody", append_only=_APPEND_ONLY)
    engine = backend_for(sqlite_url).reader()
    with engine.connect() as connection:
        assert set(metadata.tables) <= set(connection.dialect.get_table_names(connection))
    engine.dispose()


def test_the_role_of_a_url_is_its_user(deployment: Deployment) -> None:
    assert role_of(deployment.service_url) == _SERVICE
    assert role_of("postgresql:///database") is None
    assert role_of("sqlite:////tmp/x.db") is None
    with pytest.raises(InvalidDatabaseUrl):
        role_of("nonsense")
