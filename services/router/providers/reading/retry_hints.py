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
# Smaller numbers are durations, larger ones times: of 2001 and later, in seconds and in milliseconds.
_FIRST_TIME_S, _FIRST_TIME_MS = 1e9, 1e12
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


def reset_after_s(headers: Mapping[str, str], error: Json) -> float | None:
    """When a limit that is used up begins anew, in seconds, 0 to a day; None where nothing says so.

    From `x-ratelimit-reset`: seconds, or a time as seconds or milliseconds since 1970. OpenRouter puts its headers into
    the error's `metadata` too, which is all there is of them inside a stream.
    """
    metadata = error.get("metadata")
    copied = metadata.get("headers") if isinstance(metadata, dict) else None
    for source in (headers, copied):
        if not isinstance(source, Mapping):
            continue
        named = {name.lower(): str(value) for name, value in source.items()}
        if named.get("x-ratelimit-remaining") == "0":
            reset = _seconds(named.get("x-ratelimit-reset", ""), 1.0)
            if reset is not None and reset >= 0:
                return min(_until(reset, headers.get("date")), LONGEST_HINT_S)
    return None


def _until(reset: float, now: str | None) -> float:
    if reset < _FIRST_TIME_S:
        return reset
    return max(0.0, reset / (1000.0 if reset >= _FIRST_TIME_MS else 1.0) - _now(now))


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
    return max(0.0, then - _now(now))


def _now(date: str | None) -> float:
    """The time by the provider's clock, else by ours."""
    try:
        return parsedate_to_datetime(date).timestamp() if date else time.time()
    except (ValueError, OverflowError):
        return time.time()
