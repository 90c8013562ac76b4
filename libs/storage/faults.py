"""Reads what went wrong out of a driver's exception, and turns it into an error that may travel.

Codes only: SQLite's result codes (https://sqlite.org/rescode.html) and PostgreSQL's SQLSTATEs
(https://www.postgresql.org/docs/current/errcodes-appendix.html).
"""

from __future__ import annotations

import enum
import sqlite3

import psycopg
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError, StatementError

from libs.core.errors import Unavailable
from libs.storage.errors import Conflict, ConstraintKind, StatementFailed, StorageError

# A second is long for a database that only restarts, and short for a caller that waits.
_RETRY_DELAY_S = 1.0


class Fault(enum.Enum):
    """What a driver's error means for the works of a transaction."""

    LOST = "lost"  # the connection is gone or was never there
    CONTENTION = "contention"  # serialization failure or deadlock: rolled back for certain, run it again
    BUSY = "busy"  # a lock or time limit; the transaction may go on or be rolled back
    FULL = "full"  # no space
    READ_ONLY = "read only"  # a write where none is possible
    CONSTRAINT = "constraint"
    DEFECT = "defect"  # a wrong statement or value


# Primary result codes (the low byte of the extended code).
_SQLITE_FAULTS = {
    sqlite3.SQLITE_BUSY: Fault.BUSY,
    sqlite3.SQLITE_LOCKED: Fault.BUSY,
    sqlite3.SQLITE_INTERRUPT: Fault.BUSY,
    sqlite3.SQLITE_FULL: Fault.FULL,
    sqlite3.SQLITE_CONSTRAINT: Fault.CONSTRAINT,
    sqlite3.SQLITE_IOERR: Fault.LOST,
    sqlite3.SQLITE_CANTOPEN: Fault.LOST,
    sqlite3.SQLITE_READONLY: Fault.READ_ONLY,
    sqlite3.SQLITE_CORRUPT: Fault.LOST,
    sqlite3.SQLITE_NOTADB: Fault.LOST,
    sqlite3.SQLITE_NOMEM: Fault.LOST,
}
_SQLITE_CONSTRAINTS = {
    sqlite3.SQLITE_CONSTRAINT_UNIQUE: ConstraintKind.UNIQUE,
    sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY: ConstraintKind.UNIQUE,
    sqlite3.SQLITE_CONSTRAINT_ROWID: ConstraintKind.UNIQUE,
    sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY: ConstraintKind.FOREIGN_KEY,
    sqlite3.SQLITE_CONSTRAINT_NOTNULL: ConstraintKind.NOT_NULL,
    sqlite3.SQLITE_CONSTRAINT_CHECK: ConstraintKind.CHECK,
}

# Longest prefix wins.
_POSTGRES_FAULTS = {
    "40001": Fault.CONTENTION,
    "40P01": Fault.CONTENTION,
    "55P03": Fault.BUSY,  # lock_not_available
    "57014": Fault.BUSY,  # query_canceled, by statement_timeout
    "53": Fault.LOST,  # insufficient resources, too many connections
    "53100": Fault.FULL,
    "08": Fault.LOST,  # connection exceptions
    "57P": Fault.LOST,  # shutdown, crash, starting up
    "28": Fault.LOST,  # refused at connect: wrong role or password
    "3D000": Fault.LOST,  # the database does not exist (yet)
    "25006": Fault.READ_ONLY,  # for a writer: this server became a standby, reconnecting finds the primary
    "25P03": Fault.LOST,  # idle_in_transaction_session_timeout
    "58": Fault.LOST,  # system errors: I/O
    "23": Fault.CONSTRAINT,
}
_POSTGRES_CONSTRAINTS = {
    "23505": ConstraintKind.UNIQUE,
    "23P01": ConstraintKind.UNIQUE,  # exclusion
    "23503": ConstraintKind.FOREIGN_KEY,
    "23502": ConstraintKind.NOT_NULL,
    "23514": ConstraintKind.CHECK,
}


_DRIVER_ERRORS = (SQLAlchemyError, sqlite3.Error, psycopg.Error)


def classify(error: SQLAlchemyError) -> Fault:
    """What `error` means."""
    if isinstance(error, DBAPIError):
        if error.connection_invalidated:
            return Fault.LOST
        return _classify_driver(error.orig)
    return Fault.DEFECT


