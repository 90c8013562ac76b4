"""What the failures of a Chat Completions server mean."""

from __future__ import annotations

from services.router.domain.errors import Reason
from services.router.providers.reading.error_table import ErrorTable

# The codes and types are OpenAI's, and of servers that took them over.
ERRORS = ErrorTable(
    codes={
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
    },
    words=(
        ("maximum context length", Reason.CONTEXT_TOO_LONG),
        ("prompt is too long", Reason.CONTEXT_TOO_LONG),
        ("credit balance is too low", Reason.PROVIDER_BILLING),
        ("api key not valid", Reason.PROVIDER_KEY_REJECTED),
        ("incorrect api key", Reason.PROVIDER_KEY_REJECTED),
    ),
)
