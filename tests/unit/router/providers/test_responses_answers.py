from typing import Any

import orjson
import pytest

from libs.core.money import TokenCounts
from services.router.domain.errors import ProviderError, Reason
from services.router.domain.generation import (
    Finished,
    FinishReason,
    Reasoning,
    ReasoningDelta,
    Signature,
    Text,
    TextDelta,
    ToolArgumentsDelta,
    ToolCall,
    ToolCallStarted,
)
from services.router.providers.formats.openai_responses.response import decode_answer
from services.router.providers.formats.openai_responses.usage import read_usage
from tests.contract.dialects.folding import folded
from tests.unit.router.providers.responses_wire import (
    Json,
    added,
    completed,
    content,
    decoded,
    delta,
    done,
    events,
    function_call,
    message,
    reasoning,
    response,
    streamed,
)

SEALED = Signature(b'{"id":"rs_1","encrypted_content":"c2VhbGVk"}')
FINISHES: list[tuple[Json, FinishReason, str]] = [
    ({"status": "completed"}, FinishReason.STOP, "completed"),
    (
        {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}},
        FinishReason.LENGTH,
        "max_output_tokens",
    ),
    (
        {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}},
        FinishReason.CONTENT_FILTER,
        "content_filter",
    ),
    ({"status": "incomplete", "incomplete_details": {"reason": "steered"}}, FinishReason.UNKNOWN, "steered"),
    ({"status": "incomplete", "incomplete_details": None}, FinishReason.UNKNOWN, "incomplete"),
    ({"status": "failed"}, FinishReason.ERROR, "failed"),
    ({"status": "cancelled"}, FinishReason.UNKNOWN, "cancelled"),
    ({"status": "brand_new"}, FinishReason.UNKNOWN, "brand_new"),
]


@pytest.mark.parametrize(("fields", "reason", "raw"), FINISHES)
def test_finish_reasons_are_those_of_the_table_and_keep_the_provider_s_word(
    fields: Json, reason: FinishReason, raw: str
) -> None:
    whole = decoded(message("Hi"), **fields)
    end = {"type": "response.completed", "response": response(message("Hi"), **fields)}
    for finish in (whole, events(end)[-1]):
        assert isinstance(finish, Finished) or finish is whole
        assert (finish.finish_reason, finish.raw_finish_reason) == (reason, raw)


