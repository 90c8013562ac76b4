from typing import Any

import orjson
import pytest

from libs.sandbox.dialect import Question, Refusal
from libs.sandbox.dialects.openai_request import read_question

USER = {"role": "user", "content": "Hello?"}
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
CALL = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
ASSISTANT = {"role": "assistant", "content": None, "tool_calls": [CALL]}
RESULT = {"role": "tool", "tool_call_id": "call_1", "content": "a cat"}


def read(**fields: Any) -> Question:
    return read_question(orjson.dumps({"model": "sandbox-small", "messages": [USER], **fields}))


def image(url: str) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}


def test_prompt_tokens_follow_the_documented_rule() -> None:
    # three for the prompt, three for the message, "Hello" and "?"
    assert read().prompt_tokens == 3 + 3 + 2


def test_an_image_counts_85_tokens() -> None:
    asked = read(messages=[image("data:image/png;base64,aGk="), image("https://example.com/a.png")])
    assert (asked.images, asked.prompt_tokens) == (2, 3 + 2 * (3 + 85))


def test_streamed_or_whole_the_question_is_the_same() -> None:
    assert read().digest == read(stream=True, stream_options={"include_usage": True}).digest
    assert read().digest != read(temperature=0.5).digest


def test_a_tool_result_is_the_thing_to_answer() -> None:
    assert read(messages=[USER, ASSISTANT, RESULT]).tool_result == "a cat"


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[]", b'"text"', b'{"a":' * 400 + b"1" + b"}" * 400])
def test_a_malformed_body_is_refused(body: bytes) -> None:
    with pytest.raises(Refusal) as caught:
        read_question(body)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": None}, "model"),
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": ["hi"]}, "messages[0]"),
        ({"messages": [{"role": "robot", "content": "hi"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "assistant", "content": None}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [{"type": "smell"}]}]}, "messages[0].content[0]"),
        ({"messages": [image("data:image/png;base64,???")]}, "messages[0].content[0]"),
        ({"messages": [image("file:///etc/passwd")]}, "messages[0].content[0]"),
        ({"messages": [USER, RESULT]}, "messages[1].role"),
        ({"messages": [USER, ASSISTANT]}, "messages"),
        ({"messages": [USER, ASSISTANT, USER]}, "messages"),
        ({"messages": [USER, {**ASSISTANT, "tool_calls": [{**CALL, "function": {"name": "look", "arguments": {}}}]}]},
         "messages[1].tool_calls[0]"),
        ({"tools": []}, "tools"),
        ({"tools": [{"type": "function"}]}, "tools[0]"),
        ({"tools": [{"type": "function", "function": {"name": "no spaces"}}]}, "tools[0].function.name"),
        ({"tools": [{"type": "function", "function": {"name": "a", "parameters": {"type": "string"}}}]},
         "tools[0].function.parameters"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tools": [TOOL], "tool_choice": "sometimes"}, "tool_choice"),
        ({"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "other"}}}, "tool_choice"),
        ({"response_format": {"type": "xml"}}, "response_format"),
        ({"response_format": {"type": "json_object"}}, "messages"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_completion_tokens": True}, "max_completion_tokens"),
        ({"temperature": 3}, "temperature"),
        ({"n": 2}, "n"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
        ({"stop": ""}, "stop"),
    ],
    ids=str,
)  # fmt: skip
def test_a_wrong_parameter_is_named(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(Refusal) as caught:
        read(**fields)
    assert (400, param) == (caught.value.status, caught.value.param)
