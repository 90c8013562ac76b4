"""What each server sends, understood."""

import contextlib
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.router.domain.errors import ProviderError, Reason
from services.router.domain.generation import (
    Answer,
    FinishReason,
    Generation,
    Message,
    Reasoning,
    Role,
    Signature,
    Text,
)
from services.router.providers.dialects.compatible_servers import SERVERS
from services.router.providers.dialects.openai_compatible import OPENAI_COMPATIBLE
from tests.unit.router.providers.compatible_answers import DETAILS, FIXTURES, Fixture
from tests.unit.router.providers.compatible_wire import ALL, chunk, read_stream, read_whole, sent, whole


@pytest.mark.parametrize("fixture", FIXTURES, ids=[each.server for each in FIXTURES])
def test_what_each_server_sends_is_understood_whole_and_streamed(fixture: Fixture) -> None:
    wanted = Answer(
        parts=fixture.parts,
        finish_reason=fixture.finish,
        raw_finish_reason=fixture.raw,
        usage=fixture.usage,
    )
    assert wanted == read_whole(fixture.server, fixture.whole)
    assert wanted == read_stream(fixture.server, *fixture.chunks, done=fixture.done)
    total = max(
        sum(fixture.whole["usage"][name] for name in ("prompt_tokens", "completion_tokens")),
        fixture.whole["usage"]["total_tokens"],
    )
    assert fixture.usage.total == total


def test_there_is_a_fixture_of_every_server() -> None:
    assert {each.server for each in FIXTURES} == set(SERVERS)


def test_openrouter_s_details_go_back_as_they_came_and_nothing_else_does() -> None:
    answer = read_whole("openrouter", FIXTURES[ALL.index("openrouter")].whole)
    messages = sent("openrouter", Generation(messages=(Message(Role.ASSISTANT, answer.parts),)))["messages"]
    assert messages[0]["reasoning_details"] == DETAILS
    forged = (Reasoning("", Signature(b"\xff")), Reasoning("", Signature(b'{"a":1}')), Text("x"))
    assert sent("openrouter", Generation(messages=(Message(Role.ASSISTANT, forged),)))["messages"] == [
        {"role": "assistant", "content": "x"}
    ]


def test_openrouter_s_details_of_parallel_calls_stay_apart() -> None:
    one, other = (
        {"type": "reasoning.encrypted", "data": data, "format": "google-gemini-v1", "index": 0, "id": call_id}
        for data, call_id in (("AAAA", "t1"), ("BBBB", "t2"))
    )
    streamed = read_stream(
        "openrouter", chunk(reasoning_details=[one]), chunk(reasoning_details=[other]), chunk("stop")
    )
    whole_answer = read_whole("openrouter", whole("stop", None, content=None, reasoning_details=[one, other]))
    assert streamed == whole_answer
    (kept,) = streamed.parts
    assert isinstance(kept, Reasoning)
    assert kept.signature == Signature(orjson.dumps([one, other]))
    # A piece that lacks the id, or repeats it, goes on with the one before.
    pieces = [one, {"type": "reasoning.encrypted", "data": "CC", "index": 0}, {**one, "data": "DD"}]
    (joined,) = read_stream("openrouter", *(chunk(reasoning_details=[each]) for each in pieces), chunk("stop")).parts
    assert isinstance(joined, Reasoning)
    assert joined.signature == Signature(orjson.dumps([{**one, "data": "AAAACCDD"}]))


def test_thoughts_alone_are_kept_with_what_sends_them_back() -> None:
    wanted = (Reasoning("Hmm.", Signature(b"Hmm.")),)
    assert wanted == read_whole("deepseek", whole("length", None, content="", reasoning_content="Hmm.")).parts
    assert wanted == read_stream("deepseek", chunk(reasoning_content="Hmm."), chunk("length")).parts


def test_thoughts_of_mistral_may_be_one_text_and_other_pieces_are_passed_over() -> None:
    pieces = [{"type": "thinking", "thinking": "Hmm."}, {"type": "reference", "reference_ids": [1]}]
    assert read_whole("mistral", whole("stop", None, content=pieces)).parts == (Reasoning("Hmm."),)
    assert read_stream("mistral", chunk(content=pieces), chunk("stop")).parts == (Reasoning("Hmm."),)


def test_an_error_in_the_place_of_an_answer_is_told_apart() -> None:
    error = {"object": "error", "message": "Slow down", "type": "x", "code": 429}
    with pytest.raises(ProviderError) as caught:
        read_whole("vllm", error)
    assert caught.value.reason is Reason.PROVIDER_RATE_LIMITED


@pytest.mark.parametrize(
    ("server", "raw", "reason"),
    [
        ("vllm", "abort", FinishReason.ERROR),
        ("mistral", "error", FinishReason.ERROR),
        ("deepseek", "insufficient_system_resource", FinishReason.ERROR),
        ("openrouter", "error", FinishReason.ERROR),
        ("other", "error", FinishReason.UNKNOWN),
    ],
)
def test_finish_reasons_of_their_own(server: str, raw: str, reason: FinishReason) -> None:
    answer = read_whole(server, whole(raw, None, content="x"))
    assert (answer.finish_reason, answer.raw_finish_reason) == (reason, raw)


@pytest.mark.parametrize(
    "body",
    [
        {"object": "list", "data": [{"id": "a", "object": "model"}, {"id": "b"}]},
        [{"id": "a", "type": "chat"}, {"id": "b", "type": "image"}],
        {"models": [{"name": "a.gguf"}], "object": "list", "data": [{"id": "a"}, {"id": "b"}]},
        {"data": [{"id": "a", "canonical_slug": "a-1"}, {"id": "b", "pricing": {"prompt": "0"}}]},
    ],
    ids=["openai", "together", "llama.cpp", "openrouter"],
)
def test_lists_of_models_are_read_in_every_shape(body: Any) -> None:
    assert OPENAI_COMPATIBLE.decode_models(orjson.dumps(body)) == {"a", "b"}


FIELDS = [
    *("choices", "message", "delta", "content", "reasoning", "reasoning_content", "reasoning_details", "type", "text"),
    *("thinking", "index", "data", "summary", "tool_calls", "function", "name", "arguments", "id", "finish_reason"),
    *("usage", "x_groq", "error", "object", "metadata", "raw", "detail", "code", "prompt_tokens_details"),
]
RUBBISH = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-9, 9)
    | st.sampled_from(["text", "thinking", "reasoning.text", "error", "a", ""]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=6),
    max_leaves=25,
)


@given(st.sampled_from(ALL), RUBBISH, RUBBISH)
@settings(max_examples=300)
def test_rubbish_raises_nothing_but_a_provider_error(server: str, one: Any, other: Any) -> None:
    documents = (
        one,
        {"choices": [{"message": one, "delta": other, "finish_reason": "stop"}], "usage": other},
        {"choices": [{"message": {"content": [one], "reasoning_details": [other, one], "tool_calls": [other]}}]},
        {"choices": [{"delta": {"content": [one], "reasoning_details": [other, one], "tool_calls": [other]}}]},
    )
    for document in documents:
        with contextlib.suppress(ProviderError):
            read_whole(server, document)
        with contextlib.suppress(ProviderError):
            read_stream(server, document, chunk("stop"))
        assert OPENAI_COMPATIBLE.classify(400, {}, orjson.dumps(document)).status == 400
