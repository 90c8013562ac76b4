"""Tool calls, reasoning and usage however servers cut them; parts of an answer as they come."""

import itertools
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.router.domain.errors import ProviderError
from services.router.domain.generation import (
    ProviderEvent,
    Reasoning,
    ReasoningDelta,
    Text,
    TextDelta,
    ToolArgumentsDelta,
    ToolCall,
    ToolCallStarted,
)
from services.router.providers.formats.chat_completions.response import OPENAI_RULES, decode_answer
from services.router.providers.formats.chat_completions.stream import ChatStreamDecoder
from services.router.providers.reading.server_sent_events import EventReader
from tests.contract.dialects.folding import folded
from tests.unit.router.providers.chat_wire import FINISH, decoded, delta, events, finished, message


def tool_delta(**call: Any) -> dict[str, Any]:
    return delta(tool_calls=[call])


def content(*chunks: Any) -> list[ProviderEvent]:
    return events(*chunks, FINISH)[:-1]


def test_a_name_in_pieces_is_put_together_before_the_call_is_announced() -> None:
    assert [ToolCallStarted(0, "a", "get_weather"), ToolArgumentsDelta(0, "{}")] == content(
        tool_delta(index=0, id="a", function={"name": "get_"}),
        tool_delta(index=0, function={"name": "weather"}),
        tool_delta(index=0, function={"arguments": "{}"}),
    )


def test_an_id_may_come_after_the_name_with_or_without_an_index() -> None:
    for index in ({"index": 0}, {}):
        assert [ToolCallStarted(0, "a", "look"), ToolArgumentsDelta(0, "{}")] == content(
            tool_delta(function={"name": "look"}, **index),
            tool_delta(id="a", function={"arguments": "{}"}, **index),
        )


def test_calls_without_an_index_that_repeat_their_ids_may_come_interleaved() -> None:
    assert [
        ToolCallStarted(0, "a", "look"),
        ToolArgumentsDelta(0, "1"),
        ToolCallStarted(1, "b", "hear"),
        ToolArgumentsDelta(1, "2"),
        ToolArgumentsDelta(0, "3"),
    ] == content(
        tool_delta(id="a", function={"name": "look"}),
        tool_delta(id="b", function={"name": "hear"}),
        tool_delta(id="a", function={"name": "look", "arguments": "1"}),
        tool_delta(id="b", function={"name": "hear", "arguments": "2"}),
        tool_delta(id="a", function={"arguments": "3"}),
    )


def test_a_call_without_arguments_is_announced_at_the_end() -> None:
    assert [ToolCallStarted(0, "a", "look")] == content(tool_delta(index=0, id="a", function={"name": "look"}))


def test_arguments_as_an_object_are_written_as_text_streamed_and_whole() -> None:
    call = {"id": "a", "type": "function", "function": {"name": "look", "arguments": {"x": [1, "é"]}}}
    wanted = (ToolCall(id="a", name="look", arguments_json='{"x":[1,"é"]}'),)
    assert wanted == decoded(tool_calls=[call]).tool_calls
    assert wanted == folded(events(delta(tool_calls=[call]), FINISH)).tool_calls
    empty = {"id": "a", "function": {"name": "look", "arguments": {}}}
    assert decoded(tool_calls=[empty]).tool_calls[0].arguments_json == "{}"


@pytest.mark.parametrize("call", [{"index": 0, "id": "a"}, {"index": 0, "id": "a", "function": {"name": ""}}])
def test_a_call_that_never_gets_a_name_is_malformed(call: dict[str, Any]) -> None:
    with pytest.raises(ProviderError):
        events(delta(tool_calls=[call]), FINISH)


def test_ids_that_are_made_differ_from_answer_to_answer_and_not_from_stream_to_whole() -> None:
    call = {"function": {"name": "look", "arguments": "{}"}}
    made = []
    for answer_id in ("chatcmpl-1", "chatcmpl-2"):
        whole = decode_answer(orjson.dumps({"id": answer_id, **message(tool_calls=[call])})).tool_calls
        stream = folded(events({"id": answer_id, **delta(tool_calls=[call])}, FINISH)).tool_calls
        assert whole == stream
        made.append(whole[0].id)
    assert made[0] != made[1]
    assert all(len(each) <= 40 for each in made)


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_reasoning_is_read_under_all_its_names(field: str) -> None:
    thought: dict[str, Any] = {field: "Hm."}
    assert decoded(content="Yes.", **thought).parts == (Reasoning("Hm."), Text("Yes."))
    assert [ReasoningDelta("Hm."), TextDelta("Yes.")] == content(delta(**thought), delta(content="Yes."))


def test_reasoning_that_is_sent_under_two_names_comes_once() -> None:
    both: dict[str, Any] = {"reasoning": "Hm.", "reasoning_content": "Hm."}
    assert decoded(content="Yes.", **both).parts == (Reasoning("Hm."), Text("Yes."))
    assert [ReasoningDelta("Hm.")] == content(delta(**both))


