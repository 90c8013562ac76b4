"""Azure where OpenAI's client leaves it to its caller: keys of applications, failures, what streams begin with."""

from typing import Any

import orjson
import pytest

from services.router.domain import features
from services.router.domain.errors import ProviderError, Reason
from services.router.domain.generation import FinishReason, Generation, Message, Role, Text, TextDelta
from services.router.providers.dialects.azure_openai import AZURE_OPENAI

ENTRA = {"auth": "entra"}
ACCOUNT = {"tenant_id": "contoso.example/../x", "client_id": "app-1", "client_secret": "secret-1"}


def test_a_key_needs_no_token_unless_the_options_say_so() -> None:
    assert AZURE_OPENAI.token_request("key", {}, now=0.0) is None
    assert AZURE_OPENAI.token_request("key", {"auth": "api_key"}, now=0.0) is None
    assert AZURE_OPENAI.key_headers("key", {}) == {"api-key": "key"}


def test_an_application_gets_its_token_from_its_tenant() -> None:
    request = AZURE_OPENAI.token_request(orjson.dumps(ACCOUNT).decode(), ENTRA, now=0.0)
    assert request is not None
    assert (request.issuer, request.path) == ("entra", "/contoso.example%2F..%2Fx/oauth2/v2.0/token")
    assert request.form == {
        "grant_type": "client_credentials",
        "client_id": "app-1",
        "client_secret": "secret-1",
        "scope": "https://cognitiveservices.azure.com/.default",
    }
    assert "secret-1" not in repr(request)


@pytest.mark.parametrize(
    "key",
    [
        "an-ordinary-key",
        "{}",
        "[]",
        "null",
        '"text"',
        *(orjson.dumps({**ACCOUNT, name: value}).decode() for name in ACCOUNT for value in ("", None, 7)),
    ],
)
def test_a_key_that_is_no_application_s_is_rejected_before_anything_is_sent(key: str) -> None:
    with pytest.raises(ProviderError) as caught:
        AZURE_OPENAI.token_request(key, ENTRA, now=0.0)
    assert (caught.value.reason, caught.value.reached_provider) == (Reason.PROVIDER_KEY_REJECTED, False)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "path", "models"),
    [
        ({}, "/openai/deployments/a%20b/chat/completions?api-version=2024-10-21",
         "/openai/models?api-version=2024-10-21"),
        (
            {"api_version": "2025-04-01-preview"},
            "/openai/deployments/a%20b/chat/completions?api-version=2025-04-01-preview",
            "/openai/models?api-version=2025-04-01-preview",
        ),
        ({"api_version": "v1"}, "/openai/v1/chat/completions", "/openai/v1/models"),
        (
            {"api_version": "preview"},
            "/openai/v1/chat/completions?api-version=preview",
            "/openai/v1/models?api-version=preview",
        ),
    ],
)  # fmt: skip
def test_the_version_decides_the_paths(options: dict[str, object], path: str, models: str) -> None:
    encoded = AZURE_OPENAI.encode(
        Generation(messages=(Message(Role.USER, (Text("Hi"),)),)),
        provider_model_id="a b",
        output_limit=None,
        stream=False,
        options=options,
    )
    assert (encoded.path, AZURE_OPENAI.models_path(options)) == (path, models)


def test_only_the_version_without_a_date_takes_files_and_tiers() -> None:
    newer = features.DOCUMENTS | features.SERVICE_TIER
    assert AZURE_OPENAI.features({"api_version": "v1"}, "m") & newer == newer
    assert AZURE_OPENAI.features({}, "m") & newer == 0


FILTERED = {
    "error": {
        "message": "The response was filtered due to the prompt triggering Azure OpenAI's content management policy.",
        "type": None,
        "param": "prompt",
        "code": "content_filter",
        "status": 400,
        "innererror": {"code": "ResponsibleAIPolicyViolation", "content_filter_result": {"hate": {"filtered": True}}},
    }
}
BARE_FILTERED = {"error": {"code": None, "message": "The prompt triggers the Content Management Policy of the service"}}


@pytest.mark.parametrize(
    ("status", "error", "reason"),
    [
        (400, FILTERED, Reason.CONTENT_REFUSED),
        (400, BARE_FILTERED, Reason.CONTENT_REFUSED),
        (404, {"error": {"code": "DeploymentNotFound", "message": "…"}}, Reason.PROVIDER_MODEL_NOT_FOUND),
        (404, {"error": {"code": "404", "message": "Resource not found"}}, Reason.PROVIDER_MODEL_NOT_FOUND),
        (401, {"error": {"code": "401", "message": "Access denied due to invalid subscription key"}},
         Reason.PROVIDER_KEY_REJECTED),
        (401, {"error": {"code": "PermissionDenied", "message": "The principal lacks the required data action"}},
         Reason.PROVIDER_PERMISSION_DENIED),
        (429, {"error": {"code": "429", "message": "… have exceeded call rate limit …"}},
         Reason.PROVIDER_RATE_LIMITED),
        (429, {"error": {"code": "insufficient_quota", "message": "…"}}, Reason.PROVIDER_BILLING),
        (400, {"error": {"message": "This model's maximum context length is 8192 tokens.",
                         "code": "context_length_exceeded"}}, Reason.CONTEXT_TOO_LONG),
        (500, {"error": {"code": "InternalServerError"}}, Reason.PROVIDER_ERROR),
        (503, {"error": {"code": "ServiceUnavailable"}}, Reason.PROVIDER_OVERLOADED),
    ],
)  # fmt: skip
def test_azure_s_failures_are_told_apart(status: int, error: Any, reason: Reason) -> None:
    headers = {"retry-after-ms": "1500", "retry-after": "2"}
    seen = AZURE_OPENAI.classify(status, headers, orjson.dumps(error))
    assert (seen.reason, seen.retry_after_s) == (reason, 1.5)


def test_what_the_filters_say_is_no_content() -> None:
    encoded = AZURE_OPENAI.encode(
        Generation(messages=(Message(Role.USER, (Text("Hi"),)),)),
        provider_model_id="m",
        output_limit=None,
        stream=True,
    )
    decoder = encoded.answers.stream_decoder()
    results = {"hate": {"filtered": False, "severity": "safe"}}
    first = {"choices": [], "id": "", "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": results}]}
    assert decoder.feed(orjson.dumps(first)) == []
    said = {"choices": [{"index": 0, "delta": {"content": "Hi"}, "content_filter_results": results}], "id": "c"}
    assert decoder.feed(orjson.dumps(said)) == [TextDelta("Hi")]
    # The asynchronous filter reports what it has looked at, without a delta.
    looked = {"choices": [{"index": 0, "content_filter_offsets": {"check_offset": 2}, "finish_reason": None}]}
    assert decoder.feed(orjson.dumps(looked)) == []
    decoder.feed(orjson.dumps({"choices": [{"index": 0, "delta": {}, "finish_reason": "content_filter"}]}))
    (end,) = decoder.feed(b"[DONE]")
    assert getattr(end, "finish_reason", None) is FinishReason.CONTENT_FILTER
