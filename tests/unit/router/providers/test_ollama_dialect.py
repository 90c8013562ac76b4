import base64
from typing import Any

import orjson
import pytest

from libs.core.money import TokenCounts
from services.router.domain import features
from services.router.domain.embedding import Embedding
from services.router.domain.errors import ProviderError, Reason
from services.router.domain.generation import (
    Effort,
    Generation,
    Image,
    Message,
    Reasoning,
    ReasoningRequest,
    Role,
    Signature,
    Text,
    ToolCall,
    ToolResult,
)
from services.router.providers.base import NO_OPTIONS, Options
from services.router.providers.dialects.ollama import OLLAMA


def encoded(request: Generation, *, model: str = "llama3", options: Options = NO_OPTIONS, **fields: Any) -> Any:
    arguments: dict[str, Any] = {"output_limit": None, "stream": False, **fields}
    sent = OLLAMA.encode(request, provider_model_id=model, options=options, **arguments)
    assert sent.path == "/api/chat"
    return orjson.loads(sent.body)


def saying(**fields: Any) -> Generation:
    return Generation(messages=(Message(Role.USER, (Text("Hi"),)),), **fields)


def test_what_does_not_fit_is_an_error_and_not_cut_off() -> None:
    body = encoded(saying())
    assert (body["truncate"], body["shift"], body["stream"]) == (False, False, False)
    assert "options" not in body
    assert "think" not in body


@pytest.mark.parametrize(
    ("reasoning", "model", "think"),
    [
        (ReasoningRequest(effort=Effort.NONE), "qwen3", False),
        (ReasoningRequest(effort=Effort.LOW), "qwen3", True),
        (ReasoningRequest(effort=Effort.MAX), "qwen3", True),
        (ReasoningRequest(budget_tokens=1), "qwen3", True),
        # It cannot but think.
        (ReasoningRequest(effort=Effort.NONE), "gpt-oss:20b", "low"),
        (ReasoningRequest(effort=Effort.MEDIUM), "gpt-oss:20b", "medium"),
        (ReasoningRequest(effort=Effort.MAX), "gpt-oss:120b-cloud", "high"),
        (ReasoningRequest(budget_tokens=2048), "gpt-oss", "low"),
        (ReasoningRequest(budget_tokens=2049), "gpt-oss", "medium"),
        (ReasoningRequest(budget_tokens=16_385), "gpt-oss", "high"),
    ],
)
def test_thinking_is_asked_for_in_the_model_s_words(reasoning: ReasoningRequest, model: str, think: bool | str) -> None:
    assert encoded(saying(reasoning=reasoning), model=model, options={"think": False})["think"] == think


def test_the_provider_s_option_counts_when_a_call_does_not_say() -> None:
    assert encoded(saying(), options={"think": True})["think"] is True


@pytest.mark.parametrize(
    ("given", "sent"), [("5m", "5m"), ("-1", -1), ("0", 0), ("1.5h", "1.5h"), ("", None), (7, None), (None, None)]
)
def test_how_long_a_model_stays_is_sent_as_the_server_reads_it(given: object, sent: object) -> None:
    assert encoded(saying(), options={"keep_alive": given}).get("keep_alive") == sent


def test_media_of_results_follow_them_with_where_they_come_from() -> None:
    picture = Image(data=b"png", media_type="image/png")
    request = Generation(
        messages=(
            Message(
                Role.ASSISTANT,
                (ToolCall(id="1", name="look", arguments_json="{}"), ToolCall(id="2", name="see", arguments_json="{}")),
            ),
            Message(Role.TOOL, (ToolResult(tool_call_id="2", name="see", parts=(picture, Text("two"), picture)),)),
            Message(Role.TOOL, (ToolResult(tool_call_id="1", name="look", parts=(picture,)),)),
            Message(Role.USER, (Text("And?"),)),
        )
    )
    image = base64.b64encode(b"png").decode()
    assert encoded(request)["messages"][1:] == [
        {"role": "tool", "tool_name": "look", "content": ""},
        {"role": "tool", "tool_name": "see", "content": "two"},
        {
            "role": "user",
            "content": "In this order: An image from the tool look (call 1); 2 images from the tool see (call 2).",
            "images": [image, image, image],
        },
        {"role": "user", "content": "And?"},
    ]


@pytest.mark.parametrize(
    ("order", "told"), [("ti", 0), ("it", 0), ("tii", 0), ("iit", 0), ("ttii", 0), ("tit", 1), ("iti", 1), ("titi", 1)]
)
def test_images_lose_their_places_only_with_a_word(order: str, told: int) -> None:
    parts = tuple(Text("See") if each == "t" else Image(data=b"x", media_type="image/png") for each in order)
    request = Generation(messages=(Message(Role.USER, (Text("Hi"),)), Message(Role.USER, parts)))
    warnings = OLLAMA.encode(request, provider_model_id="m", output_limit=9, stream=False).warnings
    assert len(warnings) == told
    assert all(each.startswith("the places of images within a text left out: ") for each in warnings)


@pytest.mark.parametrize("effort", Effort)
@pytest.mark.parametrize("model", ["qwen3", "gpt-oss"])
def test_the_nearest_step_of_effort_is_nothing_to_tell(effort: Effort, model: str) -> None:
    request = saying(reasoning=ReasoningRequest(effort=effort))
    assert OLLAMA.encode(request, provider_model_id=model, output_limit=9, stream=False).warnings == ()


def test_reasoning_is_not_sent_back() -> None:
    said = Message(Role.ASSISTANT, (Reasoning("Hm", Signature(b"x")), Text("Hello")))
    assert encoded(Generation(messages=(said,)))["messages"] == [{"role": "assistant", "content": "Hello"}]


