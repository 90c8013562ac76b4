"""Column types that hold the same on SQLite and PostgreSQL.

Values a column cannot hold are refused with ColumnValueError on both, before they reach the driver.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import BigInteger, Dialect, Integer, Text
from sqlalchemy.types import TypeDecorator

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_INT64_MIN = -(2**63)
_INT64_MAX = 2**63 - 1


class ColumnValueError(ValueError):
    """A value that does not fit its column. The text never holds the value."""


class UtcDateTime(TypeDecorator[datetime]):
    """A point in time as integer microseconds since 1970 UTC: exact, and sorts and compares as a number.

    Takes timezone-aware datetimes only; gives UTC.
    """

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:  # noqa: ARG002 - overrides
        """Microseconds, computed in integers."""
        if value is None:
            return None
        if value.utcoffset() is None:
            raise ColumnValueError("a time column takes a timezone-aware datetime")
        return (value - _EPOCH) // _MICROSECOND

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - overrides
        """The time, in UTC."""
        return None if value is None else _EPOCH + timedelta(microseconds=value)


class JsonText(TypeDecorator[Any]):
    """A JSON value as text with sorted keys; Python's None is SQL NULL."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:  # noqa: ARG002 - overrides
        """The JSON text."""
        if value is None:
            return None
        try:
            return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
        except TypeError:
            # orjson's own text may quote what it was given.
            failure = ColumnValueError("a JSON column takes what JSON can hold")
        raise failure

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:  # noqa: ARG002 - overrides
        """The value."""
        return None if value is None else orjson.loads(value)


class Int64(TypeDecorator[int]):
    """An integer of 64 bits: counts, revisions, token numbers. Floats and booleans are refused."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: int | None, dialect: Dialect) -> int | None:  # noqa: ARG002 - overrides
        """The integer, when it is one and fits."""
        if value is None:
            return None
        # `type(...) is int` also refuses bool, which is an int to isinstance.
        if type(value) is not int or not _INT64_MIN <= value <= _INT64_MAX:
            raise ColumnValueError("an integer column takes an int of 64 bits")
        return value


class Money(Int64):
    """Exact money as an integer: nano-USD costs or pico-USD prices; name the unit in the column's name."""

    cache_ok = True


# For an autoincrementing primary key: SQLite counts up only in a column declared exactly INTEGER, also 64 bits.
RowId = BigInteger().with_variant(Integer(), "sqlite")
