"""How Google words its failures: `google.rpc.Status`."""

from __future__ import annotations

from collections.abc import Mapping

from libs.sandbox.dialect import Refusal
from libs.sandbox.dialects.gemini_rules import Json

_INFO = "type.googleapis.com/google.rpc.ErrorInfo"
_RETRY = "type.googleapis.com/google.rpc.RetryInfo"

# What Google says with a status: the name of the code, the message.
_ERRORS: Mapping[int, tuple[str, str]] = {
    400: ("INVALID_ARGUMENT", "Request contains an invalid argument."),
    401: ("UNAUTHENTICATED", "Request had invalid authentication credentials."),
    402: ("RESOURCE_EXHAUSTED", "Your prepayment credits are depleted."),
    403: ("PERMISSION_DENIED", "The caller does not have permission"),
    404: ("NOT_FOUND", "models/{model} is not found for API version v1beta, or is not supported for generateContent."),
    429: ("RESOURCE_EXHAUSTED", "You exceeded your current quota, please check your plan and billing details."),
    499: ("CANCELLED", "The operation was cancelled."),
    500: ("INTERNAL", "An internal error has occurred. Please retry or report."),
    503: ("UNAVAILABLE", "The model is overloaded. Please try again later."),
    504: ("DEADLINE_EXCEEDED", "Deadline expired before operation could complete."),
}
# What it says besides, by a code that only directives name: the name of the code, the message.
_VARIANTS: Mapping[str, tuple[str, str]] = {
    "context_length_exceeded": (
        "INVALID_ARGUMENT",
        "The input token count (1048600) exceeds the maximum number of tokens allowed (1048576).",
    ),
    "insufficient_quota": (
        "RESOURCE_EXHAUSTED",
        "* Quota exceeded for metric: free_tier_requests, limit: 0, model: {model}\nPlease retry in 20s.",
    ),
    "location": ("FAILED_PRECONDITION", "User location is not supported for the API use."),
    "free_tier": (
        "FAILED_PRECONDITION",
        "Gemini API free tier is not available in your country. Please enable billing on your project.",
    ),
    "leaked": ("PERMISSION_DENIED", "Your API key was reported as leaked. Please use another API key."),
}
# Reasons in an ErrorInfo, by the codes that directives name.
_REASONS: Mapping[str, tuple[str, str]] = {
    "API_KEY_INVALID": ("INVALID_ARGUMENT", "API key not valid. Please pass a valid API key."),
    "API_KEY_SERVICE_BLOCKED": ("PERMISSION_DENIED", "Requests to this API method are blocked."),
    "CONSUMER_SUSPENDED": ("PERMISSION_DENIED", "Permission denied: Consumer has been suspended."),
    "BILLING_DISABLED": ("PERMISSION_DENIED", "This API method requires billing to be enabled."),
    "SERVICE_DISABLED": ("PERMISSION_DENIED", "The API has not been used in the project before or it is disabled."),
}


def message_for(status: int, code: str | None) -> str:
    """Google's words for `status`, or for `code` where it has more to say; with a place for the model."""
    named = _VARIANTS.get(code or "") or _REASONS.get(code or "") or _ERRORS.get(status)
    return named[1] if named else "The sandbox was told to answer with this status."


def status_of(refusal: Refusal) -> Json:
    """What stands under `error`."""
    code = refusal.code or ""
    named = _VARIANTS.get(code) or _REASONS.get(code) or _ERRORS.get(refusal.status)
    usual = "INTERNAL" if refusal.status >= 500 else "INVALID_ARGUMENT"  # noqa: PLR2004 - HTTP's classes
    error: Json = {"code": refusal.status, "message": refusal.message, "status": named[0] if named else usual}
    details: list[Json] = []
    if code in _REASONS:
        details.append({"@type": _INFO, "reason": code, "domain": "googleapis.com"})
    if refusal.retry_after_s is not None:
        details.append({"@type": _RETRY, "retryDelay": f"{refusal.retry_after_s:g}s"})
    return {**error, "details": details} if details else error
