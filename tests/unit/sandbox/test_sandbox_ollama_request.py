from collections.abc import Mapping
from typing import Any

import orjson
import pytest

from libs.sandbox.dialect import Question, Refusal
from libs.sandbox.dialects.ollama_request import read_embedding, read_question

HELLO = {"role": "user", "content": "Hi"}
CALLED = {"role": "assistant", "tool_calls": [{"function": {"name": "look", "arguments": {}}}]}


def read(**fields: Any) -> Question:
    return read_question(orjson.dumps({"model": "sandbox-small", "messages": [HELLO], **fields}))


def refusal(**fields: Any) -> str:
    with pytest.raises(Refusal) as caught:
        read(**fields)
    assert caught.value.status == 400
    return caught.value.message


def test_a_request_is_streamed_unless_it_says_otherwise() -> None:
    assert read().stream
    assert not read(stream=False).stream
    assert read().digest == read(stream=False).digest


def test_a_request_without_messages_only_loads_the_model() -> None:
    assert read(messages=[]).prompt_tokens == 0


@pytest.mark.parametrize(
    ("think", "tokens", "shown"),
    [(None, None, True), (True, 12, True), (False, 0, False), ("low", 6, True), ("high", 24, True)],
)
def test_thinking_is_shown_unless_it_is_off(think: object, tokens: int | None, shown: bool) -> None:
    question = read(think=think)
    assert (question.reasoning_tokens, question.show_reasoning) == (tokens, shown)


def test_a_prompt_that_does_not_fit_is_cut_off_in_silence_or_refused() -> None:
    long = [{"role": "user", "content": "word " * 100}]
    whole = read(messages=long).prompt_tokens
    assert whole > 100
    assert read(messages=long, options={"num_ctx": 50}).prompt_tokens == 50
    assert "context length" in refusal(messages=long, options={"num_ctx": 50}, truncate=False)
    assert read(messages=long, options={"num_ctx": whole}, truncate=False).prompt_tokens == whole


def test_results_are_for_calls_that_wait() -> None:
    answered = {"role": "tool", "tool_name": "look", "content": "seen"}
    assert read(messages=[HELLO, CALLED, answered]).tool_result == "seen"
    for messages in (
        [HELLO, answered],
        [HELLO, CALLED, answered, answered],
        [HELLO, CALLED, {**answered, "tool_name": "x"}],
    ):
        assert "waits for a result" in refusal(messages=messages)


@pytest.mark.parametrize(
    ("fields", "part"),
    [
        ({"model": ""}, "model is required"),
        ({"model": 7}, "ChatRequest.model"),
        ({"messages": {}}, "ChatRequest.messages"),
        ({"messages": ["Hi"]}, "api.Message"),
        ({"messages": [{"role": "developer", "content": "Hi"}]}, "invalid role"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]}, "messages.content"),
        ({"messages": [{**HELLO, "name": "Ada"}]}, 'unknown field "name"'),
        ({"messages": [{**HELLO, "images": ["!"]}]}, "base64"),
        ({"messages": [{**HELLO, "images": ["https://example.com/cat.png"]}]}, "base64"),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "a", "arguments": "{}"}}]}]},
            "arguments",
        ),
        ({"tool_choice": "auto"}, 'unknown field "tool_choice"'),
        ({"temperature": 1}, 'unknown field "temperature"'),
        ({"options": {"max_tokens": 5}}, 'invalid option provided: "max_tokens"'),
        ({"options": {"seed": 1.5}}, 'option "seed" must be of type integer'),
        ({"options": {"seed": "1"}}, 'option "seed" must be of type integer'),
        ({"options": {"temperature": True}}, 'option "temperature" must be of type float32'),
        ({"options": {"stop": "END"}}, 'option "stop" must be of type array'),
        ({"options": []}, "map[string]interface"),
        ({"stream": "yes"}, "stream"),
        ({"truncate": 1}, "truncate"),
        ({"think": "much"}, "invalid think value"),
        ({"think": 1}, "invalid think value"),
        ({"format": "yaml"}, "invalid format"),
        ({"keep_alive": "-1"}, "invalid duration"),
        ({"keep_alive": "5 minutes"}, "invalid duration"),
        ({"keep_alive": True}, "keep_alive"),
        ({"tools": [{"type": "function", "function": {"name": "a", "parameters": {"type": "array"}}}]}, "parameters"),
        ({"tools": [{"type": "function", "function": {"name": "a", "strict": True}}]}, 'unknown field "strict"'),
        ({"tools": [{"function": {"name": "a"}}]}, "type of a tool"),
    ],
)
def test_what_ollama_refuses_or_passes_over_is_refused(fields: Mapping[str, Any], part: str) -> None:
    assert part in refusal(**fields)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'{"a":' * 300 + b"1" + b"}" * 300])
def test_what_is_no_request_is_refused(body: bytes) -> None:
    for reader in (read_question, read_embedding):
        with pytest.raises(Refusal):
            reader(body)


def test_texts_to_embed_are_one_or_many() -> None:
    one = read_embedding(b'{"model":"sandbox-embed","input":"Hello, world!"}')
    assert (one.inputs, one.prompt_tokens, one.dimensions) == (("Hello, world!",), 4, None)
    many = read_embedding(b'{"model":"sandbox-embed","input":["a","b c"],"dimensions":16,"keep_alive":0}')
    assert (many.inputs, many.prompt_tokens, many.dimensions) == (("a", "b c"), 3, 16)


@pytest.mark.parametrize(
    "fields",
    [
        *({"input": 7}, {"input": [7]}, {"dimensions": 4}, {"dimensions": "8"}, {"encoding_format": "float"}),
        {"input": "a b c", "truncate": False, "options": {"num_ctx": 2}},
    ],
)
def test_wrong_requests_for_vectors_are_refused(fields: Mapping[str, Any]) -> None:
    with pytest.raises(Refusal):
        read_embedding(orjson.dumps({"model": "sandbox-embed", "input": "a", **fields}))