def test_content_in_pieces_is_read_in_order() -> None:
    chunks = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "H"}, {"type": "text", "text": "m."}]},
        {"type": "text", "text": "Yes"},
        {"type": "reference", "reference_ids": [1]},
        {"type": "text", "text": "."},
        {"type": "thinking", "thinking": "And?"},
        {"type": "text", "text": ""},
    ]
    wanted = (Reasoning("Hm."), Text("Yes."), Reasoning("And?"))
    assert wanted == decoded(content=chunks).parts
    assert wanted == folded(events(*(delta(content=[chunk]) for chunk in chunks), FINISH)).parts


def test_usage_of_groq_s_own_field_and_a_null_beside_it_count() -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
    last = finished(delta(content="Hi"), {**FINISH, "usage": None, "x_groq": {"id": "req_1", "usage": usage}})
    assert last.usage is not None
    assert last.usage.total == 7
    assert finished({"x_groq": {"id": "req_1"}, "choices": []}, FINISH).usage is None


@pytest.mark.parametrize(
    ("fields", "read", "written"),
    [
        ({"prompt_tokens_details": {"cached_tokens": 4}}, 4, 0),
        ({"prompt_cache_hit_tokens": 4, "prompt_cache_miss_tokens": 6}, 4, 0),
        ({"prompt_cache_hit_tokens": 4, "prompt_tokens_details": {"cached_tokens": 4}}, 4, 0),
        ({"cached_tokens": 4}, 4, 0),
        ({"num_cached_tokens": 4, "prompt_tokens_details": None}, 4, 0),
        ({"prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 5}}, 4, 5),
    ],
)
def test_cached_tokens_are_found_wherever_they_stand(fields: dict[str, Any], read: int, written: int) -> None:
    usage = decoded(usage={"prompt_tokens": 10, "completion_tokens": 1, "total_tokens": 11, **fields}).usage
    assert usage is not None
    assert (usage.cache_read_tokens, usage.cache_write_tokens, usage.total) == (read, written, 11)


PIECES = st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=4), max_size=4)
CALLS = st.lists(st.tuples(st.sampled_from(["look", "hear", "see"]), PIECES), min_size=1, max_size=3)


@given(CALLS, st.randoms(use_true_random=False), st.booleans(), st.lists(st.integers(0, 5000), max_size=12))
def test_parallel_calls_stay_apart_for_any_order_and_any_split_of_the_bytes(
    calls: list[tuple[str, list[str]]], chance: Any, repeat: bool, cuts: list[int]
) -> None:
    queues = []
    for index, (name, pieces) in enumerate(calls):
        named = {"id": f"c{index}", "type": "function"}
        first = {"index": index, **named, "function": {"name": name, "arguments": ""}}
        rest = [
            {"index": index, **(named if repeat else {}), "function": {"arguments": piece}}
            | ({"function": {"name": name, "arguments": piece}} if repeat else {})
            for piece in pieces
        ]
        queues.append([first, *rest])
    # Calls begin in order; after that any of them may go on.
    deltas = [queue.pop(0) for queue in queues]
    while waiting := [queue for queue in queues if queue]:
        deltas.append(chance.choice(waiting).pop(0))
    wire = b"".join(b"data: " + orjson.dumps(delta(tool_calls=[each])) + b"\n\n" for each in deltas)
    wire += b"data: " + orjson.dumps(FINISH) + b"\n\ndata: [DONE]\n\n"
    places = sorted({cut % len(wire) for cut in cuts} | {0, len(wire)})
    reader, decoder = EventReader(), ChatStreamDecoder(OPENAI_RULES)
    got = [
        event
        for start, stop in itertools.pairwise(places)
        for data in reader.feed(wire[start:stop])
        for event in decoder.feed(data)
    ] + decoder.end()
    wanted = [
        ToolCall(id=f"c{index}", name=name, arguments_json="".join(pieces))
        for index, (name, pieces) in enumerate(calls)
    ]
    assert wanted == list(folded(got).tool_calls)


def test_a_call_keeps_its_first_id_whatever_its_pieces_say() -> None:
    assert [ToolCallStarted(0, "a", "look"), ToolArgumentsDelta(0, "{}")] == content(
        tool_delta(index=0, id="a", function={"name": "look"}),
        tool_delta(index=0, id="b", function={"arguments": "{}"}),
    )


def test_another_id_without_an_index_or_a_name_is_no_piece_of_the_call_before() -> None:
    with pytest.raises(ProviderError):
        content(
            tool_delta(id="a", function={"name": "look"}),
            tool_delta(id="b", function={"arguments": "{}"}),
        )


def test_made_ids_are_of_the_first_id_an_answer_has() -> None:
    call = tool_delta(index=0, function={"name": "look", "arguments": "{}"})
    first, later = {**delta(role="assistant"), "id": "chatcmpl-1"}, {**call, "id": "chatcmpl-2"}
    (started, _), (again, _) = content(first, later), content({**call, "id": "chatcmpl-1"})
    assert started == again
    assert isinstance(started, ToolCallStarted)
    assert len(started.id) == len("call_0_") + 12
    assert content(first, call) == [started, ToolArgumentsDelta(0, "{}")]
