"""Times and spans of time for people."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from gatehouse.cli.output import local_time

if TYPE_CHECKING:
    from google.protobuf.timestamp_pb2 import Timestamp

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
# From ten minutes on, seconds say nothing.
_COARSE_S = 600


def span(seconds: float, *, units: int = 2) -> str:
    """`1 h 30 min`, `45 s`: the largest units, rounded to the second, from ten minutes on to the minute."""
    left = round(seconds) if seconds < _COARSE_S else round(seconds / 60) * 60
    parts = []
    for size, unit in _UNITS:
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:units]) or "0 s"


def since(timestamp: Timestamp) -> str:
    """How long ago a time was, `34 d`; empty for one that is not set."""
    return span(max(0.0, time.time() - timestamp.seconds), units=1) if timestamp.seconds else ""


def ago(timestamp: Timestamp) -> str:
    """`3 min ago`; empty for a time that is not set."""
    return f"{since(timestamp)} ago" if timestamp.seconds else ""


def moment(timestamp: Timestamp) -> str:
    """`2026-01-31 12:00:00 (in 59 min)`, in this machine's time zone; empty for a time that is not set."""
    if not timestamp.seconds:
        return ""
    ahead = timestamp.seconds - time.time()
    return f"{local_time(timestamp)} ({f'in {span(ahead)}' if ahead > 0 else ago(timestamp)})"
