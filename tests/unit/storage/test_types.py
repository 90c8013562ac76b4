"""Column types."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.dialects import sqlite

from libs.storage.types import ColumnValueError, Int64, JsonText, Money, UtcDateTime

_DIALECT = sqlite.dialect()


@given(st.datetimes(timezones=st.timezones()))
def test_a_time_survives_to_the_microsecond_and_comes_back_as_utc(moment: datetime) -> None:
    column = UtcDateTime()
    stored = column.process_bind_param(moment, _DIALECT)
    loaded = column.process_result_value(stored, _DIALECT)
    assert loaded is not None
    assert loaded == moment.astimezone(UTC)
    assert loaded.tzinfo is UTC


def test_times_sort_as_numbers_also_before_1970() -> None:
    column = UtcDateTime()
    moments = [datetime(1969, 12, 31, 23, 59, 59, 999_999, UTC) + timedelta(microseconds=n) for n in range(3)]
    assert [column.process_bind_param(moment, _DIALECT) for moment in moments] == [-1, 0, 1]


def test_a_time_without_zone_is_refused() -> None:
    with pytest.raises(ColumnValueError):
        UtcDateTime().process_bind_param(datetime(2026, 1, 1), _DIALECT)  # noqa: DTZ001 - the point


def test_a_time_in_another_zone_is_the_same_moment() -> None:
    column = UtcDateTime()
    here = datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=5)))
    assert column.process_bind_param(here, _DIALECT) == column.process_bind_param(here.astimezone(UTC), _DIALECT)


@given(st.recursive(st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(), st.lists, max_leaves=5))
def test_json_survives(value: Any) -> None:
    column = JsonText()
    assert column.process_result_value(column.process_bind_param(value, _DIALECT), _DIALECT) == value


def test_equal_json_objects_are_stored_as_the_same_text() -> None:
    column = JsonText()
    assert column.process_bind_param({"b": 1, "a": 2}, _DIALECT) == column.process_bind_param(
        {"a": 2, "b": 1}, _DIALECT
    )


def test_what_json_cannot_hold_is_refused_without_quoting_it() -> None:
    with pytest.raises(ColumnValueError) as caught:
        JsonText().process_bind_param({"key": {"sk-canary"}}, _DIALECT)
    assert "canary" not in str(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.parametrize("value", [1.0, True, 2**63, -(2**63) - 1, "1"])
@pytest.mark.parametrize("column", [Int64(), Money()])
def test_only_64_bit_integers_are_stored(column: Int64, value: Any) -> None:
    with pytest.raises(ColumnValueError):
        column.process_bind_param(value, _DIALECT)


@pytest.mark.parametrize("value", [0, -1, 2**63 - 1, -(2**63), None])
def test_every_64_bit_integer_is_stored(value: int | None) -> None:
    assert Int64().process_bind_param(value, _DIALECT) == value
