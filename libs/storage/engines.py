"""Engines for a database URL: what SQLite and PostgreSQL need to behave alike.

Writers see the newest committed state and change it; readers see one snapshot per transaction and cannot
change anything.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from pathlib import Path
from typing import Any, Protocol

import psycopg
from psycopg.pq import TransactionStatus
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import ConnectionPoolEntry, NullPool

from libs.storage.errors import DatabaseUnusable, InvalidDatabaseUrl

_OWNER_ONLY = 0o600
_POSTGRES_DRIVERS = frozenset({"postgresql", "postgres", "postgresql+psycopg"})
# A write-ahead log that grew under a long reader shrinks back to this at the next checkpoint.
_WAL_SIZE_LIMIT_BYTES = 64 * 1024 * 1024


class Backend(Protocol):
    """One database, SQLite or PostgreSQL. Engines hold no idle connections: whoever connects keeps it."""

    def prepare(self) -> None:
        """Make what can be made before the first connection. Raises DatabaseUnusable."""
        ...

    def writer(self) -> Engine:
        """Transactions that change data; on SQLite they take the write lock when they begin."""
        ...

    def reader(self) -> Engine:
        """Read-only transactions, each on one snapshot."""
        ...

    def migrator(self, *, lock_wait_s: float) -> Engine:
        """Transactions that change the schema, without limits on how long a statement runs."""
        ...

    def commit_would_hold(self, connection: Connection) -> bool:
        """Whether COMMIT would store what was done.

        A driver's commit() says nothing when the transaction is gone or failed: PostgreSQL turns COMMIT into
        ROLLBACK after a failed statement, SQLite rolls back by itself when the disk is full.
        """
        ...


def backend_for(url: str, *, lock_wait_s: float = 5.0, connect_timeout_s: float = 5.0) -> Backend:
    """The backend for `sqlite:////absolute/path.db` or `postgresql://user:password@host/database`.

    Percent-encode what is special in a URL. `lock_wait_s`: how long a statement waits for another's lock.
    Raises InvalidDatabaseUrl.
    """
    problem = "is neither sqlite:////absolute/path.db nor postgresql://user@host/database"
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        parsed = None
    if parsed is None or not parsed.database:
        raise InvalidDatabaseUrl(f"the database URL {problem}")
    if parsed.drivername == "sqlite":
        path = Path(parsed.database)
        if not path.is_absolute() or parsed.query or parsed.host:
            raise InvalidDatabaseUrl("an SQLite URL has an absolute path and nothing else: sqlite:////absolute/path.db")
        return SqliteBackend(path, lock_wait_s=lock_wait_s)
    if parsed.drivername in _POSTGRES_DRIVERS:
        return PostgresBackend(
            parsed.set(drivername="postgresql+psycopg"), lock_wait_s=lock_wait_s, connect_timeout_s=connect_timeout_s
        )
    raise InvalidDatabaseUrl(f"the database URL {problem}")


class SqliteBackend:
    """A database file: write-ahead log, every commit on disk before it is reported, foreign keys enforced."""

    def __init__(self, path: Path, *, lock_wait_s: float) -> None:
        self._path = path
        self._lock_wait_s = lock_wait_s

    def prepare(self) -> None:
        """Make the file, readable by its owner only, and put it in WAL mode (which stays with the file)."""
        try:
            # SQLite gives the -wal and -shm files the mode of the database file.
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _OWNER_ONLY))
            if stat.S_IMODE(self._path.stat().st_mode) != _OWNER_ONLY:
                self._path.chmod(_OWNER_ONLY)
        except OSError as error:
            raise DatabaseUnusable(f"cannot open the database file {self._path}: {error.strerror}") from None
        try:
            connection = sqlite3.connect(self._path, timeout=self._lock_wait_s)
            try:
                (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
            finally:
                connection.close()
        except sqlite3.Error as error:
            raise DatabaseUnusable(f"cannot use the database file {self._path}: {error.sqlite_errorname}") from None
        if mode != "wal":
            raise DatabaseUnusable(f"the file system of {self._path} does not support SQLite's write-ahead log")

    def writer(self) -> Engine:
        """`BEGIN IMMEDIATE`: a deferred one that reads first could fail when it starts to write."""
        return self._engine("BEGIN IMMEDIATE", "PRAGMA foreign_keys = ON")

    def reader(self) -> Engine:
        """A deferred BEGIN: the snapshot is taken by the first statement and holds until the end."""
        return self._engine("BEGIN", "PRAGMA query_only = ON")

    def migrator(self, *, lock_wait_s: float) -> Engine:
        """Foreign keys stay off: changing a table on SQLite means replacing it."""
        return self._engine("BEGIN IMMEDIATE", lock_wait_s=lock_wait_s)

    def commit_would_hold(self, connection: Connection) -> bool:
        """Whether the transaction still exists."""
        driver = connection.connection.driver_connection
        return isinstance(driver, sqlite3.Connection) and driver.in_transaction

    def _engine(self, begin: str, *pragmas: str, lock_wait_s: float | None = None) -> Engine:
        busy_timeout_s = self._lock_wait_s if lock_wait_s is None else lock_wait_s
        engine = create_engine(
            URL.create("sqlite", database=str(self._path)),
            poolclass=NullPool,
            hide_parameters=True,
            connect_args={"check_same_thread": False},
        )

        @event.listens_for(engine, "connect")
        def configure(connection: sqlite3.Connection, _record: ConnectionPoolEntry) -> None:
            # The module's own, legacy transaction control is off: SQLAlchemy begins (see below).
            connection.isolation_level = None
            for pragma in (
                f"PRAGMA busy_timeout = {round(busy_timeout_s * 1000)}",
                "PRAGMA synchronous = FULL",
                f"PRAGMA journal_size_limit = {_WAL_SIZE_LIMIT_BYTES}",
                *pragmas,
            ):
                connection.execute(pragma).close()

        @event.listens_for(engine, "begin")
        def start(connection: Connection) -> None:
            connection.exec_driver_sql(begin)

        return engine


class PostgresBackend:
    """A PostgreSQL database through psycopg 3."""

    def __init__(self, url: URL, *, lock_wait_s: float, connect_timeout_s: float) -> None:
        self._url = url
        self._lock_wait_s = lock_wait_s
        self._connect_timeout_s = connect_timeout_s

    def prepare(self) -> None:
        """Nothing: the server may still be starting, and whoever needs it waits."""

    def writer(self) -> Engine:
        """READ COMMITTED: works take the row locks they need (`with_for_update`)."""
        return self._engine(lock_timeout_s=self._lock_wait_s, statement_timeout_s=_STATEMENT_TIMEOUT_S)

    def reader(self) -> Engine:
        """REPEATABLE READ, READ ONLY: one snapshot, as on SQLite."""
        engine = self._engine(lock_timeout_s=self._lock_wait_s, statement_timeout_s=_STATEMENT_TIMEOUT_S)

        @event.listens_for(engine, "connect")
        def configure(connection: Any, _record: ConnectionPoolEntry) -> None:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            connection.read_only = True

        return engine

    def migrator(self, *, lock_wait_s: float) -> Engine:
        """Waits for locks as long as it is told, and lets statements run."""
        return self._engine(lock_timeout_s=lock_wait_s, statement_timeout_s=0)

    def commit_would_hold(self, connection: Connection) -> bool:
        """Whether no statement failed; known here, without asking the server. IDLE: nothing was executed at all."""
        driver = connection.connection.driver_connection
        if not isinstance(driver, psycopg.Connection):
            return False
        return driver.info.transaction_status in {TransactionStatus.INTRANS, TransactionStatus.IDLE}

    def _engine(self, *, lock_timeout_s: float, statement_timeout_s: float) -> Engine:
        settings = {
            "lock_timeout": round(lock_timeout_s * 1000),
            "statement_timeout": round(statement_timeout_s * 1000),
            "idle_in_transaction_session_timeout": round(_IDLE_TRANSACTION_S * 1000),
        }
        given = self._url.query.get("options", "")
        options = given if isinstance(given, str) else " ".join(given)
        return create_engine(
            self._url,
            poolclass=NullPool,
            hide_parameters=True,
            connect_args={
                "connect_timeout": max(1, round(self._connect_timeout_s)),
                "application_name": "gatehouse",
                # A server that vanished without a word is noticed after ten seconds, not after two hours.
                "tcp_user_timeout": 10_000,
                "keepalives_idle": 10,
                "keepalives_interval": 5,
                "keepalives_count": 3,
                "options": " ".join([options, *(f"-c {name}={value}" for name, value in settings.items())]).strip(),
            },
        )


# Longer than any statement of ours takes, shorter than a caller's patience with a stuck server.
_STATEMENT_TIMEOUT_S = 30.0
# A process that was stopped in mid-transaction must not hold its row locks for ever.
_IDLE_TRANSACTION_S = 60.0
