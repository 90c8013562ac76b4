"""Schema upgrades, on SQLite and on PostgreSQL."""

from __future__ import annotations

import multiprocessing
import sqlite3
import textwrap
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Column, Integer, MetaData, String, Table, inspect

from libs.core.errors import FailedPrecondition, Unavailable
from libs.storage.engines import backend_for
from libs.storage.errors import DatabaseUnusable, StatementFailed
from libs.storage.migrations import _LOCK_KEY, differences, upgrade

_ENV = '''
"""Alembic's entry."""
from libs.storage.migrations import run_revisions
run_revisions()
'''

_CREATE = """
op.create_table("books", sa.Column("title", sa.String(100), primary_key=True))
"""
_ADD_PAGES = """
with op.batch_alter_table("books") as books:
    books.add_column(sa.Column("pages", sa.Integer, nullable=False, server_default="0"))
"""
_BROKEN = """
op.create_table("half", sa.Column("id", sa.Integer, primary_key=True))
op.execute("SELECT nothing FROM nowhere")
"""


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    """A service's migrations folder with one revision; a percent sign in the path must not matter."""
    folder = tmp_path / "100%" / "library" / "storage" / "migrations"
    (folder / "versions").mkdir(parents=True)
    (folder / "env.py").write_text(_ENV)
    _revise(folder, "0001", None, _CREATE)
    return folder


def _revise(folder: Path, revision: str, before: str | None, body: str) -> None:
    (folder / "versions" / f"{revision}_revision.py").write_text(
        f"from alembic import op\nimport sqlalchemy as sa\nrevision = {revision!r}\ndown_revision = {before!r}\n"
        f"def upgrade():\n{textwrap.indent(body, '    ')}"
    )


def _columns(url: str) -> dict[str, list[str]]:
    engine = backend_for(url).reader()
    with engine.connect() as connection:
        inspector = inspect(connection)
        found = {
            table: [column["name"] for column in inspector.get_columns(table)]
            for table in inspector.get_table_names()
            if table != "alembic_version"
        }
    engine.dispose()
    return found


def test_an_empty_database_gets_every_revision(database_url: str, scripts: Path) -> None:
    _revise(scripts, "0002", "0001", _ADD_PAGES)
    upgrade(database_url, scripts)
    assert _columns(database_url) == {"books": ["title", "pages"]}


def test_an_older_database_gets_what_it_lacks_and_a_current_one_nothing(database_url: str, scripts: Path) -> None:
    upgrade(database_url, scripts)
    upgrade(database_url, scripts)
    assert _columns(database_url) == {"books": ["title"]}
    _revise(scripts, "0002", "0001", _ADD_PAGES)
    upgrade(database_url, scripts)
    assert _columns(database_url) == {"books": ["title", "pages"]}


def test_a_database_newer_than_the_code_is_left_alone_and_says_so(database_url: str, scripts: Path) -> None:
    _revise(scripts, "0002", "0001", _ADD_PAGES)
    upgrade(database_url, scripts)
    (scripts / "versions" / "0002_revision.py").unlink()
    with pytest.raises(FailedPrecondition, match=r"library database has schema revision 0002.*newer") as caught:
        upgrade(database_url, scripts)
    assert caught.value.reason == "DATABASE_TOO_NEW"
    assert _columns(database_url) == {"books": ["title", "pages"]}


def test_a_failed_revision_leaves_the_schema_as_it_was(database_url: str, scripts: Path) -> None:
    upgrade(database_url, scripts)
    _revise(scripts, "0002", "0001", _ADD_PAGES)
    _revise(scripts, "0003", "0002", _BROKEN)
    with pytest.raises(StatementFailed, match="SELECT nothing"):
        upgrade(database_url, scripts)
    assert _columns(database_url) == {"books": ["title"]}
    (scripts / "versions" / "0003_revision.py").unlink()
    upgrade(database_url, scripts)
    assert _columns(database_url) == {"books": ["title", "pages"]}


def test_replicas_that_start_at_once_all_succeed(database_url: str, scripts: Path) -> None:
    _revise(scripts, "0002", "0001", _ADD_PAGES)
    with ProcessPoolExecutor(4, mp_context=multiprocessing.get_context("spawn")) as replicas:
        for outcome in [replicas.submit(upgrade, database_url, scripts) for _ in range(4)]:
            outcome.result(timeout=60)
    assert _columns(database_url) == {"books": ["title", "pages"]}


def test_a_lock_that_another_process_keeps_is_unavailable(tmp_path: Path, sqlite_url: str, scripts: Path) -> None:
    upgrade(sqlite_url, scripts)
    other = sqlite3.connect(tmp_path / "test.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable) as caught:
        upgrade(sqlite_url, scripts, lock_wait_s=0.05)
    other.close()
    assert caught.value.reason == "DATABASE_BUSY"


@pytest.mark.postgres
def test_a_replica_waits_for_another_that_migrates(postgres_url: str, scripts: Path) -> None:
    with psycopg.connect(postgres_url) as other:
        other.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK_KEY,))
        with pytest.raises(Unavailable) as caught:
            upgrade(postgres_url, scripts, lock_wait_s=0.05)
    assert caught.value.reason == "DATABASE_BUSY"
    upgrade(postgres_url, scripts)
    assert _columns(postgres_url) == {"books": ["title"]}


def test_differences_between_the_schema_and_the_code_are_found(database_url: str, scripts: Path) -> None:
    upgrade(database_url, scripts)
    metadata = MetaData()
    books = Table("books", metadata, Column("title", String(100), primary_key=True))
    assert differences(database_url, metadata) == []
    books.append_column(Column("pages", Integer))
    assert [difference[0] for difference in differences(database_url, metadata)] == ["add_column"]


def test_a_server_that_is_not_there_is_unavailable(scripts: Path) -> None:
    with pytest.raises(Unavailable) as caught:
        upgrade("postgresql://gatehouse:sk-canary@127.0.0.1:1/library", scripts)
    assert "canary" not in repr(caught.value)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path, scripts: Path) -> None:
    (tmp_path / "x.db").write_bytes(b"something else " * 100)
    with pytest.raises(DatabaseUnusable):
        upgrade(f"sqlite:///{tmp_path}/x.db", scripts)