def test_a_call_or_a_refusal_in_a_completed_answer_says_why_it_ended() -> None:
    assert decoded(function_call()).finish_reason is FinishReason.TOOL_CALLS
    assert decoded(message(refusal="No.")).finish_reason is FinishReason.REFUSAL
    # Cut off is cut off.
    cut = {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
    assert decoded(function_call(), **cut).finish_reason is FinishReason.LENGTH


def test_parts_stand_in_the_provider_s_order_and_neighbouring_texts_are_one() -> None:
    answer = decoded(reasoning("Hm."), message("A", "B"), message("C"), function_call('{"a":1}'), message("D"))
    assert answer.parts == (
        Reasoning("Hm.", SEALED),
        Text("ABC"),
        ToolCall(id="call_a", name="f", arguments_json='{"a":1}'),
        Text("D"),
    )


def test_several_summaries_are_one_text_whose_parts_are_remembered() -> None:
    (part,) = decoded(reasoning("One.", "", "Two.")).parts
    assert isinstance(part, Reasoning)
    assert part.text == "One.\n\nTwo."
    assert part.signature is not None
    assert orjson.loads(part.signature.data) == {
        "id": "rs_1",
        "encrypted_content": "c2VhbGVk",
        "summary": [4, 4],
    }


def test_hidden_thoughts_are_a_signature_and_unsealed_ones_a_text() -> None:
    assert decoded(reasoning()).parts == (Reasoning("", SEALED),)
    assert decoded(reasoning("Hm.", sealed=None)).parts == (Reasoning("Hm."),)
    assert decoded(reasoning(sealed=None)).parts == ()


def test_open_models_show_all_they_think() -> None:
    thought = {"content": [{"type": "reasoning_text", "text": "First…"}]}
    assert decoded(reasoning(sealed=None, **thought)).parts == (Reasoning("First…"),)


def test_the_phase_of_a_message_is_kept_behind_it() -> None:
    answer = decoded(message("Wait.", phase="commentary"), message("Done.", phase="final_answer"))
    assert answer.parts == (
        Text("Wait."),
        Reasoning("", Signature(b'{"phase":"commentary"}')),
        Text("Done."),
        Reasoning("", Signature(b'{"phase":"final_answer"}')),
    )


def test_items_of_other_kinds_are_passed_over() -> None:
    other = {"id": "ws_1", "type": "web_search_call", "status": "completed"}
    assert decoded(other, message("Hi"), {"type": "brand_new"}).parts == (Text("Hi"),)
    assert content(added(other), done(other), delta("output_text", "Hi", 1), {"type": "response.brand_new"}) == [
        TextDelta("Hi")
    ]


def test_a_call_without_an_id_gets_one() -> None:
    first, second = decoded(function_call(call_id=""), {**function_call(call_id=""), "id": None}).tool_calls
    assert (first.id, second.id) == ("fc_", "call_1")


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        (
            {
                "input_tokens": 20,
                "input_tokens_details": {"cached_tokens": 8, "cache_write_tokens": 5},
                "output_tokens": 9,
                "output_tokens_details": {"reasoning_tokens": 6},
                "total_tokens": 29,
            },
            TokenCounts(input_tokens=7, cache_read_tokens=8, cache_write_tokens=5, output_tokens=3, reasoning_tokens=6),
        ),
        ({"input_tokens": 3, "output_tokens": 2}, TokenCounts(input_tokens=3, output_tokens=2)),
        ({"input_tokens": 3, "input_tokens_details": None}, TokenCounts(input_tokens=3)),
        ({"input_tokens": 3, "input_tokens_details": {"cached_tokens": 4}}, None),
        ({"input_tokens": 3, "output_tokens": 1, "output_tokens_details": {"reasoning_tokens": 2}}, None),
        ({"input_tokens": -1}, None),
        ({"input_tokens": "3"}, None),
        ({}, None),
        (None, None),
        ([], None),
    ],
)
def test_usage_falls_into_disjoint_buckets(usage: Any, counts: TokenCounts | None) -> None:
    assert read_usage(usage) == counts
    assert counts is None or "total_tokens" not in usage or counts.total == usage["total_tokens"]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ({"code": "server_error", "message": "Sorry"}, Reason.PROVIDER_ERROR),
        ({"code": "rate_limit_exceeded", "message": "Slow down"}, Reason.PROVIDER_RATE_LIMITED),
        ({"code": "insufficient_quota", "message": "Pay"}, Reason.PROVIDER_BILLING),
        ({"code": "invalid_prompt", "message": "Flagged"}, Reason.CONTENT_REFUSED),
        ({"code": "bio_policy", "message": "Flagged"}, Reason.CONTENT_REFUSED),
        ({"code": "context_length_exceeded", "message": "Long"}, Reason.CONTEXT_TOO_LONG),
        ({"code": "server_is_overloaded", "message": "Busy"}, Reason.PROVIDER_OVERLOADED),
        ({"code": "invalid_image_url", "message": "No image"}, Reason.PROVIDER_INVALID_REQUEST),
        ({"code": "vector_store_timeout", "message": "Late"}, Reason.PROVIDER_TIMEOUT),
        ({"code": None, "message": "Your input exceeds the context window of this model."}, Reason.CONTEXT_TOO_LONG),
        ("who knows", Reason.PROVIDER_ERROR),
    ],
)
def test_failures_are_told_apart_wherever_they_stand(error: Any, reason: Reason) -> None:
    flat = {"type": "error", "sequence_number": 2, **(error if isinstance(error, dict) else {"message": error})}
    failed = completed(status="failed", error=error)
    for wire in (flat, {"type": "error", "error": error}, {"error": error}, failed):
        with pytest.raises(ProviderError) as caught:
            events(delta("output_text", "Hi"), wire)
        assert (caught.value.reason, caught.value.status, caught.value.sent) == (reason, 200, True)
    with pytest.raises(ProviderError) as caught:
        decoded(status="failed", error=error)
    assert caught.value.reason is reason


@pytest.mark.parametrize("end", range(1, 7))
def test_a_stream_that_ends_early_is_an_interruption(end: int) -> None:
    wire = streamed(response(reasoning("Hm."), message("Hello"), function_call()), size=100)
    assert len(wire) == 11
    for cut in (wire[:end], wire[:-1], [*wire[:-1], b"[DONE]"]):
        with pytest.raises(ProviderError) as caught:
            events(*cut)
        assert (caught.value.reason, caught.value.sent) == (Reason.PROVIDER_UNREACHABLE, True)


def test_what_follows_the_end_is_passed_over() -> None:
    wire = streamed(response(message("Hello")))
    assert events(*wire, wire[-1], b"[DONE]", b"rubbish") == events(*wire)


