"""What the failures of Gemini mean: `google.rpc.Status` bodies."""

from __future__ import annotations

from services.router.domain.errors import Reason
from services.router.providers.reading.error_table import STATUSES, ErrorTable

ERRORS = ErrorTable(
    # `reason` of the `google.rpc.ErrorInfo` among the details.
    code_fields=(),
    detail_fields=("reason",),
    codes={
        "API_KEY_INVALID": Reason.PROVIDER_KEY_REJECTED,
        "API_KEY_EXPIRED": Reason.PROVIDER_KEY_REJECTED,
        "CONSUMER_SUSPENDED": Reason.PROVIDER_KEY_REJECTED,
        "ACCOUNT_STATE_INVALID": Reason.PROVIDER_KEY_REJECTED,
        "ACCESS_TOKEN_EXPIRED": Reason.PROVIDER_KEY_REJECTED,
        "ACCESS_TOKEN_TYPE_UNSUPPORTED": Reason.PROVIDER_KEY_REJECTED,
        "CREDENTIALS_MISSING": Reason.PROVIDER_KEY_REJECTED,
        "API_KEY_SERVICE_BLOCKED": Reason.PROVIDER_PERMISSION_DENIED,
        "API_KEY_HTTP_REFERRER_BLOCKED": Reason.PROVIDER_PERMISSION_DENIED,
        "API_KEY_IP_ADDRESS_BLOCKED": Reason.PROVIDER_PERMISSION_DENIED,
        "API_KEY_ANDROID_APP_BLOCKED": Reason.PROVIDER_PERMISSION_DENIED,
        "API_KEY_IOS_APP_BLOCKED": Reason.PROVIDER_PERMISSION_DENIED,
        "SERVICE_DISABLED": Reason.PROVIDER_PERMISSION_DENIED,
        "CONSUMER_INVALID": Reason.PROVIDER_PERMISSION_DENIED,
        "IAM_PERMISSION_DENIED": Reason.PROVIDER_PERMISSION_DENIED,
        "BILLING_DISABLED": Reason.PROVIDER_BILLING,
    },
    words=(
        ("exceeds the maximum number of tokens", Reason.CONTEXT_TOO_LONG),
        ("model only supports up to", Reason.CONTEXT_TOO_LONG),
        ("payload size exceeds the limit", Reason.CONTEXT_TOO_LONG),
        ("api key not valid", Reason.PROVIDER_KEY_REJECTED),
        ("api key not found", Reason.PROVIDER_KEY_REJECTED),
        ("api key expired", Reason.PROVIDER_KEY_REJECTED),
        # A key found in public is blocked with 403.
        ("reported as leaked", Reason.PROVIDER_KEY_REJECTED),
        ("location is not supported", Reason.PROVIDER_PERMISSION_DENIED),
        ("enable billing", Reason.PROVIDER_BILLING),
        ("credits are depleted", Reason.PROVIDER_BILLING),
        ("spending cap", Reason.PROVIDER_BILLING),
        # A quota of nothing at all: the model is not in the free tier, and no waiting puts it there. That the answer
        # comes with a hint to retry in some seconds does not change it.
        ("limit: 0,", Reason.PROVIDER_BILLING),
        ("limit: 0\n", Reason.PROVIDER_BILLING),
    ),
    worded_statuses=frozenset({400, 403, 429}),
    # The names of google.rpc.Code that stand in `status`: they say what the HTTP status says.
    status_names={
        "INVALID_ARGUMENT": Reason.PROVIDER_INVALID_REQUEST,
        "FAILED_PRECONDITION": Reason.PROVIDER_INVALID_REQUEST,
        "OUT_OF_RANGE": Reason.PROVIDER_INVALID_REQUEST,
        "UNAUTHENTICATED": Reason.PROVIDER_KEY_REJECTED,
        "PERMISSION_DENIED": Reason.PROVIDER_PERMISSION_DENIED,
        "NOT_FOUND": Reason.PROVIDER_MODEL_NOT_FOUND,
        "RESOURCE_EXHAUSTED": Reason.PROVIDER_RATE_LIMITED,
        "DEADLINE_EXCEEDED": Reason.PROVIDER_TIMEOUT,
        "UNAVAILABLE": Reason.PROVIDER_OVERLOADED,
        "INTERNAL": Reason.PROVIDER_ERROR,
        "UNKNOWN": Reason.PROVIDER_ERROR,
    },
    # The model did not finish within Google's own deadline.
    statuses={**STATUSES, 504: Reason.PROVIDER_TIMEOUT},
    # To the quota of nothing it says the same seconds as to any other.
    billing_hints=False,
)