def test_it_says_what_it_cannot_do() -> None:
    can = OLLAMA.features(NO_OPTIONS, "llama3")
    cannot = (
        features.TOOL_CHOICE,
        features.PARALLEL_TOOL_CALLS,
        features.AUDIO,
        features.DOCUMENTS,
        features.SERVICE_TIER,
        features.END_USER,
        features.PURPOSE,
    )
    assert not any(can & each for each in cannot)
    assert OLLAMA.takes_urls(saying(), NO_OPTIONS, "llama3") == frozenset()


def test_a_key_is_a_bearer_token_and_not_needed() -> None:
    assert not OLLAMA.requires_key
    assert OLLAMA.key_headers("k", NO_OPTIONS) == {"Authorization": "Bearer k"}
    assert OLLAMA.token_request("k", NO_OPTIONS, now=0) is None


@pytest.mark.parametrize(
    ("status", "message", "reason"),
    [
        (400, "invalid request", Reason.PROVIDER_INVALID_REQUEST),
        (400, '"llama3" does not support tools', Reason.PROVIDER_INVALID_REQUEST),
        (400, "the input length exceeds the context length", Reason.CONTEXT_TOO_LONG),
        (413, "the input length exceeds the context length", Reason.CONTEXT_TOO_LONG),
        (500, "the input length exceeds the context length", Reason.CONTEXT_TOO_LONG),
        (401, "unauthorized", Reason.PROVIDER_KEY_REJECTED),
        (403, "this model requires a subscription, upgrade for access", Reason.PROVIDER_PERMISSION_DENIED),
        (404, "model 'x' not found", Reason.PROVIDER_MODEL_NOT_FOUND),
        (429, "you've reached your hourly usage limit", Reason.PROVIDER_RATE_LIMITED),
        (500, "llama runner process has terminated", Reason.PROVIDER_ERROR),
        (500, "model requires more system memory (9 GiB) than is available (2 GiB)", Reason.PROVIDER_OVERLOADED),
        (503, "server busy, please try again.  maximum pending requests exceeded", Reason.PROVIDER_OVERLOADED),
        (502, "bad gateway", Reason.PROVIDER_ERROR),
    ],
)
def test_failures_are_told_apart(status: int, message: str, reason: Reason) -> None:
    error = OLLAMA.classify(status, {}, orjson.dumps({"error": message}))
    assert (error.reason, error.status) == (reason, status)


def test_the_names_of_latest_models_are_known_without_their_tag() -> None:
    body = {"models": [{"name": "llama3:latest", "model": "llama3:latest"}, {"name": "qwen3:8b"}]}
    assert OLLAMA.decode_models(orjson.dumps(body)) == {"llama3", "llama3:latest", "qwen3:8b"}
    assert OLLAMA.decode_models(b'{"models":null}') == frozenset()


@pytest.mark.parametrize("body", [b"", b"[]", b'{"models":{}}', b'{"models":[{}]}', b'{"models":["a"]}', b"\xff"])
def test_what_is_no_list_of_models_is_a_bad_response(body: bytes) -> None:
    with pytest.raises(ProviderError) as caught:
        OLLAMA.decode_models(body)
    assert caught.value.reason is Reason.PROVIDER_BAD_RESPONSE


def test_vectors_are_asked_for_whole() -> None:
    assert OLLAMA.embedder is not None
    request = Embedding(inputs=("a", "b"), dimensions=64)
    sent = OLLAMA.embedder.encode(request, provider_model_id="nomic", options={"num_ctx": 2048.0, "keep_alive": "1h"})
    assert sent.path == "/api/embed"
    assert orjson.loads(sent.body) == {
        "model": "nomic",
        "input": ["a", "b"],
        "truncate": False,
        "dimensions": 64,
        "options": {"num_ctx": 2048},
        "keep_alive": "1h",
    }


def test_vectors_come_with_their_usage() -> None:
    assert OLLAMA.embedder is not None
    body = {"model": "nomic", "embeddings": [[0.5, 1], [0, -1.0]], "prompt_eval_count": 4}
    vectors = OLLAMA.embedder.decode(orjson.dumps(body), 2)
    assert [list(each) for each in vectors.vectors] == [[0.5, 1.0], [0.0, -1.0]]
    assert vectors.usage == TokenCounts(input_tokens=4)
    del body["prompt_eval_count"]
    assert OLLAMA.embedder.decode(orjson.dumps(body), 2).usage is None


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"embeddings":[[1.0]]}', Reason.PROVIDER_BAD_RESPONSE),
        (b'{"embeddings":[[1.0],[]]}', Reason.PROVIDER_BAD_RESPONSE),
        (b'{"embeddings":[[1.0],[1.0,2.0]]}', Reason.PROVIDER_BAD_RESPONSE),
        (b'{"embeddings":[[1.0],["a"]]}', Reason.PROVIDER_BAD_RESPONSE),
        (b'{"embeddings":{"a":1}}', Reason.PROVIDER_BAD_RESPONSE),
        (b'{"embeddings":null}', Reason.PROVIDER_BAD_RESPONSE),
        (b"[]", Reason.PROVIDER_BAD_RESPONSE),
        (b'{"error":"the input length exceeds the context length"}', Reason.CONTEXT_TOO_LONG),
    ],
)
def test_what_are_no_vectors_is_refused(body: bytes, reason: Reason) -> None:
    assert OLLAMA.embedder is not None
    with pytest.raises(ProviderError) as caught:
        OLLAMA.embedder.decode(body, 2)
    assert caught.value.reason is reason