def test_arguments_come_in_pieces_or_at_once_but_never_twice() -> None:
    call = function_call('{"city":"Oslo"}')
    begun, empty = ToolCallStarted(0, "call_a", "f"), {**call, "arguments": ""}
    at_once = {"type": "response.function_call_arguments.done", "output_index": 0, "arguments": '{"city":"Oslo"}'}
    first = delta("function_call_arguments", '{"city"')
    for wire in (
        (added(empty), at_once, done(call)),
        (added(empty), done(call)),
        (done(call),),
        (first, done(call)),
    ):
        assert content(*wire) == [begun, ToolArgumentsDelta(0, '{"city":"Oslo"}')]
    assert content(added(empty), first, at_once, done(call)) == [
        begun,
        ToolArgumentsDelta(0, '{"city"'),
        ToolArgumentsDelta(0, ':"Oslo"}'),
    ]


def test_an_answer_of_which_only_the_end_came_is_whole() -> None:
    output = (reasoning("One.", "Two."), message("Hello"), function_call('{"a":1}'))
    assert folded(events(completed(*output))) == decoded(*output)
    # Where the last event repeats nothing, nothing is lost either.
    wire = streamed(response(*output))
    assert folded(events(*wire[:-1], completed())) == decoded(*output)


def test_parallel_calls_are_not_mixed_up() -> None:
    one, two = function_call("[1]", "call_a"), function_call("[2]", "call_b")
    wire = (
        added({**one, "arguments": ""}, 0),
        added({**two, "arguments": ""}, 1),
        delta("function_call_arguments", "[2", 1),
        delta("function_call_arguments", "[1", 0),
        done(two, 1),
        done(one, 0),
    )
    assert folded([*content(*wire), events(completed())[0]]).tool_calls == (
        ToolCall(id="call_a", name="f", arguments_json="[1]"),
        ToolCall(id="call_b", name="f", arguments_json="[2]"),
    )


def test_items_are_found_by_their_id_where_their_place_is_not_said() -> None:
    wire = [{key: value for key, value in each.items() if key != "output_index"} for each in _of_two_items()]
    assert content(*wire) == [TextDelta("Hel"), TextDelta("lo"), ToolCallStarted(0, "call_a", "f")]


def _of_two_items() -> list[Json]:
    call = function_call("")
    return [
        added(message()),
        {**delta("output_text", "Hel"), "item_id": "msg_1"},
        {**delta("output_text", "lo"), "item_id": "msg_1"},
        done(message("Hello")),
        added(call, 1),
        done(call, 1),
    ]


def test_ids_that_change_on_the_way_do_no_harm() -> None:
    assert content(
        added({**message(), "id": "a"}),
        {**delta("output_text", "Hello"), "item_id": "b"},
        done({**message("Hello"), "id": "c"}),
    ) == [TextDelta("Hello")]


def test_the_signature_comes_with_the_end_of_its_item() -> None:
    sealed_so_far = {**reasoning(), "encrypted_content": "bm90IHlldA=="}
    assert content(
        added(sealed_so_far),
        delta("reasoning_summary_text", "One.", summary_index=0),
        delta("reasoning_summary_text", "Two.", summary_index=1),
        done(reasoning("One.", "Two.")),
    ) == [
        ReasoningDelta("One."),
        ReasoningDelta("\n\nTwo."),
        ReasoningDelta("", Signature(b'{"id":"rs_1","encrypted_content":"c2VhbGVk","summary":[4,4]}')),
    ]


def test_keep_alives_mean_nothing() -> None:
    assert content({"type": "keepalive", "sequence_number": 4}, {"type": "response.in_progress"}) == []


MALFORMED: list[Any] = [
    [],
    1,
    {},
    {"type": None},
    {"type": []},
    {"choices": []},
    {"type": "response.output_text.delta", "output_index": 0},
    {"type": "response.output_text.delta", "delta": 1, "output_index": 0},
    {"type": "response.output_text.delta", "delta": "Hi"},
    {"type": "response.output_text.delta", "delta": "Hi", "output_index": []},
    {"type": "response.output_item.added"},
    {"type": "response.output_item.added", "item": 1, "output_index": 0},
    {"type": "response.output_item.added", "item": {"type": "function_call"}, "output_index": 0},
    {"type": "response.completed"},
    {"type": "response.completed", "response": []},
    {"type": "response.completed", "response": {"output": 1}},
    {"type": "response.completed", "response": {"output": [1]}},
    {"type": "response.completed", "response": {"output": [], "status": 1}},
]


