"""What storage raises beyond `libs.core.errors`, without a word of the driver's own text.

A driver's message may quote the values of a row ("Key (name)=(…) already exists"), so no such text, and no
exception holding one, leaves `libs.storage`: these errors carry codes, constraint names and nothing else.
"""

from __future__ import annotations

import enum

_MAX_STATEMENT = 500


class StorageError(Exception):
    """Base of the errors below: each is a defect or must be mapped by a repository, none is meant for a client."""


class InvalidDatabaseUrl(StorageError):
    """The configured database URL is of no use. The text never repeats the URL: it may hold a password."""


class DatabaseUnusable(StorageError):
    """The database file or server can be reached but not used, and waiting does not help."""


class ConstraintKind(enum.Enum):
    """Which sort of constraint was violated."""

    UNIQUE = "unique"
    FOREIGN_KEY = "foreign key"
    NOT_NULL = "not null"
    CHECK = "check"
    OTHER = "other"


class Conflict(StorageError):
    """A work broke a constraint and let the error escape; repositories map expected ones with `on_duplicate`.

    `constraint` is its name where the database tells (PostgreSQL), else None.
    """

    def __init__(self, kind: ConstraintKind, constraint: str | None = None) -> None:
        super().__init__(f"a {kind.value} constraint was violated" + (f": {constraint}" if constraint else ""))
        self.kind = kind
        self.constraint = constraint


class StatementFailed(StorageError):
    """A statement the database refused: a defect in the code. Holds the SQL with placeholders, never a value."""

    def __init__(self, code: str, statement: str | None = None) -> None:
        sql = f": {' '.join(statement.split())[:_MAX_STATEMENT]}" if statement else ""
        super().__init__(f"the database refused a statement ({code}){sql}")
        self.code = code
        self.statement = statement
