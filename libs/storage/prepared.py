"""Statements of the hot path: written with SQLAlchemy, compiled once, run as the driver likes them best.

Running a Core statement with thirty rows of thirty columns spends four fifths of its time on turning dictionaries
into the driver's parameters. A prepared statement takes tuples, as the driver does.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    BindParameter,
    Case,
    Column,
    ColumnElement,
    Connection,
    Executable,
    Row,
    Select,
    Table,
    bindparam,
    case,
    literal_column,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import psycopg
from sqlalchemy.engine import Dialect
from sqlalchemy.sql.compiler import SQLCompiler

# Lists of values are filled up to the next of these sizes with their last value, so that there are few statements.
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)

MOST: ColumnElement[int] = literal_column(str(2**63 - 1), BigInteger)
"""The most that a column of 64 bits holds, in SQL."""

# A literal value would become a parameter that nobody gives.
_ZERO: ColumnElement[int] = literal_column("0", BigInteger)

_DIALECTS: dict[str, Dialect] = {
    "sqlite": sqlite.dialect(),
    "postgresql": psycopg.dialect(paramstyle="format"),  # type: ignore[no-untyped-call]
}


def _insert(dialect: str, table: Table) -> sqlite.Insert | postgresql.Insert:
    return sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)


class Prepared:
    """A statement for tuples of parameters, each in the order in which the SQL names them."""

    def __init__(self, build: Callable[[str], Executable], parameters: Sequence[str]) -> None:
        self._sql = {name: _compile(build(name), dialect, parameters) for name, dialect in _DIALECTS.items()}

    def rows(self, connection: Connection, parameters: tuple[Any, ...]) -> Sequence[Row[Any]]:
        """Run it once and fetch what it finds."""
        return connection.exec_driver_sql(self._sql[connection.dialect.name], parameters).fetchall()

    def many(self, connection: Connection, parameters: Sequence[tuple[Any, ...]]) -> None:
        """Run it for each tuple."""
        sql = self._sql[connection.dialect.name]
        connection.exec_driver_sql(sql, list(parameters) if len(parameters) > 1 else parameters[0])


class Lookup:
    """A SELECT of the rows whose `column` has one of some values.

    `leading` names parameters that the SELECT has already.
    """

    def __init__(self, select: Select[Any], column: Column[Any], *, leading: Sequence[str] = ()) -> None:
        self._select = select
        self._column = column
        self._leading = tuple(leading)
        self._prepared = cache(self._prepare)

    def rows(self, connection: Connection, values: Collection[str], *leading: Any) -> list[Row[Any]]:
        """The rows; any number of values."""
        asked = list(values)
        found: list[Row[Any]] = []
        for start in range(0, len(asked), _SIZES[-1]):
            part = asked[start : start + _SIZES[-1]]
            size = next(size for size in _SIZES if size >= len(part))
            part.extend(part[-1:] * (size - len(part)))
            found.extend(self._prepared(size).rows(connection, (*leading, *part)))
        return found

    def _prepare(self, size: int) -> Prepared:
        names = [f"value_{number}" for number in range(size)]
        chosen = self._select.where(self._column.in_([bindparam(name) for name in names]))
        return Prepared(lambda _: chosen, (*self._leading, *names))


def insertion(table: Table, columns: Sequence[str]) -> Prepared:
    """An INSERT of rows with `columns`."""
    return Prepared(lambda dialect: _insert(dialect, table).values(_binds(columns)), columns)


def addition(table: Table, key: Sequence[str], sums: Sequence[str]) -> Prepared:
    """An INSERT of rows with `key` and `sums`, or where the key exists already, an addition of the sums to it.

    A sum of 64 bits stops at the most and the least it can hold: past it SQLite would go on with floats, and PostgreSQL
    refuse the whole batch for one row's sake.
    """

    def build(dialect: str) -> Executable:
        insert = _insert(dialect, table).values(_binds((*key, *sums)))
        added = {name: _bounded_sum(table.c[name], insert.excluded[name]) for name in sums}
        return insert.on_conflict_do_update(index_elements=list(key), set_=added)

    return Prepared(build, (*key, *sums))


def _bounded_sum(present: Column[int], added: ColumnElement[int]) -> Case[int]:
    """Nested, for SQL takes no turns in AND: neither difference may be formed where it does not fit itself."""
    return case(
        (added > _ZERO, case((present > MOST - added, MOST), else_=present + added)),
        else_=case((present < -MOST - added, -MOST), else_=present + added),
    )


def _binds(columns: Sequence[str]) -> dict[str, BindParameter[Any]]:
    return {name: bindparam(name) for name in columns}


def _compile(statement: Executable, dialect: Dialect, parameters: Sequence[str]) -> str:
    compiled = statement.compile(dialect=dialect)  # type: ignore[attr-defined]  # every Executable here is an element
    if not isinstance(compiled, SQLCompiler) or list(compiled.positiontup or ()) != list(parameters):
        raise AssertionError("the parameters are not named in the order of the SQL")
    return str(compiled)
