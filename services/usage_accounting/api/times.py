"""Times of protobuf as microseconds, and back."""

from __future__ import annotations

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from libs.core.validation import FieldChecks
from services.usage_accounting.domain.attempt import MICROSECONDS

_NANOS_PER_MICRO = 1_000
_MAX_NANOS = 999_999_999
# 2000-01-01 to 9999-12-31: an attempt outside of it is a clock gone wrong.
_EARLIEST_S = 946_684_800
_LATEST_S = 253_402_300_799


def timestamp_us(check: FieldChecks, field: str, time: Timestamp) -> int:
    """Microseconds since 1970, rounded down. An unset time reads as 0 and is the caller's to refuse."""
    seconds, nanos = time.seconds, time.nanos
    if seconds or nanos:
        check.that(
            _EARLIEST_S <= seconds <= _LATEST_S and 0 <= nanos <= _MAX_NANOS, field, "must be a time from 2000 to 9999"
        )
    return seconds * MICROSECONDS + nanos // _NANOS_PER_MICRO


def duration_us(duration: Duration) -> int:
    """Microseconds, rounded down."""
    return duration.seconds * MICROSECONDS + duration.nanos // _NANOS_PER_MICRO


def set_timestamp(message: Timestamp, time_us: int) -> None:
    """Fill `message` with microseconds since 1970."""
    message.seconds, micros = divmod(time_us, MICROSECONDS)
    message.nanos = micros * _NANOS_PER_MICRO


def set_duration(message: Duration, span_us: int) -> None:
    """Fill `message` with a span that is not negative."""
    message.seconds, micros = divmod(span_us, MICROSECONDS)
    message.nanos = micros * _NANOS_PER_MICRO
