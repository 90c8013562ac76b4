import contextlib
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from libs.core.money import TokenCounts
from services.router.domain.errors import ProviderError, Reason
from services.router.domain.generation import (
    Answer,
    Finished,
    FinishReason,
    ProviderEvent,
    ReasoningDelta,
    TextDelta,
    ToolArgumentsDelta,
    ToolCall,
    ToolCallStarted,
)
from services.router.providers.formats.chat_completions.response import OPENAI_RULES, decode_answer
from services.router.providers.formats.chat_completions.stream import ChatStreamDecoder
from tests.unit.router.providers.chat_wire import FINISH, decoded, delta, events, finished

TABLE = [
    ("stop", FinishReason.STOP),
    ("length", FinishReason.LENGTH),
    ("tool_calls", FinishReason.TOOL_CALLS),
    ("function_call", FinishReason.TOOL_CALLS),
    ("content_filter", FinishReason.CONTENT_FILTER),
    ("STOP", FinishReason.UNKNOWN),
    ("end_turn", FinishReason.UNKNOWN),
    ("error", FinishReason.UNKNOWN),
    ("unknown", FinishReason.UNKNOWN),
]


def tool_delta(**call: Any) -> dict[str, Any]:
    return delta(tool_calls=[call])


def content(*chunks: Any) -> list[ProviderEvent]:
    *before, last = events(*chunks, FINISH)
    assert isinstance(last, Finished)
    return before


@pytest.mark.parametrize(("raw", "reason"), TABLE)
def test_finish_reasons_are_those_of_the_table_and_keep_the_provider_s_word(raw: str, reason: FinishReason) -> None:
    whole, streamed = decoded(content="Hi", finish=raw), finished(delta(content="Hi"), delta(raw))
    assert (reason, raw) == (whole.finish_reason, whole.raw_finish_reason)
    assert (reason, raw) == (streamed.finish_reason, streamed.raw_finish_reason)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [("stop", FinishReason.TOOL_CALLS), ("length", FinishReason.LENGTH), ("tired", FinishReason.UNKNOWN)],
)
def test_a_choice_of_tools_that_was_demanded_ends_with_the_word_for_a_normal_end(
    raw: str, reason: FinishReason
) -> None:
    call = {"id": "a", "index": 0, "type": "function", "function": {"name": "look", "arguments": "{}"}}
    whole, streamed = decoded(tool_calls=[call], finish=raw), finished(delta(tool_calls=[call]), delta(raw))
    assert (reason, raw) == (whole.finish_reason, whole.raw_finish_reason)
    assert (reason, raw) == (streamed.finish_reason, streamed.raw_finish_reason)


def test_a_missing_finish_reason_is_unknown_in_a_whole_answer() -> None:
    assert (decoded(finish=None).finish_reason, decoded(finish=None).raw_finish_reason) == (FinishReason.UNKNOWN, "")


def test_a_stream_without_a_finish_reason_is_an_interruption() -> None:
    with pytest.raises(ProviderError) as caught:
        events(delta(content="Hi"))
    assert (caught.value.reason, caught.value.sent) == (Reason.PROVIDER_UNREACHABLE, True)


def test_a_refusal_is_text_with_a_reason_of_its_own() -> None:
    whole = decoded(content=None, refusal="No.")
    assert (whole.text, whole.finish_reason, whole.raw_finish_reason) == ("No.", FinishReason.REFUSAL, "stop")
    streamed = events(delta(refusal="N"), delta(refusal="o."), FINISH)
    assert [TextDelta("N"), TextDelta("o.")] == streamed[:-1]
    assert finished(delta(refusal="No."), FINISH).finish_reason is FinishReason.REFUSAL


def test_content_beside_a_refusal_is_kept() -> None:
    assert decoded(content="Well. ", refusal="No.").text == "Well. No."
    assert [TextDelta("Well. "), TextDelta("No.")] == content(delta(content="Well. ", refusal="No."))


def test_the_pieces_of_parallel_tool_calls_stay_apart() -> None:
    assert [
        ToolCallStarted(0, "a", "first"),
        ToolCallStarted(1, "b", "second"),
        ToolArgumentsDelta(1, '{"x"'),
        ToolArgumentsDelta(0, "{}"),
        ToolArgumentsDelta(1, ":1}"),
    ] == content(
        tool_delta(index=3, id="a", type="function", function={"name": "first", "arguments": ""}),
        tool_delta(index=7, id="b", type="function", function={"name": "second"}),
        tool_delta(index=7, function={"arguments": '{"x"'}),
        tool_delta(index=3, function={"arguments": "{}"}),
        tool_delta(index=7, id=None, function={"name": None, "arguments": ":1}"}),
    )


@pytest.mark.parametrize("index", [{}, {"index": None}, {"index": 0}])
def test_servers_that_do_not_number_their_calls_are_told_apart_by_ids(index: dict[str, Any]) -> None:
    assert [
        ToolCallStarted(0, "a", "first"),
        ToolArgumentsDelta(0, "{}"),
        ToolCallStarted(1, "b", "first"),
        ToolArgumentsDelta(1, "["),
        ToolArgumentsDelta(1, "]"),
    ] == content(
        tool_delta(id="a", function={"name": "first", "arguments": "{}"}, **index),
        tool_delta(id="b", function={"name": "first", "arguments": "["}, **index),
        tool_delta(function={"arguments": "]"}, **index),
    )


