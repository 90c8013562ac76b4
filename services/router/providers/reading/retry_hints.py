"""How long a provider asks to wait, in all spellings."""

from __future__ import annotations

import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from services.router.providers.reading.json_values import Json

LONGEST_HINT_S = 86_400.0
"""Hints beyond a day are cut to it: nobody waits longer on a word."""

_RETRY_INFO = "type.googleapis.com/google.rpc.RetryInfo"


def retry_after_s(headers: Mapping[str, str], error: Json) -> float | None:
    """The provider's hint in seconds, 0 to a day; None without a usable one.

    From `retry-after-ms` or `retry-after` (seconds or a date), else from a `google.rpc.RetryInfo` in the error.
    """
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = headers.get(name)
        if value is not None:
            seconds = _seconds(value, unit)
            if seconds is None and name == "retry-after":
                seconds = _seconds_until(value, headers.get("date"))
            # NaN is not at least 0 either.
            if seconds is not None and seconds >= 0:
                return min(seconds, LONGEST_HINT_S)
    return _from_retry_info(error)


def _from_retry_info(error: Json) -> float | None:
    details = error.get("details")
    for detail in details if isinstance(details, list) else ():
        if isinstance(detail, dict) and detail.get("@type") == _RETRY_INFO:
            delay = detail.get("retryDelay")
            seconds = _seconds(delay.removesuffix("s"), 1.0) if isinstance(delay, str) else None
            if seconds is not None and seconds >= 0:
                return min(seconds, LONGEST_HINT_S)
    return None


def _seconds(value: str, unit: float) -> float | None:
    try:
        return float(value) * unit
    except ValueError:
        return None


def _seconds_until(value: str, now: str | None) -> float | None:
    """Seconds to an HTTP date, by the provider's own clock where it shows it; 0 for a date gone by."""
    try:
        then = parsedate_to_datetime(value).timestamp()
    except (ValueError, OverflowError):
        return None
    try:
        base = parsedate_to_datetime(now).timestamp() if now else time.time()
    except (ValueError, OverflowError):
        base = time.time()
    return max(0.0, then - base)
