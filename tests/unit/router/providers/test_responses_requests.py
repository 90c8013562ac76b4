from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.router.domain.generation import (
    Audio,
    Effort,
    Generation,
    Image,
    JsonFormat,
    Message,
    Reasoning,
    ReasoningRequest,
    Role,
    ServiceTier,
    Signature,
    Text,
    ToolCall,
    ToolResult,
)
from services.router.providers.formats.openai_responses.request import encode_request
from services.router.providers.formats.openai_responses.response import decode_answer
from tests.contract.dialects.conversations import conversations
from tests.unit.router.providers.responses_wire import Json, message, reasoning, response

HELLO = Message(Role.USER, (Text("Hello"),))


def encoded(*messages: Message, model: str = "sandbox-small", **fields: Any) -> Json:
    request = Generation(messages=messages or (HELLO,), **fields)
    body: Json = orjson.loads(encode_request(request, provider_model_id=model, output_limit=99, stream=False)[0])
    return body


def items(*messages: Message, **fields: Any) -> list[Json]:
    found: list[Json] = encoded(*messages, **fields)["input"]
    return found


def answered(*parts: Any) -> tuple[Message, ...]:
    """A conversation in which the model said `parts`."""
    return (HELLO, Message(Role.ASSISTANT, parts), HELLO)


def test_nothing_is_ever_stored_at_the_provider() -> None:
    assert encoded()["store"] is False


@pytest.mark.parametrize(
    ("model", "fields", "asked"),
    [
        ("gpt-5.4", {}, True),
        ("somebody-s-deployment", {}, True),
        ("gpt-4o-mini", {}, False),
        ("ft:gpt-4.1-mini:acme::1", {}, False),
        ("gpt-5-chat-latest", {}, False),
        ("gpt-4o-mini", {"reasoning": ReasoningRequest(effort=Effort.LOW)}, True),
    ],
)
def test_sealed_thoughts_are_asked_for_where_a_model_may_think(model: str, fields: Json, asked: bool) -> None:
    assert ("include" in encoded(model=model, **fields)) is asked


def test_sealed_thoughts_that_go_back_are_asked_for_again() -> None:
    thought = Reasoning("Hm.", Signature(b'{"id":"rs_1","encrypted_content":"c2VhbGVk"}'))
    assert encoded(*answered(thought, Text("Hi.")), model="gpt-4o")["include"] == ["reasoning.encrypted_content"]


@pytest.mark.parametrize(
    "item",
    [
        reasoning(),
        reasoning("One."),
        reasoning("One.", "Two.\n\nStill two.", ""),
        reasoning("\n\n", "\n\n\n\n"),
        reasoning(content=[{"type": "reasoning_text", "text": each} for each in ("First…", "then…")]),
    ],
)
def test_a_reasoning_item_goes_back_as_it_came(item: Json) -> None:
    (thought,) = decode_answer(orjson.dumps(response(item))).parts
    _, sent, *_ = items(*answered(thought, Text("Hi.")))
    kept = [each for each in item["summary"] if each["text"]]
    assert sent == {**item, "summary": kept}


def test_a_summary_that_was_changed_is_sent_as_it_is_now() -> None:
    (thought,) = decode_answer(orjson.dumps(response(reasoning("One.", "Two.")))).parts
    assert isinstance(thought, Reasoning)
    changed = Reasoning("Eins. Zwei.", thought.signature)
    assert items(*answered(changed, Text("Hi.")))[1]["summary"] == [{"type": "summary_text", "text": "Eins. Zwei."}]


def test_the_phase_of_each_message_goes_back() -> None:
    wire = (message("Wait.", phase="commentary"), message("Done.", phase="final_answer"))
    parts = decode_answer(orjson.dumps(response(*wire))).parts
    assert items(*answered(*parts))[1:-1] == [
        {"type": "message", "role": "assistant", "content": "Wait.", "phase": "commentary"},
        {"type": "message", "role": "assistant", "content": "Done.", "phase": "final_answer"},
    ]


@pytest.mark.parametrize(
    "data", [b"", b"rubbish", b"[]", b'{"id":"rs_1"}', b'{"encrypted_content":1}', b"\xff", b"[" * 9999]
)
def test_a_signature_of_another_format_is_left_out(data: bytes) -> None:
    parts = (Reasoning("Hm.", Signature(data)), Text("A"), Reasoning("", Signature(data)), Text("B"))
    assert [each["content"] for each in items(*answered(*parts))] == ["Hello", "A", "B", "Hello"]


def test_a_phase_before_any_message_means_nothing() -> None:
    parts = (Reasoning("", Signature(b'{"phase":"commentary"}')), Text("A"))
    assert items(*answered(*parts))[1] == {"type": "message", "role": "assistant", "content": "A"}


def test_long_ids_of_calls_are_shortened_alike_in_call_and_result() -> None:
    long = [f"{'x' * 200}{each}" for each in range(2)]
    calls = tuple(ToolCall(id=each, name="f", arguments_json="{}") for each in [*long, "y" * 64])
    results = tuple(ToolResult(tool_call_id=each.id, name="f", parts=(Text("ok"),)) for each in calls)
    sent = items(HELLO, Message(Role.ASSISTANT, calls), Message(Role.TOOL, results))[1:]
    ids = [each["call_id"] for each in sent]
    assert ids[:3] == ids[3:]
    assert len(set(ids)) == 3
    assert max(map(len, ids)) <= 64
    assert ids[2] == "y" * 64


