"""How long a provider asks to wait, in all spellings."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from services.router.providers.reading.json_values import Json

LONGEST_HINT_S = 86_400.0
"""Hints beyond a day are cut to it: nobody waits longer on a word."""

_RETRY_INFO = "type.googleapis.com/google.rpc.RetryInfo"
# As OpenAI and Groq put it ("Please try again in 1m12.5s", "in 20ms"), Azure ("retry after 26 seconds"), Gemini
# ("retry in 3.1s"). Inside a stream there are no headers, so the words are all there is.
_WORDS = re.compile(
    r"(?:try again|retry) (?:in|after) "
    r"(?:(?P<h>\d{1,3})h)?(?:(?P<m>\d{1,4})m(?!s))?"
    r"(?:(?P<s>\d{1,6}(?:\.\d{1,9})?) ?(?P<unit>ms|s(?:ec(?:ond)?s?)?)\b)?",
    re.IGNORECASE,
)
# The hint stands in the first sentences.
_MOST_WORDS = 2000


def retry_after_s(headers: Mapping[str, str], error: Json) -> float | None:
    """The provider's hint in seconds, 0 to a day; None without a usable one.

    From `retry-after-ms` or `retry-after` (seconds or a date), else from a `google.rpc.RetryInfo` in the error, else
    from the words of its message.
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
    info = _from_retry_info(error)
    return info if info is not None else _from_words(error.get("message"))


def _from_words(message: object) -> float | None:
    found = _WORDS.search(message[:_MOST_WORDS]) if isinstance(message, str) else None
    if found is None or not (found["h"] or found["m"] or found["s"]):
        return None
    seconds = float(found["s"] or 0) * (0.001 if (found["unit"] or "").lower() == "ms" else 1.0)
    return min(int(found["h"] or 0) * 3600 + int(found["m"] or 0) * 60 + seconds, LONGEST_HINT_S)


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