@pytest.mark.parametrize("wire", MALFORMED)
def test_malformed_events_are_bad_responses(wire: Any) -> None:
    with pytest.raises(ProviderError) as caught:
        events(wire)
    assert (caught.value.reason, caught.value.sent) == (Reason.PROVIDER_BAD_RESPONSE, True)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'"Hi"',
        b"<html>",
        b"{}",
        b'{"output":null}',
        b'{"output":[1]}',
        b'{"output":[],"status":1}',
        b'{"output":[],"status":"in_progress"}',
        b'{"output":[],"status":"queued"}',
        b'{"output":[{"type":"function_call"}]}',
        b'{"output":[{"type":"message","content":[1]}]}',
        b'{"choices":[]}',
    ],
)
def test_malformed_answers_are_bad_responses(body: bytes) -> None:
    with pytest.raises(ProviderError) as caught:
        decode_answer(body)
    assert (caught.value.reason, caught.value.sent) == (Reason.PROVIDER_BAD_RESPONSE, True)


@pytest.mark.parametrize("between", [message("Well."), function_call()], ids=["text", "call"])
def test_thoughts_that_something_stands_between_are_apart(between: Json) -> None:
    answer = response(reasoning("One.", sealed=None), between, reasoning("Two.", sealed=None), message("So."))
    one, _, two, _ = decoded(*answer["output"]).parts
    assert (one, two) == (Reasoning("One."), Reasoning("Two."))
    assert folded(events(*streamed(answer))) == decode_answer(orjson.dumps(answer))


def test_thoughts_that_are_shown_twice_are_given_on_once() -> None:
    item = reasoning("Sum.", content=[{"type": "reasoning_text", "text": "All of it."}])
    wire = (
        added(reasoning()),
        delta("reasoning_summary_text", "Sum", summary_index=0),
        delta("reasoning_text", "All of", content_index=0),
        delta("reasoning_summary_text", ".", summary_index=0),
        delta("reasoning_text", " it.", content_index=0),
        done(item),
    )
    assert folded(events(*wire, completed(item))) == decoded(item)
    assert decoded(item).parts == (Reasoning("Sum.", SEALED),)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ({"type": "invalid_request_error", "code": None, "message": "x"}, Reason.PROVIDER_INVALID_REQUEST),
        ({"type": "invalid_request_error", "code": "rate_limit_exceeded"}, Reason.PROVIDER_RATE_LIMITED),
        ({"type": "server_error", "code": None, "message": "x"}, Reason.PROVIDER_ERROR),
    ],
)
def test_an_error_that_has_a_type_only_is_told_by_it(error: Json, reason: Reason) -> None:
    with pytest.raises(ProviderError) as caught:
        events({"type": "error", "error": error, "sequence_number": 1})
    assert caught.value.reason is reason


def test_a_summary_beside_thoughts_that_were_given_on_is_not_added_to_them() -> None:
    item = reasoning("A summary of it all.", content=[{"type": "reasoning_text", "text": "All of it."}])
    wire = (added(reasoning()), delta("reasoning_text", "All of it.", content_index=0), done(item))
    (thought,) = folded(events(*wire, completed(item))).parts
    assert isinstance(thought, Reasoning)
    assert (thought.text, thought.signature is not None) == ("All of it.", True)


def test_an_item_that_ends_as_another_than_it_began_as_is_what_it_began_as() -> None:
    wire = (added(reasoning()), delta("reasoning_summary_text", "Hm.", summary_index=0), done(message("Well, no.")))
    assert folded(events(*wire, completed())).parts == (Reasoning("Hm."),)


def test_a_reason_for_an_incomplete_answer_is_cut_to_what_the_ledger_keeps() -> None:
    answer = decoded(status="incomplete", incomplete_details={"reason": "x" * 1000})
    assert (answer.finish_reason, len(answer.raw_finish_reason)) == (FinishReason.UNKNOWN, 64)


def test_tokens_read_from_and_written_to_the_cache_are_no_more_than_all() -> None:
    details = {"cached_tokens": 2, "cache_write_tokens": 2}
    assert read_usage({"input_tokens": 3, "output_tokens": 1, "input_tokens_details": details}) is None
    assert read_usage({"input_tokens": 4, "output_tokens": 1, "input_tokens_details": details}) == TokenCounts(
        input_tokens=0, cache_read_tokens=2, cache_write_tokens=2, output_tokens=1
    )
