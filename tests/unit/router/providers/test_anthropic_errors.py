"""What the failures of Anthropic's API mean."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.router.domain.errors import ProviderError, Reason
from services.router.providers.dialects.anthropic import ANTHROPIC

LOW_CREDIT = "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing."


def body(kind: str, message: str = "…") -> bytes:
    return orjson.dumps({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"})


@pytest.mark.parametrize(
    ("status", "kind", "message", "reason"),
    [
        (400, "invalid_request_error", "max_tokens: Field required", Reason.PROVIDER_INVALID_REQUEST),
        (400, "invalid_request_error", "prompt is too long: 5 tokens > 4 maximum", Reason.CONTEXT_TOO_LONG),
        (
            400,
            "invalid_request_error",
            "input length and `max_tokens` exceed context limit: 199000 + 9000 > 200000",
            Reason.CONTEXT_TOO_LONG,
        ),
        (400, "invalid_request_error", LOW_CREDIT, Reason.PROVIDER_BILLING),
        (400, "invalid_request_error", "You have reached your specified API usage limits.", Reason.PROVIDER_BILLING),
        (
            400,
            "invalid_request_error",
            "You have reached your specified workspace API usage limits.",
            Reason.PROVIDER_BILLING,
        ),
        (400, "invalid_request_error", "This organization has been disabled.", Reason.PROVIDER_KEY_REJECTED),
        (400, "invalid_request_error", "Output blocked by content filtering policy", Reason.CONTENT_REFUSED),
        (401, "authentication_error", "invalid x-api-key", Reason.PROVIDER_KEY_REJECTED),
        (402, "billing_error", "…", Reason.PROVIDER_BILLING),
        (403, "permission_error", "…", Reason.PROVIDER_PERMISSION_DENIED),
        (404, "not_found_error", "model: claude-0", Reason.PROVIDER_MODEL_NOT_FOUND),
        (413, "request_too_large", "…", Reason.CONTEXT_TOO_LONG),
        (422, "invalid_request_error", "…", Reason.PROVIDER_INVALID_REQUEST),
        (429, "rate_limit_error", "…", Reason.PROVIDER_RATE_LIMITED),
        (500, "api_error", "Internal server error", Reason.PROVIDER_ERROR),
        (503, "api_error", "…", Reason.PROVIDER_OVERLOADED),
        (504, "timeout_error", "…", Reason.PROVIDER_TIMEOUT),
        (529, "overloaded_error", "Overloaded", Reason.PROVIDER_OVERLOADED),
        (520, "something_new", "…", Reason.PROVIDER_ERROR),
        (200, "overloaded_error", "Overloaded", Reason.PROVIDER_OVERLOADED),
    ],
)
def test_every_failure_has_its_class(status: int, kind: str, message: str, reason: Reason) -> None:
    error = ANTHROPIC.classify(status, {"retry-after": "3"}, body(kind, message))
    assert (error.reason, error.status) == (reason, status)
    assert error.retry_after_s == (None if status == 200 else 3.0)


@pytest.mark.parametrize(
    ("status", "kind", "code", "reason"),
    [
        (429, "rate_limit_error", "enforced_spend_limit_reached", Reason.PROVIDER_BILLING),
        (429, "rate_limit_error", "contract_spend_limit_reached", Reason.PROVIDER_BILLING),
        (429, "rate_limit_error", "ramp_limit_exceeded", Reason.PROVIDER_RATE_LIMITED),
        (400, "invalid_request_error", "organization_on_hold", Reason.PROVIDER_KEY_REJECTED),
        (400, "invalid_request_error", "something_new", Reason.PROVIDER_INVALID_REQUEST),
        (429, "rate_limit_error", ["x"], Reason.PROVIDER_RATE_LIMITED),
    ],
)
def test_details_say_more_than_the_type(status: int, kind: str, code: object, reason: Reason) -> None:
    error = {"type": kind, "message": "…", "details": {"error_code": code}}
    data = orjson.dumps({"type": "error", "error": error})
    assert ANTHROPIC.classify(status, {}, data).reason is reason
    assert ANTHROPIC.classify(200, {}, data).reason is reason


def test_only_texts_about_the_request_reach_the_caller() -> None:
    assert ANTHROPIC.classify(400, {}, body("invalid_request_error", "no such field")).message == "no such field"
    assert ANTHROPIC.classify(400, {}, body("invalid_request_error", LOW_CREDIT)).message == ""
    assert ANTHROPIC.classify(401, {}, body("authentication_error", "key of Jane Doe")).message == ""


@given(st.integers(100, 999), st.binary(max_size=60) | st.builds(body, st.text(max_size=9), st.text(max_size=9)))
def test_classifying_never_raises(status: int, data: bytes) -> None:
    assert isinstance(ANTHROPIC.classify(status, {}, data), ProviderError)


def test_models_are_listed() -> None:
    listing = {"data": [{"type": "model", "id": "claude-opus-5"}, {"id": "claude-haiku-4-5"}, {"id": ""}, 7]}
    assert ANTHROPIC.decode_models(orjson.dumps(listing)) == {"claude-opus-5", "claude-haiku-4-5"}
    assert ANTHROPIC.decode_models(b'{"data":[]}') == frozenset()


@pytest.mark.parametrize("data", [b"", b"[]", b'{"data":{}}', b'{"data":[{"name":"x"}]}', b"<html>"])
def test_what_is_no_list_of_models_is_told_as_such(data: bytes) -> None:
    with pytest.raises(ProviderError) as caught:
        ANTHROPIC.decode_models(data)
    assert caught.value.reason is Reason.PROVIDER_BAD_RESPONSE
