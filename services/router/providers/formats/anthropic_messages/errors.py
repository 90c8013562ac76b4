"""What the failures of the Messages API mean."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from services.router.domain.errors import ProviderError, Reason
from services.router.providers.reading.error_table import ErrorTable
from services.router.providers.reading.json_values import Json

# By the `error_code` of an error's `details`, which say more than its type.
_DETAILS: Mapping[str, Reason] = MappingProxyType(
    {
        # They come as rate limits, but no waiting helps before the month is over.
        "contract_spend_limit_reached": Reason.PROVIDER_BILLING,
        "enforced_spend_limit_reached": Reason.PROVIDER_BILLING,
        "linked_organization_billing_unavailable": Reason.PROVIDER_BILLING,
        "linked_organization_spend_limit_reached": Reason.PROVIDER_BILLING,
        # They come as invalid requests.
        "organization_on_hold": Reason.PROVIDER_KEY_REJECTED,
        "request_body_too_large_after_decoding": Reason.CONTEXT_TOO_LONG,
    }
)


class MessagesErrorTable(ErrorTable):
    """Also reads what details say, and knows an invalid request without its status."""

    def embedded(self, error: object) -> ProviderError:
        """An error that came with HTTP 200, whole or inside a stream."""
        found = super().embedded(error)
        is_invalid = isinstance(error, dict) and error.get("type") == "invalid_request_error"
        if is_invalid and found.reason is Reason.PROVIDER_ERROR:
            found.reason = Reason.PROVIDER_INVALID_REQUEST
        return found

    def _by_code(self, error: Json) -> Reason | None:
        details = error.get("details")
        code = details.get("error_code") if isinstance(details, dict) else None
        return (_DETAILS.get(code) if isinstance(code, str) else None) or super()._by_code(error)


# `invalid_request_error` is missing on purpose: it comes with causes that only the words tell apart. So is
# `api_error`, which comes with several statuses.
ERRORS = MessagesErrorTable(
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
        ("specified workspace api usage limits", Reason.PROVIDER_BILLING),
        ("organization has been disabled", Reason.PROVIDER_KEY_REJECTED),
        ("blocked by content filtering policy", Reason.CONTENT_REFUSED),
    ),
    code_fields=("type",),
)
"""What the failures of the Messages API mean."""