def constraint_kind(error: IntegrityError) -> ConstraintKind:
    """Which sort of constraint `error` is about."""
    match error.orig:
        case sqlite3.Error() as driver:
            return _SQLITE_CONSTRAINTS.get(_sqlite_code(driver), ConstraintKind.OTHER)
        case psycopg.Error() as driver:
            return _POSTGRES_CONSTRAINTS.get(driver.sqlstate or "", ConstraintKind.OTHER)
        case _:
            return ConstraintKind.OTHER


def translate(  # noqa: PLR0911 - one return for each fault
    error: SQLAlchemyError,
    database: str,
    *,
    lost: bool = False,
    reading: bool = False,
    outcome_unknown: bool = False,
) -> Exception:
    """The error callers get instead of `error`: Unavailable, Conflict or StatementFailed.

    `lost`: the connection is known to be gone, whatever `error` says.
    `reading`: the work was a read, so that a write in it is a defect, not a server that became a standby.
    `outcome_unknown`: the connection broke during COMMIT, so the work may have been stored.
    Raise the result outside the `except` block, so that `error` does not travel as its context.
    """
    match Fault.LOST if lost else classify(error):
        case Fault.READ_ONLY if reading:
            return _defect(error)
        case Fault.LOST | Fault.READ_ONLY if outcome_unknown:
            text = f"the connection to the {database} database broke during a commit; the change may be stored"
            return unavailable("DATABASE_UNAVAILABLE", database, text, outcome="unknown")
        case Fault.LOST | Fault.READ_ONLY:
            return unavailable("DATABASE_UNAVAILABLE", database, f"the {database} database cannot be used right now")
        case Fault.FULL:
            return unavailable("DATABASE_FULL", database, f"the {database} database has no space left")
        case Fault.BUSY | Fault.CONTENTION:
            return unavailable("DATABASE_BUSY", database, f"the {database} database is busy with other changes")
        case Fault.CONSTRAINT:
            return _conflict(error)
        case Fault.DEFECT:
            return _defect(error)


def for_caller(error: Exception) -> Exception:
    """`error`, raised by a work, cut off from the driver's errors it was raised from: their texts hold values."""
    if isinstance(error, _DRIVER_ERRORS):
        return StatementFailed(type(error).__name__)
    link: BaseException | None = error
    seen: set[int] = set()
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        if isinstance(link.__cause__, _DRIVER_ERRORS):
            link.__cause__ = None
        if isinstance(link.__context__, _DRIVER_ERRORS):
            link.__context__ = None
        link = link.__cause__ or link.__context__
    return error


def unavailable(reason: str, database: str, message: str, **metadata: str) -> Unavailable:
    """An Unavailable of the database called `database`, worth trying again in a second."""
    return Unavailable(reason, message, metadata={"database": database, **metadata}, retry_delay_s=_RETRY_DELAY_S)


def code_of(error: SQLAlchemyError) -> str:
    """A code that may be logged: SQLSTATE, SQLite's name of the result code, or the exception's class."""
    driver = error.orig if isinstance(error, StatementError) else None
    match driver:
        case sqlite3.Error():
            name: str | None = getattr(driver, "sqlite_errorname", None)
        case psycopg.Error():
            name = driver.sqlstate
        case _:
            name = None
    return name or type(driver or error).__name__


def _classify_driver(driver: BaseException | None) -> Fault:
    match driver:
        case sqlite3.Error():
            return _SQLITE_FAULTS.get(_sqlite_code(driver) & 0xFF, Fault.DEFECT)
        case psycopg.Error() if driver.sqlstate:
            state = driver.sqlstate
            prefixes = (state, state[:3], state[:2])
            return next((_POSTGRES_FAULTS[prefix] for prefix in prefixes if prefix in _POSTGRES_FAULTS), Fault.DEFECT)
        case psycopg.OperationalError():
            # Everything a server says has a SQLSTATE; without one the connection failed or broke.
            return Fault.LOST
        case _:
            return Fault.DEFECT


def _sqlite_code(driver: sqlite3.Error) -> int:
    # Absent on errors the Python module raises itself, such as the use of a closed connection.
    code: int = getattr(driver, "sqlite_errorcode", sqlite3.SQLITE_MISUSE)
    return code


def _conflict(error: SQLAlchemyError) -> StorageError:
    if not isinstance(error, IntegrityError):
        return _defect(error)
    driver = error.orig
    constraint = driver.diag.constraint_name if isinstance(driver, psycopg.Error) else None
    return Conflict(constraint_kind(error), constraint)


def _defect(error: SQLAlchemyError) -> StorageError:
    return StatementFailed(code_of(error), error.statement if isinstance(error, StatementError) else None)
