"""Durations as people write them: `250ms`, `30s`, `1m30s`, `2h`, `30d`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from google.protobuf.duration_pb2 import Duration

_UNITS = {"d": 86_400_000_000_000, "h": 3_600_000_000_000, "m": 60_000_000_000, "s": 1_000_000_000, "ms": 1_000_000}
_PARTS = re.compile(r"(?:(\d{1,6}(?:\.\d{1,9})?)(ms|[dhms]))")
_WHOLE = re.compile(rf"(?:{_PARTS.pattern})+")
_MOST_NS = 366 * _UNITS["d"]


def nanoseconds_of(text: str) -> int:
    """`1m30s` in nanoseconds. Raises ValueError for anything else, and beyond a year."""
    text = text.strip().replace(" ", "")
    if not _WHOLE.fullmatch(text):
        raise ValueError("must be a duration such as 250ms, 30s, 5m or 1h")
    total = 0
    for amount, unit in _PARTS.findall(text):
        whole, _, fraction = amount.partition(".")
        total += int(whole) * _UNITS[unit]
        # Exact: a nanosecond is the finest there is.
        total += int(fraction.ljust(9, "0")) * _UNITS[unit] // 1_000_000_000 if fraction else 0
    if total > _MOST_NS:
        raise ValueError("must be at most a year")
    return total


def written(nanoseconds: int) -> str:
    """The shortest such text: `1m30s`, `250ms`, `0s`; the inverse of `nanoseconds_of`."""
    parts, left = [], nanoseconds
    for unit, size in list(_UNITS.items())[:-2]:
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}{unit}")
    seconds, rest = divmod(left, _UNITS["s"])
    if rest and not seconds and not rest % _UNITS["ms"]:
        parts.append(f"{rest // _UNITS['ms']}ms")
    elif rest:
        parts.append(f"{seconds}.{rest:09d}".rstrip("0") + "s")
    elif seconds or not parts:
        parts.append(f"{seconds}s")
    return "".join(parts)


def duration_message(nanoseconds: int) -> Duration:
    """As a message."""
    from google.protobuf.duration_pb2 import Duration

    duration = Duration()
    duration.FromNanoseconds(nanoseconds)
    return duration
