"""What a failure of a Chat Completions server means."""

from __future__ import annotations

import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import orjson

from libs.telemetry.scrubbing import scrub_foreign_text
from services.router.domain.errors import ProviderError, Reason

_Json = dict[str, Any]
_MAX_MESSAGE = 300
_OK = 200

_EXPLAINED = frozenset({Reason.PROVIDER_INVALID_REQUEST, Reason.CONTEXT_TOO_LONG, Reason.PROVIDER_MODEL_NOT_FOUND})
# Codes and types, of OpenAI and of servers that took them over.
_CODES: Mapping[str, Reason] = {
    "context_length_exceeded": Reason.CONTEXT_TOO_LONG,
    "insufficient_quota": Reason.PROVIDER_BILLING,
    "billing_hard_limit_reached": Reason.PROVIDER_BILLING,
    "billing_not_active": Reason.PROVIDER_BILLING,
    "invalid_api_key": Reason.PROVIDER_KEY_REJECTED,
    "model_not_found": Reason.PROVIDER_MODEL_NOT_FOUND,
    "content_policy_violation": Reason.CONTENT_REFUSED,
    "content_filter": Reason.CONTENT_REFUSED,
    "rate_limit_exceeded": Reason.PROVIDER_RATE_LIMITED,
    "overloaded": Reason.PROVIDER_OVERLOADED,
    "overloaded_error": Reason.PROVIDER_OVERLOADED,
}
# For servers that tell the cause of a 400 in words only; lower case.
_WORDS: tuple[tuple[str, Reason], ...] = (
    ("maximum context length", Reason.CONTEXT_TOO_LONG),
    ("prompt is too long", Reason.CONTEXT_TOO_LONG),
    ("credit balance is too low", Reason.PROVIDER_BILLING),
    ("api key not valid", Reason.PROVIDER_KEY_REJECTED),
    ("incorrect api key", Reason.PROVIDER_KEY_REJECTED),
)
_WORDED_STATUSES = frozenset({400, 422})
_STATUSES: Mapping[int, Reason] = {
    400: Reason.PROVIDER_INVALID_REQUEST,
    401: Reason.PROVIDER_KEY_REJECTED,
    402: Reason.PROVIDER_BILLING,
    403: Reason.PROVIDER_PERMISSION_DENIED,
    404: Reason.PROVIDER_MODEL_NOT_FOUND,
    408: Reason.PROVIDER_TIMEOUT,
    413: Reason.CONTEXT_TOO_LONG,
    422: Reason.PROVIDER_INVALID_REQUEST,
    429: Reason.PROVIDER_RATE_LIMITED,
    503: Reason.PROVIDER_OVERLOADED,
    529: Reason.PROVIDER_OVERLOADED,
}


def classify_failure(status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
    """What a failed response means, by OpenAI's error codes, by words where servers have none, by status.

    Status 200 is for a response that is no answer of the kind asked for.
    """
    error = _error_object(body)
    if status == _OK:
        return embedded_error(error) if error else malformed()
    text = _message(error)
    reason = _by_code(error) or (_by_words(text) if status in _WORDED_STATUSES else None) or _by_status(status)
    return ProviderError(
        reason,
        status=status,
        retry_after_s=retry_after_s(headers),
        # Only what concerns the request itself: texts about keys and accounts are not for callers.
        message=scrub_foreign_text(text)[:_MAX_MESSAGE] if reason in _EXPLAINED else "",
    )


def embedded_error(error: object) -> ProviderError:
    """An error that came with HTTP 200, whole or inside a stream."""
    fields: _Json = error if isinstance(error, dict) else {"message": error}
    reason = _by_code(fields) or _by_embedded_status(fields.get("code")) or _by_words(_message(fields))
    return ProviderError(reason or Reason.PROVIDER_ERROR, status=_OK, sent=True)


def malformed() -> ProviderError:
    """An answer that is none."""
    return ProviderError(Reason.PROVIDER_BAD_RESPONSE, status=_OK, sent=True)


def _error_object(body: bytes) -> _Json:
    """The error in `body`: under `error`, the body itself, or either as the only entry of a list."""
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    if isinstance(parsed, list) and parsed:
        parsed = parsed[0]
    if not isinstance(parsed, dict):
        return {}
    error = parsed.get("error")
    if isinstance(error, dict):
        return error
    if isinstance(error, str):
        return {"message": error}
    return parsed if isinstance(parsed.get("message"), str) else {}


def _message(error: _Json) -> str:
    message = error.get("message")
    return message if isinstance(message, str) else ""


def _by_code(error: _Json) -> Reason | None:
    for name in ("code", "type"):
        value = error.get(name)
        if isinstance(value, str) and value in _CODES:
            return _CODES[value]
    return None


def _by_words(message: str) -> Reason | None:
    lowered = message.lower()
    return next((reason for words, reason in _WORDS if words in lowered), None)


_CLIENT_ERROR, _SERVER_ERROR, _NO_STATUS = 400, 500, 600


def _by_embedded_status(code: object) -> Reason | None:
    """Gateways put the status they saw into the error they pass on."""
    if isinstance(code, str) and code.isascii() and code.isdigit() and len(code) == len("429"):
        code = int(code)
    return _by_status(code) if isinstance(code, int) and _CLIENT_ERROR <= code < _NO_STATUS else None


def _by_status(status: int) -> Reason:
    reason = _STATUSES.get(status)
    if reason is not None:
        return reason
    if status >= _SERVER_ERROR:
        return Reason.PROVIDER_ERROR
    # Another 4xx is about the request; a redirect or any other 2xx is no Chat Completions API at all.
    return Reason.PROVIDER_INVALID_REQUEST if status >= _CLIENT_ERROR else Reason.PROVIDER_BAD_RESPONSE


LONGEST_HINT_S = 86_400.0
"""Hints beyond a day are cut to it: nobody waits longer on a word."""


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """The provider's hint in seconds, 0 to a day, from `retry-after-ms` or `retry-after`; None without a usable one."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = headers.get(name)
        if value is not None:
            seconds = _seconds(value, unit)
            if seconds is None and name == "retry-after":
                seconds = _seconds_until(value, headers.get("date"))
            # NaN is not at least 0 either.
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
