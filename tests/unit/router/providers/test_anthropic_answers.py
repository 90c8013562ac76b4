"""Answers of Anthropic's API, whole and streamed."""

from __future__ import annotations

import contextlib
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.core.money import TokenCounts
from services.router.domain.errors import ProviderError, Reason
from services.router.domain.generation import (
    Answer,
    Finished,
    FinishReason,
    ProviderEvent,
    Reasoning,
    ReasoningDelta,
    Signature,
    Text,
    TextDelta,
    ToolArgumentsDelta,
    ToolCall,
    ToolCallStarted,
)
from services.router.providers.formats.anthropic_messages.response import MessagesAnswers, decode_answer
from tests.contract.dialects.folding import folded

USAGE = {"input_tokens": 10, "output_tokens": 5}
COUNTS = TokenCounts(input_tokens=10, output_tokens=5)
START = {"type": "message_start", "message": {"usage": {"input_tokens": 10, "output_tokens": 1}}}
END = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 5}}
STOP = {"type": "message_stop"}


def whole(*blocks: Any, finish: Any = "end_turn", usage: Any = USAGE, answer_tool: str = "") -> Answer:
    body = {"type": "message", "content": list(blocks), "stop_reason": finish, "usage": usage}
    return decode_answer(orjson.dumps(body), answer_tool)


def wire(*events: Any) -> bytes:
    return b"".join(b"event: %s\ndata: %s\n\n" % (each["type"].encode(), orjson.dumps(each)) for each in events)


def read(*chunks: bytes, answer_tool: str = "") -> list[ProviderEvent]:
    """All events in these chunks."""
    answers = MessagesAnswers(answer_tool)
    reader, decoder = answers.stream_format.reader(), answers.stream_decoder()
    found: list[ProviderEvent] = []
    for chunk in chunks:
        for data in reader.feed(chunk):
            found += decoder.feed(data)
    for data in reader.end():
        found += decoder.feed(data)
    return found + decoder.end()


def events(*given: Any, answer_tool: str = "") -> list[ProviderEvent]:
    return read(wire(START, *given, END, STOP), answer_tool=answer_tool)


def begin(index: int, **block: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def more(index: int, kind: str, **delta: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **delta}}


def stop(index: int) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": index}


def use(**fields: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": "toolu_1", "name": "get", "input": {}, **fields}


DONE = Finished(finish_reason=FinishReason.STOP, raw_finish_reason="end_turn", usage=COUNTS)
_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_BLOCKS = st.lists(
    st.one_of(
        st.fixed_dictionaries({"type": st.just("text"), "text": _TEXTS}),
        st.fixed_dictionaries({"type": st.just("thinking"), "thinking": _TEXTS, "signature": _TEXTS}),
        st.fixed_dictionaries({"type": st.just("redacted_thinking"), "data": _TEXTS}),
        st.fixed_dictionaries(
            {
                "type": st.just("tool_use"),
                "id": st.text("ab1", min_size=1, max_size=3),
                "name": st.sampled_from(["get", "answer"]),
                "input": st.dictionaries(_TEXTS, st.none() | st.integers(-9, 9) | _TEXTS, max_size=2),
            }
        ),
        st.sampled_from(
            [
                {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "x"}},
                {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []},
                {"type": "something_new", "text": "x"},
            ]
        ),
    ),
    max_size=6,
)


