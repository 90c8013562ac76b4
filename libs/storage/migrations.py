"""Brings a database's schema to the newest revision; safe when many replicas start at once.

Each service keeps its revisions in `services/<name>/storage/migrations/versions/` and an `env.py` of three lines:

    from libs.storage.migrations import run_revisions

    run_revisions()

All pending revisions run in one transaction, so a failed upgrade leaves the schema as it was.

On PostgreSQL the schema may belong to another role than the one the service works as: give `upgrade` the URL of the
owner and the service's role, and the service can change rows but no tables, and append-only tables only grow.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from pathlib import Path
from typing import Any

from alembic import command, context
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, func, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from libs.core.errors import FailedPrecondition
from libs.storage.engines import backend_for
from libs.storage.faults import translate
from libs.storage.grants import grant_service_role

# How long one replica waits for another that is migrating.
_LOCK_WAIT_S = 120.0
# Session-wide name of the advisory lock, the same in every release. Locks are per database, so one name is enough.
_LOCK_KEY = int.from_bytes(hashlib.sha256(b"gatehouse schema migration").digest()[:8], signed=True)


def upgrade(
    url: str,
    script_location: Path,
    *,
    service_role: str | None = None,
    append_only: Collection[str] = (),
    lock_wait_s: float = _LOCK_WAIT_S,
) -> None:
    """Bring the database to the newest revision found in `script_location`; blocks, so call it before serving.

    `service_role`: as whom the service works, where that is not the role in `url`; it is then granted what it needs and
    no more, of the `append_only` tables to read and to add rows only. SQLite has no roles.

    Raises FailedPrecondition `DATABASE_TOO_NEW` when the schema was made by a later version of this service,
    `DATABASE_ROLE_MISSING`, `DATABASE_ROLE_TOO_POWERFUL` and `DATABASE_GRANT_REFUSED` when `service_role` cannot be
    made one to work as, Unavailable when the database is down or another process holds the lock for longer than
    `lock_wait_s`, InvalidDatabaseUrl, DatabaseUnusable, and StatementFailed when a revision is wrong.
    """
    backend = backend_for(url, lock_wait_s=lock_wait_s)
    backend.prepare()
    engine = backend.migrator(lock_wait_s=lock_wait_s)
    config = _config(script_location)
    name = script_location.parent.parent.name
    try:
        # On SQLite, BEGIN IMMEDIATE is the lock.
        with engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(select(func.pg_advisory_xact_lock(_LOCK_KEY)))
            _refuse_newer(connection, config, name)
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            if service_role is not None and connection.dialect.name == "postgresql":
                grant_service_role(connection, service_role, append_only=append_only)
    except SQLAlchemyError as error:
        failure = translate(error, name)
    else:
        return
    finally:
        engine.dispose()
    raise failure


def run_revisions() -> None:
    """What an `env.py` calls: runs the revisions on the connection that `upgrade` opened."""
    context.configure(connection=context.config.attributes["connection"], render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()


def role_of(url: str) -> str | None:
    """The role a connection to `url` works as; None where the URL does not say. Raises InvalidDatabaseUrl."""
    backend_for(url)
    return make_url(url).username


def differences(url: str, metadata: MetaData) -> list[Any]:
    """What separates the migrated database from `metadata`; a service's test holds this against `[]`."""
    engine = backend_for(url).reader()
    try:
        with engine.connect() as connection:
            found: list[Any] = compare_metadata(MigrationContext.configure(connection), metadata)
    finally:
        engine.dispose()
    return found


def _config(script_location: Path) -> Config:
    config = Config()
    # The value goes through configparser, to which a percent sign is special.
    config.set_main_option("script_location", str(script_location).replace("%", "%%"))
    return config


def _refuse_newer(connection: Connection, config: Config, name: str) -> None:
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    unknown = sorted(set(MigrationContext.configure(connection).get_current_heads()) - known)
    if unknown:
        raise FailedPrecondition(
            "DATABASE_TOO_NEW",
            f"the {name} database has schema revision {unknown[0]}, which this version does not know: a newer "
            "version of Gatehouse made it. Start that version, or restore a backup from before its upgrade.",
            metadata={"database": name, "revision": unknown[0]},
        )
