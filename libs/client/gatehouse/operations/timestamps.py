"""Times on their way into a request."""

from __future__ import annotations

from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp


def timestamp_of(time: datetime | None) -> Timestamp | None:
    """The same time in a message. Raises ValueError for one without a time zone."""
    if time is None:
        return None
    if time.tzinfo is None:
        raise ValueError("a time needs its time zone: datetime(..., tzinfo=UTC)")
    timestamp = Timestamp()
    timestamp.FromDatetime(time)
    return timestamp