def pieces(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


def as_events(blocks: list[dict[str, Any]], size: int, *, input_at_once: bool) -> list[dict[str, Any]]:
    """A stream of these blocks, in pieces of `size` characters."""
    found: list[dict[str, Any]] = []
    for at, block in enumerate(blocks):
        match block["type"]:
            case "text":
                found.append(begin(at, type="text", text=""))
                found += [more(at, "text_delta", text=piece) for piece in pieces(block["text"], size)]
            case "thinking":
                found.append(begin(at, type="thinking", thinking="", signature=""))
                found += [more(at, "thinking_delta", thinking=piece) for piece in pieces(block["thinking"], size)]
                if block["signature"]:
                    found.append(more(at, "signature_delta", signature=block["signature"]))
            case "tool_use" if not input_at_once:
                found.append(begin(at, **{**block, "input": {}}))
                found.append(more(at, "input_json_delta", partial_json=""))
                given = orjson.dumps(block["input"]).decode() if block["input"] else ""
                found += [more(at, "input_json_delta", partial_json=piece) for piece in pieces(given, size)]
            case "server_tool_use":
                found.append(begin(at, **{**block, "input": {}}))
                found.append(more(at, "input_json_delta", partial_json='{"query":"x"}'))
            case _:
                found.append(begin(at, **block))
        found += [stop(at), {"type": "ping"}]
    return found


@given(_BLOCKS, st.integers(1, 9), st.booleans(), st.sampled_from(["", "answer"]), st.data())
@settings(deadline=None)
def test_a_stream_in_any_pieces_of_any_bytes_is_the_whole_answer(
    blocks: list[dict[str, Any]], size: int, input_at_once: bool, answer_tool: str, data: st.DataObject
) -> None:
    bytes_of = wire(START, *as_events(blocks, size, input_at_once=input_at_once), END, STOP)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(bytes_of)), max_size=12)))
    chunks = [bytes_of[a:b] for a, b in zip([0, *cuts], [*cuts, len(bytes_of)], strict=True)]
    assert folded(read(*chunks, answer_tool=answer_tool)) == whole(*blocks, answer_tool=answer_tool)


@given(_BLOCKS, st.data())
@settings(deadline=None)
def test_a_stream_that_ends_before_its_end_is_an_interruption(
    blocks: list[dict[str, Any]], data: st.DataObject
) -> None:
    bytes_of = wire(START, *as_events(blocks, 3, input_at_once=False), END) + b"event: message_stop\n"
    with pytest.raises(ProviderError) as caught:
        read(bytes_of[: data.draw(st.integers(0, len(bytes_of)))])
    # The last event may be cut in its middle.
    assert caught.value.reason in {Reason.PROVIDER_UNREACHABLE, Reason.PROVIDER_BAD_RESPONSE}
    with pytest.raises(ProviderError) as caught:
        read(bytes_of)
    assert caught.value.reason is Reason.PROVIDER_UNREACHABLE


_RUBBISH = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**31), 2**31)
    | st.sampled_from(
        ["text", "tool_use", "thinking", "x", "text_delta", "input_json_delta", "signature_delta", "error"]
    ),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "type",
                    "index",
                    "delta",
                    "content_block",
                    "message",
                    "usage",
                    "content",
                    "text",
                    "id",
                    "name",
                    "input",
                    "error",
                    "stop_reason",
                    "thinking",
                    "signature",
                    "data",
                    "partial_json",
                    "input_tokens",
                    "output_tokens",
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)
_KINDS = st.sampled_from(
    [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
)


@given(
    st.lists(
        st.builds(
            lambda kind, body: {**body, "type": kind},
            _KINDS,
            st.dictionaries(
                st.sampled_from(["index", "delta", "content_block", "message", "usage", "error"]), _RUBBISH, max_size=4
            ),
        ),
        max_size=5,
    )
)
@settings(deadline=None)
def test_rubbish_in_a_stream_raises_nothing_but_provider_errors(given_events: list[dict[str, Any]]) -> None:
    with contextlib.suppress(ProviderError):
        read(wire(*given_events, STOP))


@given(_RUBBISH | st.builds(lambda inner: {"content": [inner], "stop_reason": inner, "usage": inner}, _RUBBISH))
@settings(deadline=None)
def test_a_rubbish_answer_raises_nothing_but_provider_errors(body: Any) -> None:
    with contextlib.suppress(ProviderError):
        decode_answer(orjson.dumps(body))


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"content":{}}', b'{"content":[7]}', b"[" * 10_000])
def test_what_is_no_answer_is_told_as_such(body: bytes) -> None:
    with pytest.raises(ProviderError) as caught:
        decode_answer(body)
    assert caught.value.reason is Reason.PROVIDER_BAD_RESPONSE
    with pytest.raises(ProviderError) as caught:
        MessagesAnswers().stream_decoder().feed(b'{"type":"content_block_delta"}')
    assert caught.value.reason is Reason.PROVIDER_BAD_RESPONSE


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("end_turn", FinishReason.STOP),
        ("stop_sequence", FinishReason.STOP),
        ("max_tokens", FinishReason.LENGTH),
        ("tool_use", FinishReason.TOOL_CALLS),
        ("refusal", FinishReason.REFUSAL),
        ("pause_turn", FinishReason.PAUSED),
        ("model_context_window_exceeded", FinishReason.CONTEXT_EXCEEDED),
        ("compaction", FinishReason.UNKNOWN),
        ("", FinishReason.UNKNOWN),
        (None, FinishReason.UNKNOWN),
    ],
)
def test_stop_reasons_are_told_apart_and_kept(raw: str | None, reason: FinishReason) -> None:
    answer = whole(finish=raw)
    assert (answer.finish_reason, answer.raw_finish_reason) == (reason, raw or "")
    end = read(wire(START, {**END, "delta": {"stop_reason": raw}}, STOP))[-1]
    assert isinstance(end, Finished)
    assert (end.finish_reason, end.raw_finish_reason) == (reason, raw or "")


