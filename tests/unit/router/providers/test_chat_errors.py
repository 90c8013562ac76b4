import time
from email.utils import formatdate
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.router.domain.errors import ProviderError, Reason, to_gatehouse_error
from services.router.domain.failover import _TREATMENTS
from services.router.providers.formats.chat_completions.errors import ERRORS
from services.router.providers.reading.retry_hints import LONGEST_HINT_S, retry_after_s


def classify(status: int, error: Any = None, **headers: str) -> ProviderError:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return ERRORS.classify(status, named, orjson.dumps({"error": error}))


@pytest.mark.parametrize(
    ("status", "error", "reason"),
    [
        (400, {}, Reason.PROVIDER_INVALID_REQUEST),
        (422, {}, Reason.PROVIDER_INVALID_REQUEST),
        (400, {"code": "context_length_exceeded"}, Reason.CONTEXT_TOO_LONG),
        (400, {"message": "This model's maximum context length is 8192 tokens."}, Reason.CONTEXT_TOO_LONG),
        (400, {"message": "Prompt is too long: 210000 tokens"}, Reason.CONTEXT_TOO_LONG),
        (400, "the prompt is too long", Reason.CONTEXT_TOO_LONG),
        (413, {}, Reason.CONTEXT_TOO_LONG),
        (400, {"code": "content_policy_violation"}, Reason.CONTENT_REFUSED),
        (400, {"code": "content_filter"}, Reason.CONTENT_REFUSED),
        (401, {}, Reason.PROVIDER_KEY_REJECTED),
        (400, {"message": "API key not valid. Please pass a valid API key."}, Reason.PROVIDER_KEY_REJECTED),
        (403, {}, Reason.PROVIDER_PERMISSION_DENIED),
        (402, {}, Reason.PROVIDER_BILLING),
        (429, {"code": "insufficient_quota"}, Reason.PROVIDER_BILLING),
        (429, {"type": "insufficient_quota", "code": None}, Reason.PROVIDER_BILLING),
        (429, {"type": "insufficient_quota", "code": "other"}, Reason.PROVIDER_BILLING),
        (429, {"code": "billing_not_active"}, Reason.PROVIDER_BILLING),
        (400, {"message": "Your credit balance is too low to access the API."}, Reason.PROVIDER_BILLING),
        (429, {}, Reason.PROVIDER_RATE_LIMITED),
        (429, {"message": "maximum context length"}, Reason.PROVIDER_RATE_LIMITED),
        (404, {}, Reason.PROVIDER_MODEL_NOT_FOUND),
        (400, {"code": "model_not_found"}, Reason.PROVIDER_MODEL_NOT_FOUND),
        (408, {}, Reason.PROVIDER_TIMEOUT),
        (503, {}, Reason.PROVIDER_OVERLOADED),
        (529, {}, Reason.PROVIDER_OVERLOADED),
        (500, {"type": "overloaded_error"}, Reason.PROVIDER_OVERLOADED),
        (500, {}, Reason.PROVIDER_ERROR),
        (502, {}, Reason.PROVIDER_ERROR),
        (504, {}, Reason.PROVIDER_ERROR),
        (599, {}, Reason.PROVIDER_ERROR),
        (418, {}, Reason.PROVIDER_INVALID_REQUEST),
        (201, {}, Reason.PROVIDER_BAD_RESPONSE),
        (204, {}, Reason.PROVIDER_BAD_RESPONSE),
        (302, {}, Reason.PROVIDER_BAD_RESPONSE),
        (200, {"code": 429}, Reason.PROVIDER_RATE_LIMITED),
        (200, None, Reason.PROVIDER_BAD_RESPONSE),
    ],
)
def test_failures_are_classed_by_code_then_words_then_status(status: int, error: object, reason: Reason) -> None:
    classified = classify(status, error)
    assert (reason, status) == (classified.reason, classified.status)


@pytest.mark.parametrize(
    "body",
    [
        b'{"error":{"code":"context_length_exceeded"}}',
        b'[{"error":{"code":"context_length_exceeded"}}]',
        b'{"object":"error","message":"exceeds the maximum context length","type":"BadRequestError","code":400}',
        b'{"error":"maximum context length"}',
    ],
)
def test_the_error_is_found_wherever_servers_put_it(body: bytes) -> None:
    assert ERRORS.classify(400, {}, body).reason is Reason.CONTEXT_TOO_LONG


