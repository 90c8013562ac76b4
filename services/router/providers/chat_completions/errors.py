"""What a failure of a Chat Completions server means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from libs.telemetry.scrubbing import scrub_foreign_text
from services.router.domain.errors import ProviderError, Reason

_Json = dict[str, Any]
_MAX_MESSAGE = 300

_EXPLAINED = frozenset({Reason.PROVIDER_INVALID_REQUEST, Reason.CONTEXT_TOO_LONG, Reason.PROVIDER_MODEL_NOT_FOUND})
_CODES: Mapping[str, Reason] = {
    "context_length_exceeded": Reason.CONTEXT_TOO_LONG,
    "insufficient_quota": Reason.PROVIDER_BILLING,
    "billing_hard_limit_reached": Reason.PROVIDER_BILLING,
    "invalid_api_key": Reason.PROVIDER_KEY_REJECTED,
    "model_not_found": Reason.PROVIDER_MODEL_NOT_FOUND,
    "content_policy_violation": Reason.CONTENT_REFUSED,
    "content_filter": Reason.CONTENT_REFUSED,
    "rate_limit_exceeded": Reason.PROVIDER_RATE_LIMITED,
}
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
    """What a failed response means, by status, OpenAI's error codes and, where servers have none, their words."""
    error = _error_object(body)
    code = str(error.get("code") or error.get("type") or "")
    message = error.get("message")
    text = message if isinstance(message, str) else ""
    reason = _by_code(code, text.lower()) or _by_status(status)
    return ProviderError(
        reason,
        status=status,
        retry_after_s=retry_after_s(headers),
        # Only what concerns the request itself: texts about keys and accounts are not for callers.
        message=scrub_foreign_text(text)[:_MAX_MESSAGE] if reason in _EXPLAINED else "",
    )


def _by_code(code: str, text: str) -> Reason | None:
    reason = _CODES.get(code)
    if reason is None and ("maximum context length" in text or "prompt is too long" in text):
        return Reason.CONTEXT_TOO_LONG
    return reason


_CLIENT_ERROR, _SERVER_ERROR = 400, 500


def _by_status(status: int) -> Reason:
    reason = _STATUSES.get(status)
    if reason is not None:
        return reason
    if status >= _SERVER_ERROR:
        return Reason.PROVIDER_ERROR
    # Another 4xx is about the request; a redirect or any other 2xx is no Chat Completions API at all.
    return Reason.PROVIDER_INVALID_REQUEST if status >= _CLIENT_ERROR else Reason.PROVIDER_BAD_RESPONSE


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """The provider's hint in seconds, from `retry-after-ms` or `retry-after`; None without a usable one."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = headers.get(name)
        if value is not None:
            try:
                seconds = float(value) * unit
            except ValueError:
                continue
            if 0 <= seconds < float("inf"):
                return seconds
    return None


def embedded_error(error: object) -> ProviderError:
    """An error that came with HTTP 200, whole or inside a stream."""
    fields: _Json = error if isinstance(error, dict) else {}
    code = str(fields.get("code") or fields.get("type") or "")
    reason = _by_code(code, str(fields.get("message") or "").lower())
    if reason is None:
        reason = Reason.PROVIDER_OVERLOADED if "overloaded" in code else Reason.PROVIDER_ERROR
    return ProviderError(reason, status=200, sent=True)


def _error_object(body: bytes) -> _Json:
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    if isinstance(parsed, list) and parsed:
        parsed = parsed[0]
    error = parsed.get("error") if isinstance(parsed, dict) else None
    if isinstance(error, str):
        return {"message": error}
    return error if isinstance(error, dict) else {}


def malformed() -> ProviderError:
    """An answer that is none."""
    return ProviderError(Reason.PROVIDER_BAD_RESPONSE, status=200, sent=True)