def test_calls_that_were_given_the_same_id_twice_are_told_apart() -> None:
    turns: list[Message] = []
    for number in range(3):
        call = ToolCall(id="call_0", name="f", arguments_json=f"[{number}]")
        result = ToolResult(tool_call_id="call_0", name="f", parts=(Text(str(number)),))
        turns += [HELLO, Message(Role.ASSISTANT, (call,)), Message(Role.TOOL, (result,))]
    turns.append(Message(Role.ASSISTANT, (ToolCall(id="call_0_2", name="f", arguments_json="[3]"),)))
    sent = items(*turns)
    calls = {each["call_id"]: each["arguments"] for each in sent if each["type"] == "function_call"}
    results = {each["call_id"]: each["output"] for each in sent if each["type"] == "function_call_output"}
    assert list(calls.values()) == ["[0]", "[1]", "[2]", "[3]"]
    assert results == {call_id: arguments[1] for call_id, arguments in list(calls.items())[:3]}


def test_an_id_that_is_made_is_none_that_another_call_has() -> None:
    calls = [ToolCall(id=call_id, name="look", arguments_json="{}") for call_id in ("a", "a_2", "a", "a")]
    said = items(HELLO, *(Message(Role.ASSISTANT, (call,)) for call in calls))
    assert [each["call_id"] for each in said[1:]] == ["a", "a_2", "a_3", "a_4"]


@pytest.mark.parametrize(("is_error", "first"), [(False, "input_image"), (True, "input_text")])
def test_a_result_that_begins_with_an_image_has_words_before_it_for_a_failure_only(is_error: bool, first: str) -> None:
    parts = (Image(data=b"x", media_type="image/png"), Text("Oslo"))
    result = ToolResult(tool_call_id="a", name="look", parts=parts, is_error=is_error)
    (item,) = items(Message(Role.TOOL, (result,)))
    assert item["output"][0]["type"] == first
    assert [each["text"] for each in item["output"] if "text" in each] == ["Error: "] * is_error + ["Oslo"]


def test_a_summary_is_asked_for_where_there_are_thoughts_to_show() -> None:
    low, none = ReasoningRequest(effort=Effort.LOW), ReasoningRequest(effort=Effort.NONE)
    assert encoded(reasoning=low)["reasoning"] == {"effort": "low", "summary": "auto"}
    assert encoded(reasoning=none)["reasoning"] == {"effort": "none"}
    assert encoded(reasoning=ReasoningRequest(effort=Effort.LOW, hide=True))["reasoning"] == {"effort": "low"}


def test_thoughts_that_led_to_nothing_are_left_out() -> None:
    thought = Reasoning("Hm.", Signature(b'{"id":"rs_1","encrypted_content":"c2VhbGVk"}'))
    cut, whole = Message(Role.ASSISTANT, (thought,)), Message(Role.ASSISTANT, (thought, Text("Hi.")))
    kinds = [each["type"] for each in items(HELLO, cut, HELLO, whole, HELLO)]
    assert kinds == ["message", "message", "reasoning", "message", "message"]
    # They may have led to what the next message holds.
    said = Message(Role.ASSISTANT, (Text("Hi."),))
    assert [each["type"] for each in items(HELLO, cut, said, HELLO)] == ["message", "reasoning", "message", "message"]


def test_the_word_json_is_said_once_where_it_has_to_be() -> None:
    wanted = {"response_format": JsonFormat()}
    asked = Message(Role.USER, (Text("As Json, please"),))
    assert [each["role"] for each in items(asked, **wanted)] == ["user"]
    assert [each["role"] for each in items(HELLO, **wanted)] == ["developer", "user"]
    assert [each["role"] for each in items(HELLO)] == ["user"]


def test_without_tools_nothing_is_said_about_them() -> None:
    assert {"tools", "tool_choice", "parallel_tool_calls"}.isdisjoint(encoded(parallel_tool_calls=False))


@pytest.mark.parametrize(
    ("tier", "word"),
    [
        (ServiceTier.AUTO, "auto"),
        (ServiceTier.STANDARD, "default"),
        (ServiceTier.FLEX, "flex"),
        (ServiceTier.PRIORITY, "priority"),
    ],
)
def test_tiers_have_openai_s_names(tier: ServiceTier, word: str) -> None:
    assert encoded(service_tier=tier)["service_tier"] == word


@given(conversations(["images", "audio", "documents"], ["images", "documents", "audio"]), st.booleans())
def test_every_conversation_encodes(request: Generation, stream: bool) -> None:
    body, _ = encode_request(request, provider_model_id="gpt-5.4", output_limit=None, stream=stream)
    assert orjson.loads(body)["input"]


def test_what_the_format_cannot_carry_is_not_sent_as_something_else() -> None:
    # Left out with a warning, or refused, before it gets here.
    sound = Audio(data=b"RIFF", media_type="audio/wav")
    assert items(Message(Role.USER, (Text("Listen"), sound)))[0]["content"] == [
        {"type": "input_text", "text": "Listen"}
    ]
