"""Answers of generateContent, whole and streamed."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.core.money import TokenCounts
from services.router.domain.errors import ProviderError, Reason
from services.router.domain.generation import (
    Answer,
    Finished,
    FinishReason,
    ProviderEvent,
    Reasoning,
    Signature,
    Text,
    TextDelta,
    ToolCall,
)
from services.router.providers.formats.gemini_content.response import GeminiAnswers
from services.router.providers.formats.gemini_content.usage import read_usage
from tests.contract.dialects.folding import folded

ANSWERS = GeminiAnswers()


def chunk(*parts: Any, finish: str | None = None, usage: Any = None, **fields: Any) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"parts": list(parts), "role": "model"}, "index": 0}
    if finish is not None:
        candidate["finishReason"] = finish
    return {"candidates": [candidate], **({"usageMetadata": usage} if usage else {}), **fields}


def call(name: str = "get_time", **fields: Any) -> dict[str, Any]:
    return {"functionCall": {"name": name, **fields}}


def decoded(*parts: Any, finish: str | None = "STOP", **fields: Any) -> Answer:
    return ANSWERS.decode(orjson.dumps(chunk(*parts, finish=finish, **fields)))


def events(*chunks: Any) -> list[ProviderEvent]:
    decoder = ANSWERS.stream_decoder()
    return [event for data in chunks for event in decoder.feed(orjson.dumps(data))] + decoder.end()


def reason(error: pytest.ExceptionInfo[ProviderError]) -> Reason:
    return error.value.reason


@pytest.mark.parametrize(
    ("raw", "meant"),
    [
        ("STOP", FinishReason.STOP),
        ("MAX_TOKENS", FinishReason.LENGTH),
        ("SAFETY", FinishReason.CONTENT_FILTER),
        ("RECITATION", FinishReason.CONTENT_FILTER),
        ("IMAGE_PROHIBITED_CONTENT", FinishReason.CONTENT_FILTER),
        ("IMAGE_RECITATION", FinishReason.CONTENT_FILTER),
        ("MODEL_ARMOR", FinishReason.CONTENT_FILTER),
        ("ESCALATION", FinishReason.CONTENT_FILTER),
        ("MALFORMED_FUNCTION_CALL", FinishReason.MALFORMED_TOOL_CALL),
        ("OTHER", FinishReason.ERROR),
        ("MISSING_THOUGHT_SIGNATURE", FinishReason.ERROR),
        ("FINISH_REASON_UNSPECIFIED", FinishReason.UNKNOWN),
        ("NO_IMAGE", FinishReason.UNKNOWN),
    ],
)
def test_finish_reasons_are_told_apart_and_kept(raw: str, meant: FinishReason) -> None:
    answer = decoded({"text": "Hi"}, finish=raw)
    assert (meant, raw) == (answer.finish_reason, answer.raw_finish_reason)
    assert answer == folded(events(chunk({"text": "Hi"}, finish=raw)))


@pytest.mark.parametrize("raw", ["STOP", "MAX_TOKENS", "SAFETY", "OTHER", "SOMETHING_NEW"])
def test_with_a_function_call_any_finish_is_one_for_tools(raw: str) -> None:
    assert decoded(call(), finish=raw).finish_reason is FinishReason.TOOL_CALLS
    end = events(chunk(call()), chunk(finish=raw))[-1]
    assert isinstance(end, Finished)
    assert (end.finish_reason, end.raw_finish_reason) == (FinishReason.TOOL_CALLS, raw)


def test_a_blocked_prompt_has_an_empty_answer() -> None:
    body = {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "usageMetadata": {"promptTokenCount": 7}}
    answer = ANSWERS.decode(orjson.dumps(body))
    assert answer == Answer(
        parts=(),
        finish_reason=FinishReason.CONTENT_FILTER,
        raw_finish_reason="PROHIBITED_CONTENT",
        usage=TokenCounts(input_tokens=7),
    )
    assert answer == folded(events(body))


def test_feedback_on_a_prompt_that_was_answered_changes_nothing() -> None:
    body = chunk({"text": "Hi"}, finish="STOP", promptFeedback={"blockReason": "OTHER"})
    assert ANSWERS.decode(orjson.dumps(body)).finish_reason is FinishReason.STOP


def test_parts_come_in_the_provider_s_order_and_unknown_ones_are_passed_over() -> None:
    parts: tuple[dict[str, Any], ...] = (
        {"text": "Hm", "thought": True},
        {"text": "m.", "thought": True},
        {"text": "So"},
        {"executableCode": {"code": "1"}},
        {"text": " it"},
        {**call("a", args={"n": 1}, id="x1"), "thoughtSignature": "QUJD"},
        {"text": "is."},
        {},
    )
    answer = decoded(*parts)
    assert answer.parts == (
        Reasoning("Hmm."),
        Text("So it"),
        ToolCall(id="x1", name="a", arguments_json='{"n":1}', signature=Signature(b"QUJD")),
        Text("is."),
    )
    assert answer == folded(events(*(chunk(part) for part in parts), chunk(finish="STOP")))


def test_signatures_of_texts_say_how_much_text_they_sign() -> None:
    parts = ({"text": "One. "}, {"text": "Two.", "thoughtSignature": "QUJD"}, {"text": "", "thoughtSignature": "REVG"})
    answer = decoded(*parts)
    assert answer.parts == (
        Text("One. Two."),
        Reasoning("", Signature(b"4:QUJD")),
        Reasoning("", Signature(b"0:REVG")),
    )
    assert answer == folded(events(*(chunk(part) for part in parts), chunk(finish="STOP")))


def test_calls_without_an_id_get_one_that_no_other_turn_has() -> None:
    first, second = (decoded(call(), call(), responseId=answer_id).tool_calls for answer_id in ("r1", "r2"))
    assert len({each.id for each in (*first, *second)}) == 4
    assert [each.id for each in decoded(call(), call()).tool_calls] == ["call_0", "call_1"]


def test_names_that_were_changed_on_the_way_are_changed_back() -> None:
    answer = GeminiAnswers({"tool_3d": "3d"}).decode(orjson.dumps(chunk(call("tool_3d"), finish="STOP")))
    assert [each.name for each in answer.tool_calls] == ["3d"]


def test_only_the_first_candidate_is_read() -> None:
    body = chunk({"text": "first"}, finish="STOP")
    body["candidates"].append({"index": 1, "content": {"parts": [{"text": "second"}]}, "finishReason": "SAFETY"})
    assert ANSWERS.decode(orjson.dumps(body)).text == "first"


def test_a_stream_is_read_beyond_its_finish() -> None:
    last = {"candidates": [{"index": 0}], "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 9}}
    read = events(chunk({"text": "a"}, finish="STOP", usage={"promptTokenCount": 3}), chunk({"text": "b"}), last)
    answer = folded(read)
    assert answer.text == "ab"
    assert answer.usage == TokenCounts(input_tokens=3, output_tokens=9)


def test_usage_never_becomes_less() -> None:
    counts = [{"promptTokenCount": 3, "candidatesTokenCount": n} for n in (4, 2)]
    answer = folded(events(*(chunk({"text": "a"}, usage=each) for each in counts), chunk(finish="STOP")))
    assert answer.usage == TokenCounts(input_tokens=3, output_tokens=4)


def test_a_stream_without_a_finish_was_interrupted() -> None:
    with pytest.raises(ProviderError) as error:
        events(chunk({"text": "Hi"}))
    assert reason(error) is Reason.PROVIDER_UNREACHABLE


@pytest.mark.parametrize("array", [False, True])
def test_an_error_in_a_stream_is_classed(*, array: bool) -> None:
    error = {"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}
    decoder = ANSWERS.stream_decoder()
    decoder.feed(orjson.dumps(chunk({"text": "Hi"})))
    with pytest.raises(ProviderError) as raised:
        decoder.feed(orjson.dumps([error] if array else error))
    assert (reason(raised), raised.value.sent) == (Reason.PROVIDER_OVERLOADED, True)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"17",
        b"{",
        b'{"candidates":[]}',
        b'{"candidates":7}',
        b'{"candidates":[7]}',
        b'{"candidates":[{"content":7}]}',
        b'{"candidates":[{"content":{"parts":[{"text":7}]}}]}',
        b'{"candidates":[{"content":{"parts":[{"functionCall":{"args":{}}}]}}]}',
        b'{"candidates":[{"content":{"parts":[{"functionCall":{"name":"a","args":[]}}]}}]}',
        b'{"candidates":[{"finishReason":7}]}',
    ],
)
def test_what_is_no_answer_is_malformed(body: bytes) -> None:
    with pytest.raises(ProviderError) as error:
        ANSWERS.decode(body)
    assert reason(error) is Reason.PROVIDER_BAD_RESPONSE


FIELDS = [
    "candidates", "content", "parts", "text", "thought", "thoughtSignature", "functionCall", "name", "args", "id",
    "finishReason", "index", "usageMetadata", "promptTokenCount", "totalTokenCount", "error", "code",
    "promptFeedback", "blockReason", "responseId", "message", "details", "status",
]  # fmt: skip
_json = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(FIELDS),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(_json)
def test_rubbish_is_an_answer_or_a_provider_error(document: Any) -> None:
    for body in (orjson.dumps(document), orjson.dumps({"candidates": [document]})):
        decoder = ANSWERS.stream_decoder()
        try:
            read = [*decoder.feed(body), *decoder.end()]
        except ProviderError:
            continue
        assert folded(read) == ANSWERS.decode(body)


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        (
            {"promptTokenCount": 10, "candidatesTokenCount": 5, "thoughtsTokenCount": 7, "totalTokenCount": 22},
            TokenCounts(input_tokens=10, output_tokens=5, reasoning_tokens=7),
        ),
        (
            {"promptTokenCount": 10, "cachedContentTokenCount": 4, "candidatesTokenCount": 5, "totalTokenCount": 15},
            TokenCounts(input_tokens=6, cache_read_tokens=4, output_tokens=5),
        ),
        (
            {"promptTokenCount": 10, "toolUsePromptTokenCount": 3, "candidatesTokenCount": 5, "totalTokenCount": 18},
            TokenCounts(input_tokens=13, output_tokens=5),
        ),
        ({"promptTokenCount": 10, "totalTokenCount": 10}, TokenCounts(input_tokens=10)),
        (
            {"promptTokenCount": 10, "thoughtsTokenCount": 9, "totalTokenCount": 19},
            TokenCounts(input_tokens=10, reasoning_tokens=9),
        ),
        # A part of the total that no count names.
        (
            {"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 20},
            TokenCounts(input_tokens=10, output_tokens=10),
        ),
        # Thoughts counted as visible.
        (
            {"promptTokenCount": 10, "candidatesTokenCount": 9, "thoughtsTokenCount": 4, "totalTokenCount": 19},
            TokenCounts(input_tokens=10, output_tokens=5, reasoning_tokens=4),
        ),
        ({}, None),
        (None, None),
        ({"promptTokenCount": "10"}, None),
        ({"promptTokenCount": 3, "cachedContentTokenCount": 4}, None),
    ],
)
def test_the_buckets_sum_to_the_total(usage: Any, counts: TokenCounts | None) -> None:
    assert counts == read_usage(usage)
    if counts is not None:
        assert counts.total == usage["totalTokenCount"]


@pytest.mark.parametrize(
    ("part", "what"),
    [
        ({"inlineData": {"mimeType": "image/png", "data": "eA=="}}, "An image"),
        ({"inlineData": {"mimeType": "audio/L16;rate=24000", "data": "eA=="}}, "A sound"),
        ({"fileData": {"mimeType": "video/mp4", "fileUri": "gs://x"}}, "A video"),
        ({"inlineData": {"data": "eA=="}}, "A file"),
    ],
)
def test_what_answers_have_no_place_for_is_not_left_out_unsaid(part: Any, what: str) -> None:
    note = f"[{what} that the model made was left out here.]"
    answer = decoded({"text": "Look: "}, part, {"text": " Nice?"})
    assert answer.text == f"Look: {note} Nice?"
    assert answer == folded(events(chunk({"text": "Look: "}), chunk(part), chunk({"text": " Nice?"}, finish="STOP")))


def test_a_mark_on_something_made_is_kept_apart_from_the_note() -> None:
    part = {"inlineData": {"mimeType": "image/png", "data": "eA=="}, "thoughtSignature": "bWFyaw=="}
    _, reasoning = decoded(part).parts
    assert isinstance(reasoning, Reasoning)
    assert reasoning.signature == Signature(b"0:bWFyaw==")


def test_an_answer_can_be_blocked_under_way() -> None:
    blocked = {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}
    text, end = events(chunk({"text": "Once"}), blocked)
    assert text == TextDelta("Once")
    assert isinstance(end, Finished)
    assert (end.finish_reason, end.raw_finish_reason) == (FinishReason.CONTENT_FILTER, "PROHIBITED_CONTENT")
    ended = events(chunk({"text": "Once"}, finish="STOP"), blocked)[-1]
    assert isinstance(ended, Finished)
    assert ended.finish_reason is FinishReason.STOP


def test_of_equal_totals_the_last_tells_the_parts() -> None:
    early = chunk({"text": "Hi"}, usage={"promptTokenCount": 8, "totalTokenCount": 48})
    late = chunk(finish="STOP", usage={"promptTokenCount": 8, "thoughtsTokenCount": 40, "totalTokenCount": 48})
    end = events(early, late)[-1]
    assert isinstance(end, Finished)
    assert end.usage == TokenCounts(input_tokens=8, reasoning_tokens=40)


def test_a_thought_without_text_keeps_its_mark() -> None:
    part = {"text": "", "thought": True, "thoughtSignature": "bWFyaw=="}
    assert decoded(part, {"text": "Hi"}).parts == (Reasoning("", Signature(b"bWFyaw==")), Text("Hi"))
