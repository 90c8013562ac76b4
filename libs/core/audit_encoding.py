"""The one way audit records become bytes, so that whoever hashes or signs them gets the same bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# Every JSON implementation holds integers up to here exactly, also those that only know doubles (RFC 8785).
_MAX_EXACT = 2**53 - 1

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")).encode


def canonical_json(fields: Mapping[str, object]) -> bytes:
    r"""`fields` as canonical JSON in UTF-8: keys sorted, no spaces, nothing escaped that need not be.

    These are the bytes of RFC 8785 (JSON Canonicalization Scheme) as long as keys are ASCII and numbers are integers
    below 2**53: strings escape `"`, `\` and the characters below U+0020 only, as `\b`, `\t`, `\n`, `\f`, `\r`
    or `\u00xx` in lower case; everything else stands for itself. Raises UnicodeEncodeError for a lone surrogate.
    """
    return _encode(fields).encode()


def unix_microseconds(time: datetime) -> int:
    """`time` in microseconds since 1970 UTC, exactly.

    Raises ValueError unless it is in UTC and lies between 1970 and 2255, where every JSON implementation is exact.
    """
    if time.utcoffset() != timedelta(0):
        raise ValueError("the time must be in UTC")
    microseconds = (time - _EPOCH) // _MICROSECOND
    if not 0 <= microseconds <= _MAX_EXACT:
        raise ValueError("the time must lie between 1970 and 2255")
    return microseconds


def from_unix_microseconds(microseconds: int) -> datetime:
    """The time in UTC that `unix_microseconds` gave. Raises ValueError for what it never gives."""
    if not 0 <= microseconds <= _MAX_EXACT:
        raise ValueError("the time must lie between 1970 and 2255")
    return _EPOCH + timedelta(microseconds=microseconds)
