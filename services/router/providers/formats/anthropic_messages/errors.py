"""What the failures of the Messages API mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from services.router.domain.errors import ProviderError, Reason
from services.router.providers.reading.error_table import ErrorTable

# `invalid_request_error` is missing on purpose: it comes with causes that only the words tell apart. So is
# `api_error`, which comes with several statuses.
_TABLE = ErrorTable(
    codes={
        "authentication_error": Reason.PROVIDER_KEY_REJECTED,
        "billing_error": Reason.PROVIDER_BILLING,
        "permission_error": Reason.PROVIDER_PERMISSION_DENIED,
        "not_found_error": Reason.PROVIDER_MODEL_NOT_FOUND,
        "request_too_large": Reason.CONTEXT_TOO_LONG,
        "rate_limit_error": Reason.PROVIDER_RATE_LIMITED,
        "timeout_error": Reason.PROVIDER_TIMEOUT,
        "overloaded_error": Reason.PROVIDER_OVERLOADED,
    },
    words=(
        ("prompt is too long", Reason.CONTEXT_TOO_LONG),
        ("exceed context limit", Reason.CONTEXT_TOO_LONG),
        ("credit balance is too low", Reason.PROVIDER_BILLING),
        ("specified api usage limits", Reason.PROVIDER_BILLING),
        ("blocked by content filtering policy", Reason.CONTENT_REFUSED),
    ),
    code_fields=("type",),
)


@dataclass(frozen=True, slots=True)
class MessagesErrors:
    """The table, and what an error within an answer means."""

    def classify(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
        """What a failed response means. Never raises."""
        return _TABLE.classify(status, headers, body)

    def embedded(self, error: object) -> ProviderError:
        """An error that came with HTTP 200, whole or inside a stream."""
        found = _TABLE.embedded(error)
        is_invalid = isinstance(error, dict) and error.get("type") == "invalid_request_error"
        if is_invalid and found.reason is Reason.PROVIDER_ERROR:
            found.reason = Reason.PROVIDER_INVALID_REQUEST
        return found


ERRORS = MessagesErrors()