def test_a_name_and_id_repeated_with_every_piece_are_one_call() -> None:
    piece = tool_delta(index=0, id="a", function={"name": "first", "arguments": "x"})
    assert [ToolCallStarted(0, "a", "first")] + [ToolArgumentsDelta(0, "x")] * 3 == content(piece, piece, piece)


def test_calls_without_an_id_get_one_streamed_and_whole() -> None:
    calls: list[Any] = [{"function": {"name": "first", "arguments": "{}"}}, {"id": "", "function": {"name": "second"}}]
    assert (
        ToolCall(id="call_0", name="first", arguments_json="{}"),
        ToolCall(id="call_1", name="second", arguments_json=""),
    ) == decoded(tool_calls=calls).tool_calls
    assert [
        ToolCallStarted(0, "call_0", "first"),
        ToolArgumentsDelta(0, "{}"),
        ToolCallStarted(1, "call_1", "second"),
    ] == content(*(tool_delta(**call) for call in calls))


def test_the_call_of_older_servers_is_a_call_and_none_beside_those_that_are_listed() -> None:
    wanted = (ToolCall(id="call_0", name="look", arguments_json='{"x":1}'),)
    older = {"name": "look", "arguments": '{"x":1}'}
    assert wanted == decoded(content=None, function_call=older, finish="function_call").tool_calls
    assert [
        ToolCallStarted(0, "call_0", "look"),
        ToolArgumentsDelta(0, '{"x"'),
        ToolArgumentsDelta(0, ":1}"),
    ] == content(
        delta(function_call={"name": "look", "arguments": ""}),
        delta(function_call={"name": "look", "arguments": '{"x"'}),
        delta(function_call={"arguments": ":1}"}, content=None),
    )
    listed = {"id": "call_0", "index": 0, "function": older}
    assert wanted == decoded(tool_calls=[listed], function_call=older).tool_calls
    assert len(content(delta(tool_calls=[listed], function_call=older))) == 2


def test_arguments_that_begin_nowhere_are_malformed() -> None:
    with pytest.raises(ProviderError):
        events(tool_delta(index=0, function={"arguments": "{}"}))


def test_a_second_choice_is_not_mixed_into_the_answer() -> None:
    assert [TextDelta("one")] == content(delta(content="one"), delta(index=1, content="two"), delta("length", index=1))
    assert finished(FINISH, delta("length", index=1)).finish_reason is FinishReason.STOP


def test_chunks_that_say_nothing_mean_nothing() -> None:
    assert content({"choices": []}, {"choices": None}, {}, delta(role="assistant", content=""), delta()) == []


def test_what_comes_after_the_end_marker_is_ignored() -> None:
    decoder = ChatStreamDecoder(OPENAI_RULES)
    decoder.feed(orjson.dumps(FINISH))
    assert isinstance(decoder.feed(b"[DONE]")[0], Finished)
    assert decoder.feed(b"rubbish") + decoder.end() == []


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ({"message": "x", "type": "server_error", "code": None}, Reason.PROVIDER_ERROR),
        ({"message": "x", "code": "rate_limit_exceeded"}, Reason.PROVIDER_RATE_LIMITED),
        ({"message": "x", "code": 429}, Reason.PROVIDER_RATE_LIMITED),
        ({"message": "x", "code": "502"}, Reason.PROVIDER_ERROR),
        ({"message": "x", "code": 503}, Reason.PROVIDER_OVERLOADED),
        ({"message": "x", "type": "overloaded_error"}, Reason.PROVIDER_OVERLOADED),
        ({"message": "x", "code": "other", "type": "insufficient_quota"}, Reason.PROVIDER_BILLING),
        ({"message": "the prompt is too long"}, Reason.CONTEXT_TOO_LONG),
        ({"message": "the prompt is too long", "code": 3051}, Reason.CONTEXT_TOO_LONG),
        ({"message": "x", "code": "content_filter"}, Reason.CONTENT_REFUSED),
        ({"message": "x", "type": "invalid_request_error", "code": None}, Reason.PROVIDER_INVALID_REQUEST),
        ({"message": "x", "type": "invalid_request_error", "code": "model_not_found"}, Reason.PROVIDER_MODEL_NOT_FOUND),
        ({"message": "x", "type": "invalid_request_error", "code": 429}, Reason.PROVIDER_RATE_LIMITED),
        ({"message": "x", "type": "authentication_error"}, Reason.PROVIDER_KEY_REJECTED),
        ({"message": "x", "type": "permission_error"}, Reason.PROVIDER_PERMISSION_DENIED),
        ({"message": "x", "type": "not_found_error"}, Reason.PROVIDER_MODEL_NOT_FOUND),
        ({"message": "x", "type": "rate_limit_error"}, Reason.PROVIDER_RATE_LIMITED),
        ({"message": "x", "type": ["odd"]}, Reason.PROVIDER_ERROR),
        ("went wrong", Reason.PROVIDER_ERROR),
        (["odd"], Reason.PROVIDER_ERROR),
        (17, Reason.PROVIDER_ERROR),
    ],
)
def test_an_error_inside_http_200_is_a_failure_whole_and_streamed(error: object, reason: Reason) -> None:
    with pytest.raises(ProviderError) as whole:
        decode_answer(orjson.dumps({"error": error}))
    with pytest.raises(ProviderError) as streamed:
        events(delta(content="Hi"), {"error": error, **FINISH})
    for caught in (whole, streamed):
        assert (reason, 200, True, "") == (
            caught.value.reason,
            caught.value.status,
            caught.value.sent,
            caught.value.message,
        )


