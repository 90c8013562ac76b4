"""The failures of each server as it sends them."""

from typing import Any

import orjson
import pytest

from services.router.domain.errors import ProviderError, Reason
from services.router.providers.dialects.openai_compatible import OPENAI_COMPATIBLE
from services.router.providers.reading.retry_hints import LONGEST_HINT_S
from tests.unit.router.providers.compatible_wire import chunk, read_stream


def raw_upstream(error: Any) -> dict[str, Any]:
    return {
        "error": {
            "message": "Provider returned error",
            "code": 400,
            "metadata": {"raw": error, "provider_name": "OpenAI"},
        }
    }


ERRORS: list[tuple[int, Any, Reason, str]] = [
    # vLLM, new and old
    (400, {"error": {"message": "This model's maximum context length is 4096 tokens.", "type": "BadRequestError",
                     "param": None, "code": 400}}, Reason.CONTEXT_TOO_LONG, "This model's maximum"),
    (400, {"object": "error", "message": "The decoder prompt (length 5000) is longer than the maximum model length of"
           " 4096.", "type": "BadRequestError", "param": None, "code": 400}, Reason.CONTEXT_TOO_LONG, "The decoder"),
    (404, {"object": "error", "message": "The model `x` does not exist.", "type": "NotFoundError", "param": None,
           "code": 404}, Reason.PROVIDER_MODEL_NOT_FOUND, "The model"),
    (401, {"error": "Unauthorized"}, Reason.PROVIDER_KEY_REJECTED, ""),
    # llama.cpp
    (400, {"error": {"code": 400, "message": "request (4476 tokens) exceeds the available context size (4096 tokens)",
                     "type": "exceed_context_size_error", "n_prompt_tokens": 4476, "n_ctx": 4096}},
     Reason.CONTEXT_TOO_LONG, "request (4476"),
    (503, {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}},
     Reason.PROVIDER_OVERLOADED, ""),
    (401, {"error": {"code": 401, "message": "Invalid API Key", "type": "authentication_error"}},
     Reason.PROVIDER_KEY_REJECTED, ""),
    (501, {"error": {"code": 501, "message": "not supported", "type": "not_supported_error"}},
     Reason.PROVIDER_INVALID_REQUEST, "not supported"),
    # LM Studio
    (400, {"error": "Trying to keep the first 111490 tokens when context the overflows. However, the model is loaded"
           " with context length of only 32768 tokens"}, Reason.CONTEXT_TOO_LONG, "Trying"),
    (400, {"error": {"message": "Cannot truncate prompt with n_keep (15028) >= n_ctx (7424)"}},
     Reason.CONTEXT_TOO_LONG, "Cannot"),
    (404, {"error": {"message": "Model not found", "type": "invalid_request_error", "code": "model_not_found"}},
     Reason.PROVIDER_MODEL_NOT_FOUND, "Model"),
    # Groq
    (400, {"error": {"message": "Please reduce the length of the messages or completion.",
                     "type": "invalid_request_error", "param": "messages", "code": "context_length_exceeded"}},
     Reason.CONTEXT_TOO_LONG, "Please"),
    (413, {"error": {"message": "Request too large for model `m` on tokens per minute (TPM): Limit 12000",
                     "type": "tokens", "code": "rate_limit_exceeded"}}, Reason.PROVIDER_RATE_LIMITED, ""),
    (400, {"error": {"message": "Failed to call a function.", "type": "invalid_request_error",
                     "code": "tool_use_failed", "failed_generation": "<x>"}}, Reason.PROVIDER_ERROR, ""),
    (498, {"error": {"message": "Flex tier capacity exceeded", "code": "capacity_exceeded"}},
     Reason.PROVIDER_OVERLOADED, ""),
    # Mistral
    (400, {"object": "error", "message": "Prompt contains 40000 tokens, too large for model with 32768 maximum context"
           " length", "type": "invalid_request_error", "param": None, "code": "3051"}, Reason.CONTEXT_TOO_LONG, "Pro"),
    (400, {"object": "error", "message": "Invalid model: x", "type": "invalid_model", "code": "1500"},
     Reason.PROVIDER_MODEL_NOT_FOUND, "Invalid"),
    (422, {"object": "error", "message": {"detail": [{"type": "extra_forbidden", "loc": ["body", "top_k"],
                                                     "msg": "Extra inputs are not permitted", "input": 1}]},
           "type": "invalid_request_error", "param": None, "code": None}, Reason.PROVIDER_INVALID_REQUEST,
     "body.top_k: Extra inputs are not permitted"),
    (401, {"detail": "Unauthorized"}, Reason.PROVIDER_KEY_REJECTED, ""),
    (429, {"object": "error", "message": "Service tier capacity exceeded for this model.",
           "type": "service_tier_capacity_exceeded", "code": "3505"}, Reason.PROVIDER_RATE_LIMITED, ""),
    (429, {"message": "Requests rate limit exceeded"}, Reason.PROVIDER_RATE_LIMITED, ""),
    # DeepSeek
    (402, {"error": {"message": "Insufficient Balance", "type": "unknown_error", "param": None,
                     "code": "invalid_request_error"}}, Reason.PROVIDER_BILLING, ""),
    (400, {"error": {"message": "Content Exists Risk", "type": "invalid_request_error", "param": None,
                     "code": "invalid_request_error"}}, Reason.CONTENT_REFUSED, ""),
    (400, {"error": {"message": "The reasoning_content in the thinking mode must be passed back to the API.",
                     "type": "invalid_request_error", "code": "invalid_request_error"}},
     Reason.PROVIDER_INVALID_REQUEST, "The reasoning_content"),
    # xAI
    (400, {"code": "Client specified an invalid argument", "error": "Incorrect API key provided: gs***tF. You can"
           " obtain an API key from https://console.x.ai."}, Reason.PROVIDER_KEY_REJECTED, ""),
    (403, {"code": "The caller does not have permission to execute the specified operation", "error": "Your newly"
           " created team doesn't have any credits yet."}, Reason.PROVIDER_BILLING, ""),
    (404, {"code": "Some requested entity was not found", "error": "The model x does not exist or your team does not"
           " have access to it."}, Reason.PROVIDER_MODEL_NOT_FOUND, "The model x"),
    (400, {"code": "Client specified an invalid argument", "error": "This model's maximum prompt length is 131072 but"
           " the request contains 140000 tokens."}, Reason.CONTEXT_TOO_LONG, "This model"),
    (403, {"code": "The caller does not have permission", "error": "Content violates usage guidelines."},
     Reason.CONTENT_REFUSED, ""),
    # Together
    (422, {"error": {"message": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 8193.",
                     "type": "invalid_request_error", "param": None, "code": None}}, Reason.CONTEXT_TOO_LONG, "Input"),
    (401, {"error": {"message": "Invalid API key provided.", "type": "invalid_request_error",
                     "code": "invalid_api_key"}}, Reason.PROVIDER_KEY_REJECTED, ""),
    (404, {"error": {"message": "Unable to access model x.", "type": "invalid_request_error",
                     "code": "model_not_available"}}, Reason.PROVIDER_MODEL_NOT_FOUND, "Unable"),
    # OpenRouter
    (402, {"error": {"message": "Insufficient credits", "code": 402}, "user_id": "u"}, Reason.PROVIDER_BILLING, ""),
    (400, raw_upstream('{"error":{"message":"too many","type":"invalid_request_error","param":"messages",'
                       '"code":"context_length_exceeded"}}'), Reason.CONTEXT_TOO_LONG, "too many"),
    (400, raw_upstream({"object": "error", "message": "Unexpected role", "type": "invalid_request_message_order",
                        "code": "3230"}), Reason.PROVIDER_INVALID_REQUEST, "Unexpected role"),
    (429, raw_upstream('{"error":{"message":"x","type":"insufficient_quota"}}'), Reason.PROVIDER_BILLING, ""),
    (400, raw_upstream("not JSON"), Reason.PROVIDER_INVALID_REQUEST, "Provider returned error"),
    (403, {"error": {"message": "Your input was flagged", "code": 403,
                     "metadata": {"reasons": ["violence"], "flagged_input": "…", "provider_name": "OpenAI"}}},
     Reason.CONTENT_REFUSED, ""),
    (503, {"error": {"message": "No allowed providers", "code": 503}}, Reason.PROVIDER_OVERLOADED, ""),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body", "reason", "message"), ERRORS, ids=range(len(ERRORS)))
