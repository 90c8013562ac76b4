"""The tables the storage tests use."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import CheckConstraint, Column, Connection, ForeignKey, MetaData, String, Table, func, insert, select

from libs.storage.idempotency import request_table
from libs.storage.types import Int64, JsonText, Money, RowId, UtcDateTime

metadata = MetaData()

notes = Table(
    "notes",
    metadata,
    Column("name", String(100), primary_key=True),
    Column("size", Int64, CheckConstraint("size >= 0", name="size_not_negative"), nullable=False),
    Column("time", UtcDateTime),
    Column("labels", JsonText),
    Column("cost_nano_usd", Money),
)

remarks = Table(
    "remarks",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("note", String(100), ForeignKey("notes.name")),
)

requests = request_table(metadata)


def add(name: str, size: int = 0) -> Callable[[Connection], str]:
    """A work that inserts a note and returns its name."""

    def work(connection: Connection) -> str:
        connection.execute(insert(notes).values(name=name, size=size))
        return name

    return work


def names(connection: Connection) -> list[str]:
    """A work that reads the names of all notes, in order."""
    return list(connection.scalars(select(notes.c.name).order_by(notes.c.name)))


def count(connection: Connection) -> int:
    """A work that counts the notes."""
    return connection.scalars(select(func.count()).select_from(notes)).one()