MALFORMED = [
    b"",
    b"<html>",
    b"null",
    b"[]",
    b'"text"',
    b"17",
    b"\xff\xfe",
    b'{"choices":[{"message":{"content":"\xc3',
    b"[" * 100_000,
    b'{"choices":' * 2_000 + b"1" + b"}" * 2_000,
    b'{"choices":[{"message":{"content":"\\ud800"}}]}',
    b"{} {}",
]


@pytest.mark.parametrize("body", MALFORMED, ids=range(len(MALFORMED)))
def test_what_is_no_json_object_is_malformed(body: bytes) -> None:
    with pytest.raises(ProviderError) as whole:
        decode_answer(body)
    with pytest.raises(ProviderError) as streamed:
        ChatStreamDecoder(OPENAI_RULES).feed(body)
    assert whole.value.reason is streamed.value.reason is Reason.PROVIDER_BAD_RESPONSE


@pytest.mark.parametrize(
    "fields",
    [
        {"content": 5},
        {"content": ["a"]},
        {"refusal": {"a": 1}},
        {"tool_calls": 5},
        {"tool_calls": ["x"]},
        {"tool_calls": [{"id": 5, "function": {"name": "f"}}]},
        {"tool_calls": [{"id": "a", "function": {"name": 5}}]},
        {"tool_calls": [{"id": "a", "function": {"name": "f", "arguments": ["x"]}}]},
        {"tool_calls": [{"id": "a", "index": [], "function": {"name": "f"}}]},
        {"finish": ["stop"]},
    ],
)
def test_fields_of_the_wrong_kind_are_malformed(fields: dict[str, Any]) -> None:
    if "index" not in str(fields):
        with pytest.raises(ProviderError) as whole:
            decoded(**fields)
        assert whole.value.reason is Reason.PROVIDER_BAD_RESPONSE
    with pytest.raises(ProviderError) as streamed:
        events(delta(**fields))
    assert streamed.value.reason is Reason.PROVIDER_BAD_RESPONSE


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "choices",
                    "message",
                    "delta",
                    "content",
                    "refusal",
                    "tool_calls",
                    "function",
                    "name",
                    "arguments",
                    "index",
                    "id",
                    "finish_reason",
                    "usage",
                    "prompt_tokens",
                    "completion_tokens",
                    "total_tokens",
                    "prompt_tokens_details",
                    "cached_tokens",
                    "error",
                    "code",
                    "type",
                    "message",
                ]
            ),
            inner,
            max_size=6,
        )
    ),
    max_leaves=25,
)


@given(JSON | st.fixed_dictionaries({"choices": st.lists(JSON, max_size=2), "usage": JSON}))
@example({"choices": [{"message": {"content": "a", "tool_calls": {"a": 1}}, "finish_reason": "x" * 1000}]})
def test_no_json_raises_anything_but_a_provider_error(document: Any) -> None:
    data = orjson.dumps(document)
    with contextlib.suppress(ProviderError):
        check(decode_answer(data))
    with contextlib.suppress(ProviderError):
        for event in events(data, FINISH):
            check(event)


@given(st.binary(max_size=100))
def test_no_bytes_raise_anything_but_a_provider_error(data: bytes) -> None:
    with contextlib.suppress(ProviderError):
        decode_answer(data)
    with contextlib.suppress(ProviderError):
        events(data)


def check(value: Answer | ProviderEvent) -> None:
    """What is handed on is text and counts that fit everywhere."""
    texts: list[str]
    usage: TokenCounts | None = None
    match value:
        case Answer():
            texts = [value.text, value.raw_finish_reason]
            texts += [text for call in value.tool_calls for text in (call.id, call.name, call.arguments_json)]
            usage = value.usage
        case Finished():
            texts, usage = [value.raw_finish_reason], value.usage
        case TextDelta() | ReasoningDelta():
            texts = [value.text]
        case ToolCallStarted():
            texts = [value.id, value.name]
        case _:
            texts = [value.arguments_json]
    assert all(isinstance(text, str) for text in texts)
    "".join(texts).encode()
    assert usage is None or 0 <= usage.total < 2**63


def test_a_finish_reason_is_cut_to_what_the_ledger_keeps() -> None:
    assert len(decoded(finish="x" * 1000).raw_finish_reason) == 64
    assert len(finished(delta("x" * 1000)).raw_finish_reason) == 64