def test_every_server_s_failures_are_told_apart(status: int, body: Any, reason: Reason, message: str) -> None:
    error = OPENAI_COMPATIBLE.classify(status, {"retry-after": "3"}, orjson.dumps(body))
    assert (error.reason, error.status, error.retry_after_s) == (reason, status, 3.0)
    assert error.message.startswith(message)
    assert bool(error.message) is bool(message)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        # vLLM and Mistral, in the place of a chunk
        ({"object": "error", "message": "maximum context length", "type": "x", "code": 400}, Reason.CONTEXT_TOO_LONG),
        # LM Studio, with status 200
        (
            {"error": {"message": "The number of tokens to keep from the initial prompt is greater than the context"
                       " length"}},
            Reason.CONTEXT_TOO_LONG,
        ),
        ({"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}}, Reason.PROVIDER_OVERLOADED),
        # xAI
        ({"code": "Service unavailable", "error": "The model is at capacity"}, Reason.PROVIDER_ERROR),
        # Groq, beside what looks like an end
        ({**chunk("stop"), "x_groq": {"id": "req_1", "error": "over capacity"}}, Reason.PROVIDER_ERROR),
        # OpenRouter: beside a finish reason, or in the choice
        (
            {"error": {"code": 429, "message": "Rate limited"}, **chunk("error", content="")},
            Reason.PROVIDER_RATE_LIMITED,
        ),
        (
            {
                "choices": [
                    {"index": 0, "delta": {}, "finish_reason": "error", "error": {"code": 502, "message": "Down"}}
                ]
            },
            Reason.PROVIDER_ERROR,
        ),
        (
            {"error": {"code": 400, "message": "Provider returned error",
                       "metadata": {"raw": '{"error":{"code":"context_length_exceeded"}}'}}},
            Reason.CONTEXT_TOO_LONG,
        ),
        (
            {"error": {"code": 429, "message": "Provider returned error",
                       "metadata": {"raw": '{"error":{"message":"Busy","code":null,"type":null}}'}}},
            Reason.PROVIDER_RATE_LIMITED,
        ),
    ],
)  # fmt: skip
def test_failures_inside_a_stream_are_told_apart(error: dict[str, Any], reason: Reason) -> None:
    with pytest.raises(ProviderError) as caught:
        read_stream("openrouter", chunk(content="Hi"), error)
    assert (caught.value.reason, caught.value.status, caught.value.sent) == (reason, 200, True)