def test_thoughts_are_signed_when_their_block_ends() -> None:
    assert events(
        begin(0, type="thinking", thinking="", signature=""),
        more(0, "thinking_delta", thinking="Hm"),
        more(0, "signature_delta", signature="mark"),
        stop(0),
        begin(1, type="redacted_thinking", data="sealed"),
        stop(1),
        begin(2, type="text", text=""),
        more(2, "text_delta", text="Hi"),
        stop(2),
    ) == [
        ReasoningDelta("Hm"),
        ReasoningDelta("", Signature(b"tmark")),
        ReasoningDelta("", Signature(b"rsealed")),
        TextDelta("Hi"),
        DONE,
    ]


def test_thoughts_are_signed_for_the_model_that_was_asked() -> None:
    block = {"type": "thinking", "thinking": "Hm", "signature": "mark"}
    body = orjson.dumps({"content": [block, {"type": "redacted_thinking", "data": "x"}], "stop_reason": "end_turn"})
    answers = MessagesAnswers(model="claude-9")
    signed = (Reasoning("Hm", Signature(b"tmark\nclaude-9")), Reasoning("", Signature(b"rx\nclaude-9")))
    assert answers.decode(body).parts == signed
    decoder = answers.stream_decoder()
    events = [begin(0, **block), stop(0), begin(1, type="redacted_thinking", data="x"), stop(1), STOP]
    found = [event for each in events for event in decoder.feed(orjson.dumps(each))]
    assert folded(found).parts == signed


def test_arguments_come_as_the_provider_writes_them() -> None:
    given = ['{"ci', 'ty": ', '"Oslo"}']
    assert events(begin(0, **use()), *(more(0, "input_json_delta", partial_json=each) for each in given), stop(0)) == [
        ToolCallStarted(0, "toolu_1", "get"),
        *(ToolArgumentsDelta(0, each) for each in given),
        DONE,
    ]


@pytest.mark.parametrize("given", [{}, None])
def test_no_arguments_are_an_empty_object(given: Any) -> None:
    started = ToolCallStarted(0, "toolu_1", "get")
    expected = [started, ToolArgumentsDelta(0, "{}"), DONE]
    assert events(begin(0, **use(input=given)), more(0, "input_json_delta", partial_json=""), stop(0)) == expected
    assert events(begin(0, **use(input=given)), stop(0)) == expected
    # Some servers do not tell the end of a block.
    assert events(begin(0, **use(input=given))) == expected
    assert whole(use(input=given)).tool_calls == (ToolCall(id="toolu_1", name="get", arguments_json="{}"),)


def test_parallel_calls_are_counted_without_what_runs_at_the_provider() -> None:
    found = events(
        begin(0, type="server_tool_use", id="s", name="web_search", input={}),
        more(0, "input_json_delta", partial_json='{"query":"x"}'),
        stop(0),
        begin(1, type="web_search_tool_result", tool_use_id="s", content=[{"type": "web_search_result"}]),
        stop(1),
        begin(2, **use(id="a")),
        stop(2),
        begin(3, **use(id="b", input={"x": 1})),
        stop(3),
    )
    assert [each for each in found if isinstance(each, ToolCallStarted)] == [
        ToolCallStarted(0, "a", "get"),
        ToolCallStarted(1, "b", "get"),
    ]
    assert ToolArgumentsDelta(1, '{"x":1}') in found
    assert not any(isinstance(each, TextDelta) for each in found)