@pytest.mark.parametrize("body", [b"", b"<html>busy</html>", b"[]", b"[1]", b"17", b"\xff", b"[" * 100_000, b'{"error'])
def test_a_body_that_says_nothing_leaves_the_status(body: bytes) -> None:
    assert ERRORS.classify(503, {}, body).reason is Reason.PROVIDER_OVERLOADED


@given(st.integers(100, 999), st.binary(max_size=200), st.text(max_size=30), st.text(max_size=30))
def test_classifying_never_raises(status: int, body: bytes, hint: str, date: str) -> None:
    error = ERRORS.classify(status, {"retry-after": hint, "date": date}, body)
    assert error.retry_after_s is None or 0 <= error.retry_after_s <= LONGEST_HINT_S


@given(
    st.sampled_from([200, 400, 401, 429, 500]),
    st.dictionaries(
        st.sampled_from(["message", "code", "type"]),
        st.none() | st.integers() | st.text() | st.lists(st.text(), max_size=2) | st.dictionaries(st.text(), st.text()),
    ),
)
def test_odd_error_objects_are_classed_too(status: int, error: dict[str, Any]) -> None:
    body = orjson.dumps({"error": {name: value for name, value in error.items() if not _too_large(value)}})
    assert ERRORS.classify(status, {}, body).reason in _TREATMENTS


def _too_large(value: object) -> bool:
    return isinstance(value, int) and not -(2**63) <= value < 2**64


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after-ms": "1500"}, 1.5),
        ({"retry-after-ms": "1500", "retry-after": "2"}, 1.5),
        ({"retry-after-ms": "soon", "retry-after": "2"}, 2.0),
        ({"retry-after-ms": "Wed, 21 Oct 2015 07:28:30 GMT", "date": "Wed, 21 Oct 2015 07:28:00 GMT"}, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:30 GMT", "date": "Wed, 21 Oct 2015 07:28:00 GMT"}, 30.0),
        ({"retry-after": "Wednesday, 21-Oct-15 07:28:30 GMT", "date": "Wed, 21 Oct 2015 07:28:00 GMT"}, 30.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:27:00 GMT", "date": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:27:00 GMT"}, 0.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:27:00 GMT", "date": "yesterday"}, 0.0),
        ({"retry-after": "1e300"}, LONGEST_HINT_S),
        ({"retry-after": "inf"}, LONGEST_HINT_S),
        ({"retry-after": "Fri, 31 Dec 9999 23:59:59 GMT"}, LONGEST_HINT_S),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": ""}, None),
        ({}, None),
    ],
)
def test_the_hint_when_to_come_back_is_read_in_every_spelling(headers: dict[str, str], seconds: float | None) -> None:
    assert seconds == retry_after_s(headers, {})


def test_a_date_without_the_provider_s_clock_is_measured_by_ours() -> None:
    hint = retry_after_s({"retry-after": formatdate(time.time() + 60, usegmt=True)}, {})
    assert hint is not None
    assert 50 < hint <= 61


def test_only_texts_about_the_request_reach_the_caller() -> None:
    assert classify(400, {"message": "temperature must be below 2"}).message == "temperature must be below 2"
    for status in (401, 402, 403, 429, 500, 503):
        assert classify(status, {"message": "account of Jane Doe, balance 3"}).message == ""


def test_what_looks_like_a_key_is_masked_in_those_texts_and_they_are_bounded() -> None:
    assert classify(400, {"message": "The key sk-proj-abcdefghijklmnop is odd"}).message == "The key [masked] is odd"
    assert len(classify(400, {"message": "word " * 1000}).message) == 300


@pytest.mark.parametrize("reason", list(_TREATMENTS))
def test_every_failure_can_be_told_and_treated(reason: Reason) -> None:
    error = to_gatehouse_error(ProviderError(reason, status=500), provider="p", model="m")
    assert reason == error.reason