DAILY = {"X-RateLimit-Limit": "50", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1741305600000"}
BEFORE = {"date": "Thu, 06 Mar 2025 23:59:00 GMT"}


@pytest.mark.parametrize(
    ("headers", "copied", "seconds"),
    [
        (BEFORE, DAILY, 60.0),
        ({**BEFORE, **{name.lower(): value for name, value in DAILY.items()}}, None, 60.0),
        (BEFORE, {**DAILY, "X-RateLimit-Reset": 1741305600}, 60.0),
        # A clock that runs ahead, a time long gone, one far away
        ({"date": "Fri, 07 Mar 2025 00:00:09 GMT"}, DAILY, 0.0),
        ({}, DAILY, 0.0),
        (BEFORE, {**DAILY, "X-RateLimit-Reset": "9e15"}, LONGEST_HINT_S),
        # Together
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "12"}, None, 12.0),
        ({"x-ratelimit-remaining": "7", "x-ratelimit-reset": "12"}, None, None),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "soon"}, None, None),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "-3"}, None, None),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "nan"}, None, None),
        ({"x-ratelimit-remaining": "0"}, None, None),
        # What says it plainly counts first.
        ({**BEFORE, "retry-after": "3"}, DAILY, 3.0),
        ({}, ["odd"], None),
    ],
)
def test_a_limit_that_is_used_up_says_when_it_begins_anew(
    headers: dict[str, str], copied: Any, seconds: float | None
) -> None:
    error = {"message": "Rate limit exceeded: free-models-per-day", "code": 429, "metadata": {"headers": copied}}
    classified = OPENAI_COMPATIBLE.classify(429, headers, orjson.dumps({"error": error}))
    assert (classified.reason, classified.retry_after_s) == (Reason.PROVIDER_RATE_LIMITED, seconds)
    assert OPENAI_COMPATIBLE.classify(500, headers, b"{}").retry_after_s == (3.0 if "retry-after" in headers else None)