def test_a_block_whose_end_is_not_told_ends_where_the_next_begins() -> None:
    thought = begin(0, type="thinking", thinking="Hm", signature="mark")
    assert events(thought, begin(1, type="text", text="Hi")) == [
        ReasoningDelta("Hm"),
        ReasoningDelta("", Signature(b"tmark")),
        TextDelta("Hi"),
        DONE,
    ]


def test_citations_pings_and_what_is_new_mean_nothing() -> None:
    assert events(
        {"type": "ping"},
        begin(0, type="text", text="", citations=[]),
        more(0, "citations_delta", citation={"type": "page_location"}),
        more(0, "text_delta", text="Hi"),
        more(0, "something_new_delta", x=1),
        stop(0),
        {"type": "something_new", "x": [1]},
    ) == [TextDelta("Hi"), DONE]
    assert whole({"type": "text", "text": "Hi", "citations": [{"type": "page_location"}]}).text == "Hi"


def test_texts_around_what_ran_at_the_provider_are_one() -> None:
    text = {"type": "text", "text": "a"}
    assert whole(text, {"type": "server_tool_use", "id": "s", "name": "x", "input": {}}, text).parts == (Text("aa"),)


def test_an_answer_by_a_tool_is_text_and_a_stop() -> None:
    given = use(name="trip", input={"city": "Oslo"})
    answer = whole(given, finish="tool_use", answer_tool="trip")
    assert (answer.parts, answer.finish_reason) == ((Text('{"city":"Oslo"}'),), FinishReason.STOP)
    assert answer.raw_finish_reason == "tool_use"
    both = whole(given, use(), finish="tool_use", answer_tool="trip")
    assert both.finish_reason is FinishReason.TOOL_CALLS
    cut = whole(given, finish="max_tokens", answer_tool="trip")
    assert cut.finish_reason is FinishReason.LENGTH
    stream = read(
        wire(START, begin(0, **use(name="trip")), more(0, "input_json_delta", partial_json='{"city"'), stop(0)),
        wire({**END, "delta": {"stop_reason": "tool_use"}}, STOP),
        answer_tool="trip",
    )
    assert stream[0] == TextDelta('{"city"')
    assert isinstance(stream[-1], Finished)
    assert stream[-1].finish_reason is FinishReason.STOP


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ({"type": "overloaded_error", "message": "Overloaded"}, Reason.PROVIDER_OVERLOADED),
        ({"type": "rate_limit_error", "message": "Slow down"}, Reason.PROVIDER_RATE_LIMITED),
        ({"type": "api_error", "message": "Internal server error"}, Reason.PROVIDER_ERROR),
        ({"type": "timeout_error", "message": "Too slow"}, Reason.PROVIDER_TIMEOUT),
        ({"type": "invalid_request_error", "message": "No"}, Reason.PROVIDER_INVALID_REQUEST),
        ({"type": "invalid_request_error", "message": "prompt is too long"}, Reason.CONTEXT_TOO_LONG),
        (
            {"type": "invalid_request_error", "message": "Output blocked by content filtering policy"},
            Reason.CONTENT_REFUSED,
        ),
        ({"type": "something_new"}, Reason.PROVIDER_ERROR),
        ("broken", Reason.PROVIDER_ERROR),
    ],
)
def test_an_error_within_a_stream_ends_it(error: object, reason: Reason) -> None:
    for event in ({"type": "error", "error": error}, {"type": "whatever", "error": error}):
        with pytest.raises(ProviderError) as caught:
            read(wire(START, event))
        assert (caught.value.reason, caught.value.sent) == (reason, True)
    with pytest.raises(ProviderError) as caught:
        decode_answer(orjson.dumps({"type": "error", "error": error}))
    assert caught.value.reason is reason


def test_nothing_counts_after_the_end() -> None:
    assert read(wire(START, END, STOP, {"type": "error", "error": {"type": "api_error"}})) == [DONE]


