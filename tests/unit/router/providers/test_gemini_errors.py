"""What Google's failures mean."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.router.domain.errors import ProviderError, Reason
from services.router.domain.failover import _TREATMENTS
from services.router.providers.dialects.gemini import GEMINI

INFO = "type.googleapis.com/google.rpc.ErrorInfo"
QUOTA = {
    "@type": "type.googleapis.com/google.rpc.QuotaFailure",
    "violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier", "quotaValue": "20"}],
}
RETRY = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "37.5s"}


def classify(status: int, name: str, message: str = "", *details: Any) -> ProviderError:
    error = {"code": status, "status": name, "message": message, "details": list(details)}
    return GEMINI.classify(status, {}, orjson.dumps({"error": error}))


@pytest.mark.parametrize(
    ("status", "name", "message", "reason"),
    [
        (400, "INVALID_ARGUMENT", "Unknown name", Reason.PROVIDER_INVALID_REQUEST),
        (
            400,
            "INVALID_ARGUMENT",
            "The input token count (5911388) exceeds the maximum number of tokens allowed (1048576).",
            Reason.CONTEXT_TOO_LONG,
        ),
        (400, "INVALID_ARGUMENT", "the model only supports up to 1048576 tokens", Reason.CONTEXT_TOO_LONG),
        (400, "INVALID_ARGUMENT", "Request payload size exceeds the limit: 20971520 bytes.", Reason.CONTEXT_TOO_LONG),
        (400, "INVALID_ARGUMENT", "API Key not found. Please pass a valid API key.", Reason.PROVIDER_KEY_REJECTED),
        (400, "INVALID_ARGUMENT", "API key expired. Please renew the API key.", Reason.PROVIDER_KEY_REJECTED),
        (
            400,
            "FAILED_PRECONDITION",
            "Gemini API free tier is not available in your country. Please enable billing on your project.",
            Reason.PROVIDER_BILLING,
        ),
        (
            400,
            "FAILED_PRECONDITION",
            "User location is not supported for the API use.",
            Reason.PROVIDER_PERMISSION_DENIED,
        ),
        (400, "FAILED_PRECONDITION", "something else", Reason.PROVIDER_INVALID_REQUEST),
        (401, "UNAUTHENTICATED", "", Reason.PROVIDER_KEY_REJECTED),
        (403, "PERMISSION_DENIED", "", Reason.PROVIDER_PERMISSION_DENIED),
        (403, "PERMISSION_DENIED", "Your API key was reported as leaked.", Reason.PROVIDER_KEY_REJECTED),
        (404, "NOT_FOUND", "models/x is not found", Reason.PROVIDER_MODEL_NOT_FOUND),
        (429, "RESOURCE_EXHAUSTED", "You exceeded your current quota, please check your plan and billing details.",
         Reason.PROVIDER_RATE_LIMITED),
        (429, "RESOURCE_EXHAUSTED", "* Quota exceeded for metric: free_tier_requests, limit: 20, model: x",
         Reason.PROVIDER_RATE_LIMITED),
        (429, "RESOURCE_EXHAUSTED", "* Quota exceeded for metric: free_tier_requests, limit: 0, model: x",
         Reason.PROVIDER_BILLING),
        (429, "RESOURCE_EXHAUSTED", "Your prepayment credits are depleted.", Reason.PROVIDER_BILLING),
        (500, "INTERNAL", "", Reason.PROVIDER_ERROR),
        (503, "UNAVAILABLE", "The model is overloaded.", Reason.PROVIDER_OVERLOADED),
        (504, "DEADLINE_EXCEEDED", "", Reason.PROVIDER_TIMEOUT),
    ],
)  # fmt: skip
def test_failures_are_classed_by_words_and_status(status: int, name: str, message: str, reason: Reason) -> None:
    classified = classify(status, name, message)
    assert (reason, status) == (classified.reason, classified.status)


@pytest.mark.parametrize(
    ("status", "info", "reason"),
    [
        (400, "API_KEY_INVALID", Reason.PROVIDER_KEY_REJECTED),
        (403, "API_KEY_SERVICE_BLOCKED", Reason.PROVIDER_PERMISSION_DENIED),
        (403, "CONSUMER_SUSPENDED", Reason.PROVIDER_KEY_REJECTED),
        (403, "BILLING_DISABLED", Reason.PROVIDER_BILLING),
        (403, "SERVICE_DISABLED", Reason.PROVIDER_PERMISSION_DENIED),
        (401, "ACCESS_TOKEN_EXPIRED", Reason.PROVIDER_KEY_REJECTED),
        (400, "NEWS_TO_US", Reason.PROVIDER_INVALID_REQUEST),
    ],
)
def test_the_reason_among_the_details_says_more(status: int, info: str, reason: Reason) -> None:
    classified = classify(status, "WHATEVER", "Request refused", QUOTA, {"@type": INFO, "reason": info})
    assert reason is classified.reason


def test_the_hint_when_to_come_back_stands_in_the_details() -> None:
    assert classify(429, "RESOURCE_EXHAUSTED", "quota", QUOTA, RETRY).retry_after_s == 37.5


def test_an_account_without_a_quota_has_none_in_half_a_minute_either() -> None:
    classified = classify(429, "RESOURCE_EXHAUSTED", "* Quota exceeded, limit: 0, model: x", QUOTA, RETRY)
    assert (classified.reason, classified.retry_after_s) == (Reason.PROVIDER_BILLING, None)


def test_vertex_s_array_of_one_error_is_read_too() -> None:
    body = orjson.dumps([{"error": {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT"}}])
    assert GEMINI.classify(400, {}, body).reason is Reason.PROVIDER_KEY_REJECTED


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ({"code": 429, "status": "RESOURCE_EXHAUSTED"}, Reason.PROVIDER_RATE_LIMITED),
        ({"status": "UNAVAILABLE"}, Reason.PROVIDER_OVERLOADED),
        ({"code": 400, "message": "It exceeds the maximum number of tokens allowed"}, Reason.CONTEXT_TOO_LONG),
        ({"message": "?"}, Reason.PROVIDER_ERROR),
    ],
)
def test_errors_with_http_200_are_classed_by_what_they_hold(error: Any, reason: Reason) -> None:
    assert reason is GEMINI.classify(200, {}, orjson.dumps({"error": error})).reason


@given(
    st.sampled_from([200, 400, 403, 429, 500, 599]),
    st.recursive(
        st.none() | st.integers(0, 600) | st.text(max_size=9),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["error", "details", "reason", "status", "code", "message", "@type", "retryDelay"]),
                inner,
            )
        ),
        max_leaves=9,
    ),
)
def test_classifying_never_raises(status: int, document: Any) -> None:
    assert GEMINI.classify(status, {}, orjson.dumps({"error": document})).reason in _TREATMENTS
