"""Times between messages and the domain."""

from __future__ import annotations

from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp

from libs.core.validation import FieldChecks

# What a datetime can hold, in seconds since 1970.
_LEAST_S = -62_135_596_800
_MOST_S = 253_402_300_799
_NANOS_PER_S = 1_000_000_000


def timestamp(time: datetime | None) -> Timestamp | None:
    """The message; None stays unset."""
    if time is None:
        return None
    message = Timestamp()
    message.FromDatetime(time)
    return message


def time_of(check: FieldChecks, field: str, message: Timestamp) -> datetime:
    """The time in UTC, cut to microseconds. `check` learns of one that is out of range."""
    if not (_LEAST_S <= message.seconds <= _MOST_S and 0 <= message.nanos < _NANOS_PER_S):
        check.fail(field, "is not a time between the years 1 and 9999")
        return datetime(1970, 1, 1, tzinfo=UTC)
    return message.ToDatetime(UTC)