def usage(**fields: Any) -> TokenCounts | None:
    return whole(usage={**USAGE, **fields}).usage


def test_the_buckets_of_usage() -> None:
    assert usage() == COUNTS
    found = usage(
        cache_read_input_tokens=3, cache_creation_input_tokens=4, output_tokens_details={"thinking_tokens": 2}
    )
    assert found == TokenCounts(
        input_tokens=10, cache_read_tokens=3, cache_write_tokens=4, output_tokens=3, reasoning_tokens=2
    )
    assert found.total == 10 + 3 + 4 + 5
    short_and_long = {"ephemeral_5m_input_tokens": 1, "ephemeral_1h_input_tokens": 2}
    assert usage(cache_creation=short_and_long) == TokenCounts(input_tokens=10, cache_write_tokens=3, output_tokens=5)
    # The sum is told as well.
    assert usage(cache_creation=short_and_long, cache_creation_input_tokens=3) == usage(cache_creation=short_and_long)


@pytest.mark.parametrize(
    "fields",
    [
        {"input_tokens": None},
        {"output_tokens": None},
        {"input_tokens": -1},
        {"output_tokens": "5"},
        {"cache_read_input_tokens": 1.5},
        {"cache_creation_input_tokens": True},
        {"cache_creation": {"ephemeral_1h_input_tokens": -2}},
        {"output_tokens_details": {"thinking_tokens": 6}},
        {"output_tokens_details": {"thinking_tokens": "x"}},
    ],
)
def test_usage_that_cannot_be_true_is_as_good_as_none(fields: dict[str, Any]) -> None:
    assert usage(**fields) is None
    assert whole(usage="many").usage is whole(usage=None).usage is None


def streamed_usage(start: Any, *ends: Any) -> TokenCounts | None:
    deltas = [{"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": each} for each in ends]
    end = read(wire({"type": "message_start", "message": {"usage": start}}, *deltas, STOP))[-1]
    assert isinstance(end, Finished)
    return end.usage


def test_counts_in_a_stream_are_totals_of_which_the_larger_counts() -> None:
    start = {"input_tokens": 10, "cache_read_input_tokens": 7, "output_tokens": 1}
    expected = TokenCounts(input_tokens=10, cache_read_tokens=7, output_tokens=5)
    assert streamed_usage(start, {"output_tokens": 5}) == expected
    assert streamed_usage(start, {"input_tokens": None, "output_tokens": 5}) == expected
    assert streamed_usage(start, {"input_tokens": 0, "output_tokens": 3}, {"output_tokens": 5}) == expected
    assert streamed_usage(start, {"output_tokens": 5}, {"output_tokens": 2}) == expected
    assert streamed_usage(start, {"output_tokens": 5}, {"output_tokens": "x"}) == expected
    more_input = {"input_tokens": 20, "cache_read_input_tokens": 7, "output_tokens": 5}
    assert streamed_usage(start, more_input) == TokenCounts(input_tokens=20, cache_read_tokens=7, output_tokens=5)


def test_what_a_stream_began_with_is_not_what_it_took() -> None:
    assert streamed_usage({"input_tokens": 10, "output_tokens": 1}, None) is None
    assert streamed_usage(None, {"output_tokens": 5}) is None
    assert streamed_usage(None, {"input_tokens": 10, "output_tokens": 5}) == COUNTS


def test_thoughts_without_a_mark_have_no_signature() -> None:
    assert whole({"type": "thinking", "thinking": "Hm", "signature": ""}).parts == (Reasoning("Hm"),)
    assert whole({"type": "thinking", "thinking": "", "signature": ""}).parts == ()


def test_a_later_event_that_says_no_stop_reason_does_not_take_it_back() -> None:
    silent = {"type": "message_delta", "delta": {"stop_reason": None}, "usage": {"output_tokens": 6}}
    *_, end = read(wire(START, END, silent, STOP))
    assert isinstance(end, Finished)
    assert (end.finish_reason, end.raw_finish_reason) == (FinishReason.STOP, "end_turn")
    assert end.usage == TokenCounts(input_tokens=10, output_tokens=6)
