"""A service's database that has an audit log and nothing else worth naming."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Column, Connection, MetaData, String, Table

from libs.core.audit import AuditEvent, AuditFilter, ChainedEvent
from libs.storage.audit_chain import append, list_events
from libs.storage.audit_tables import audit_tables
from libs.storage.engines import backend_for
from libs.storage.types import RowId
from tests.unit.core.audit_chains import SCOPE, SEAL, event

metadata = MetaData()
tables = audit_tables(metadata)
things = Table("things", metadata, Column("id", RowId, primary_key=True), Column("name", String(20), nullable=False))

_ENV = '''
"""Alembic's entry."""
from libs.storage.migrations import run_revisions
run_revisions()
'''
_REVISION = """
import sqlalchemy as sa
from alembic import op

from libs.storage.audit_protection import protect
from libs.storage.types import Int64, JsonText, RowId, UtcDateTime

revision = "0001"
down_revision = None


def upgrade():
    op.create_table(
        "things", sa.Column("id", RowId, primary_key=True), sa.Column("name", sa.String(20), nullable=False)
    )
    op.create_table(
        "audit_events",
        sa.Column("scope", sa.String(71), primary_key=True),
        sa.Column("sequence", Int64, primary_key=True, autoincrement=False),
        sa.Column("event_id", sa.String(36), nullable=False),
        sa.Column("time", UtcDateTime, nullable=False),
        sa.Column("actor", sa.String(512), nullable=False),
        sa.Column("roles", JsonText, nullable=False),
        sa.Column("address", sa.String(128), nullable=False),
        sa.Column("action", sa.String(64), nullable=False),
        sa.Column("target", sa.String(512), nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("reason", sa.String(128), nullable=False),
        sa.Column("request_id", sa.String(128), nullable=False),
        sa.Column("details", JsonText, nullable=False),
        sa.Column("previous_hash", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_audit_events_time", "audit_events", ["scope", "time"])
    op.create_index("ix_audit_events_actor", "audit_events", ["scope", "actor", "sequence"])
    op.create_index("ix_audit_events_target", "audit_events", ["scope", "target", "sequence"])
    op.create_table(
        "audit_heads",
        sa.Column("scope", sa.String(71), primary_key=True),
        sa.Column("sequence", Int64, nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("mac", sa.String(64), nullable=False),
    )
    protect(op.get_bind(), "audit_events")
"""


def write_migrations(directory: Path) -> Path:
    """A service's migrations folder below `directory`, as `upgrade` takes it."""
    folder = directory / "library" / "storage" / "migrations"
    (folder / "versions").mkdir(parents=True)
    (folder / "env.py").write_text(_ENV)
    (folder / "versions" / "0001_audit.py").write_text(_REVISION)
    return folder


def write_revision(folder: Path, revision: str, before: str, statement: str) -> None:
    """One more revision, of one statement."""
    (folder / "versions" / f"{revision}_more.py").write_text(
        f"import sqlalchemy as sa\nfrom alembic import op\nrevision = {revision!r}\ndown_revision = {before!r}\n"
        f"def upgrade():\n    {statement}\n"
    )


def add(*events: AuditEvent) -> Callable[[Connection], list[ChainedEvent]]:
    """A work that appends `events`."""
    return lambda connection: [append(connection, tables, each, seal=SEAL) for each in events]


def listed(
    wanted: AuditFilter | None = None, scope: str = SCOPE, limit: int = 100
) -> Callable[[Connection], list[int]]:
    """A work that lists sequences, newest first."""
    return lambda connection: [
        each.sequence for each in list_events(connection, tables, scope, wanted or AuditFilter(), limit=limit)
    ]


def numbered(count: int, scope: str = SCOPE) -> Sequence[AuditEvent]:
    """`count` events, told apart by their request ids."""
    return [event(scope=scope, request_id=f"r-{number}") for number in range(1, count + 1)]


@contextmanager
def database_owner(url: str) -> Iterator[Connection]:
    """A transaction of somebody who may do anything to the database, and starts by taking the triggers away."""
    engine = backend_for(url).migrator(lock_wait_s=5)
    with engine.begin() as connection:
        drop_triggers(connection)
        yield connection
    engine.dispose()


def drop_triggers(connection: Connection) -> None:
    """Undo what `protect` did against changes."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("ALTER TABLE audit_events DISABLE TRIGGER ALL")
        return
    for verb in ("update", "delete", "replace"):
        connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS audit_events_refuse_{verb}")
