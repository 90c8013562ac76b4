import contextlib
import itertools
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
    Message,
    ProviderEvent,
    Reasoning,
    ReasoningDelta,
    Role,
    Text,
    TextDelta,
    ToolArgumentsDelta,
    ToolCall,
    ToolCallStarted,
)
from services.router.providers.formats.ollama_chat.response import OllamaAnswers, next_call_number
from tests.contract.dialects.folding import folded

CALL = {"function": {"name": "get_time", "arguments": {"city": "Oslo"}}}


def line(content: str = "", *, done: bool = False, **fields: Any) -> dict[str, Any]:
    message = {name: fields.pop(name) for name in ("thinking", "tool_calls") if name in fields}
    head = {"model": "m", "created_at": "2026-01-01T00:00:00Z"}
    return {**head, "message": {"role": "assistant", "content": content, **message}, "done": done, **fields}


def last(reason: str | None = "stop", **fields: Any) -> dict[str, Any]:
    said: dict[str, Any] = {} if reason is None else {"done_reason": reason}
    return line(done=True, **said, prompt_eval_count=7, eval_count=5, **fields)


def read(*lines: object, answers: OllamaAnswers | None = None) -> list[ProviderEvent]:
    decoder = (answers or OllamaAnswers()).stream_decoder()
    events = [event for each in lines for event in decoder.feed(orjson.dumps(each))]
    return events + decoder.end()


def decode(document: object, answers: OllamaAnswers | None = None) -> Answer:
    return (answers or OllamaAnswers()).decode(orjson.dumps(document))


def failed(*lines: object) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        read(*lines)
    return caught.value


def test_the_lines_of_a_stream_become_events() -> None:
    usage = TokenCounts(input_tokens=7, output_tokens=5)
    assert read(line(thinking="Hm"), line("Hel"), line("lo"), line(tool_calls=[CALL]), last()) == [
        ReasoningDelta("Hm"),
        TextDelta("Hel"),
        TextDelta("lo"),
        ToolCallStarted(0, "call_0", "get_time"),
        ToolArgumentsDelta(0, '{"city":"Oslo"}'),
        Finished(finish_reason=FinishReason.TOOL_CALLS, raw_finish_reason="stop", usage=usage),
    ]


def test_a_whole_answer_is_the_stream_folded() -> None:
    whole = decode({**last(), "message": {"content": "Hello", "thinking": "Hm", "tool_calls": [CALL, CALL]}})
    assert whole == folded(
        read(line(thinking="Hm"), line("Hello"), line(tool_calls=[CALL]), line(tool_calls=[CALL]), last())
    )
    assert [call.id for call in whole.tool_calls] == ["call_0", "call_1"]


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("stop", FinishReason.STOP),
        ("length", FinishReason.LENGTH),
        ("load", FinishReason.UNKNOWN),
        ("unload", FinishReason.UNKNOWN),
        ("stopped", FinishReason.UNKNOWN),
        (None, FinishReason.UNKNOWN),
    ],
)
def test_finish_reasons_are_told_apart_and_a_tool_call_is_above_them(raw: str | None, reason: FinishReason) -> None:
    assert decode(last(raw)).finish_reason is reason
    assert folded(read(last(raw))) == decode(last(raw))
    assert decode(last(raw)).raw_finish_reason == (raw or "")
    called = {**last(raw), "message": {"content": "", "tool_calls": [CALL]}}
    assert decode(called).finish_reason is FinishReason.TOOL_CALLS


def test_an_answer_that_only_loaded_the_model_is_empty() -> None:
    document = {"model": "m", "done": True, "done_reason": "load"}
    empty = Answer(parts=(), finish_reason=FinishReason.UNKNOWN, raw_finish_reason="load", usage=None)
    assert decode(document) == decode({**document, "message": None}) == folded(read(document)) == empty


@pytest.mark.parametrize(
    ("counts", "usage"),
    [
        ({"prompt_eval_count": 7, "eval_count": 5}, TokenCounts(input_tokens=7, output_tokens=5)),
        ({"prompt_eval_count": 7}, TokenCounts(input_tokens=7)),
        ({"prompt_eval_count": 7, "eval_count": 0}, TokenCounts(input_tokens=7)),
        (
            {"prompt_eval_count": 7, "prompt_eval_cached_count": 3, "eval_count": 5},
            TokenCounts(input_tokens=4, cache_read_tokens=3, output_tokens=5),
        ),
        ({"prompt_eval_count": 7, "prompt_eval_cached_count": 8, "eval_count": 5}, None),
        ({"eval_count": 5}, None),
        ({"prompt_eval_count": 0, "eval_count": 5}, None),
        ({"prompt_eval_count": -1, "eval_count": 5}, None),
        ({"prompt_eval_count": 7, "eval_count": "5"}, None),
        ({}, None),
    ],
)
def test_a_prompt_whose_tokens_are_not_told_was_not_free(counts: dict[str, object], usage: TokenCounts | None) -> None:
    document = {**line("Hi", done=True), **counts}
    assert decode(document).usage == folded(read(document)).usage == usage


def test_hidden_thoughts_are_left_out() -> None:
    hiding = OllamaAnswers(hide_reasoning=True)
    document = {**last(), "message": {"content": "Hello", "thinking": "Hm"}}
    assert decode(document).parts == (Reasoning("Hm"), Text("Hello"))
    assert decode(document, hiding).parts == (Text("Hello"),)
    assert folded(read(line(thinking="Hm"), line("Hello"), last(), answers=hiding)) == decode(document, hiding)


def test_the_ids_of_newer_versions_are_kept_and_made_ones_go_on_from_the_conversation() -> None:
    calls = [{"id": "call_x1", **CALL}, CALL]
    document = {**last(), "message": {"content": "", "tool_calls": calls}}
    answers = OllamaAnswers(first_call=3)
    assert [call.id for call in decode(document, answers).tool_calls] == ["call_x1", "call_4"]
    assert folded(read(line(tool_calls=calls), last(), answers=answers)) == decode(document, answers)


@pytest.mark.parametrize(
    ("ids", "number"),
    [
        ([], 0),
        (["call_0", "call_1"], 2),
        (["call_7", "call_x", "toolu_9"], 8),
        (["call_9999999", "call_²", "call_"], 0),
    ],
)
def test_made_ids_are_new_in_their_conversation(ids: list[str], number: int) -> None:
    calls = tuple(ToolCall(id=each, name="a", arguments_json="{}") for each in ids)
    assert next_call_number([Message(Role.ASSISTANT, (Text("Hi"), *calls))]) == number


@pytest.mark.parametrize(
    ("arguments", "text"), [({}, "{}"), (None, "{}"), ('{"a":1}', '{"a":1}'), ({"a": [1.5, None]}, '{"a":[1.5,null]}')]
)
def test_arguments_become_json(arguments: object, text: str) -> None:
    call = {"function": {"name": "get_time", "arguments": arguments}}
    document = {**last(), "message": {"content": "", "tool_calls": [call]}}
    assert decode(document).tool_calls[0].arguments_json == text
    assert folded(read(line(tool_calls=[call]), last())) == decode(document)


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("llama runner process has terminated", Reason.PROVIDER_ERROR),
        ("the input length exceeds the context length", Reason.CONTEXT_TOO_LONG),
        ("server busy, please try again.  maximum pending requests exceeded", Reason.PROVIDER_OVERLOADED),
        ("server busy", Reason.PROVIDER_OVERLOADED),
        ("model requires more system memory (8.4 GiB) than is available (2.1 GiB)", Reason.PROVIDER_OVERLOADED),
        ("you've reached your hourly usage limit, please upgrade to continue", Reason.PROVIDER_RATE_LIMITED),
        ("model 'x' not found, try pulling it first", Reason.PROVIDER_MODEL_NOT_FOUND),
    ],
)
def test_an_error_inside_an_answer_is_told_by_its_words(message: str, reason: Reason) -> None:
    error = failed(line("Hi"), {"error": message})
    assert (error.reason, error.sent) == (reason, True)
    with pytest.raises(ProviderError) as caught:
        decode({"error": message})
    assert caught.value.reason is reason


def test_a_stream_that_ends_before_its_last_line_was_interrupted() -> None:
    for lines in ([], [line("Hi")]):
        assert failed(*lines).reason is Reason.PROVIDER_UNREACHABLE


def test_nothing_after_the_last_line_counts() -> None:
    assert read(line("Hi"), last(), line("more"), {"error": "late"}) == read(line("Hi"), last())


@pytest.mark.parametrize(
    "document",
    [
        line("Hi"),
        [],
        7,
        {**last(), "message": "Hi"},
        {**last(), "message": {"content": ["Hi"]}},
        {**last(), "message": {"thinking": 1}},
        {**last(), "message": {"tool_calls": {"a": 1}}},
        {**last(), "message": {"tool_calls": [{}]}},
        {**last(), "message": {"tool_calls": [{"function": {"name": None}}]}},
        {**last(), "message": {"tool_calls": [{"id": 7, **CALL}]}},
        {**last(), "done_reason": 7},
    ],
)
def test_what_is_no_answer_is_a_bad_response(document: object) -> None:
    with pytest.raises(ProviderError) as caught:
        decode(document)
    assert caught.value.reason is Reason.PROVIDER_BAD_RESPONSE
    if isinstance(document, dict) and not document.get("done"):
        return
    assert failed(document).reason is Reason.PROVIDER_BAD_RESPONSE


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["message", "done", "error", "content", "thinking", "tool_calls", "function", "name", "id"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)
RUBBISH = st.fixed_dictionaries(
    {},
    optional={
        "message": JSON,
        "done": JSON,
        "done_reason": JSON,
        "error": JSON,
        "prompt_eval_count": JSON,
        "eval_count": JSON,
    },
)


@given(st.lists(RUBBISH | JSON, max_size=3))
@settings(max_examples=300)
def test_rubbish_never_raises_anything_but_a_provider_error(lines: list[object]) -> None:
    decoder = OllamaAnswers().stream_decoder()
    with contextlib.suppress(ProviderError):
        for each in lines:
            # Integers may be longer than any that orjson writes.
            decoder.feed(_dumped(each))
        decoder.end()
    for each in lines:
        with contextlib.suppress(ProviderError):
            OllamaAnswers().decode(_dumped(each))


def _dumped(document: object) -> bytes:
    try:
        return orjson.dumps(document)
    except orjson.JSONEncodeError:
        return b"[" * 100_000


@given(st.binary(max_size=100))
def test_bytes_never_raise_anything_but_a_provider_error(data: bytes) -> None:
    for decode_ in (OllamaAnswers().decode, OllamaAnswers().stream_decoder().feed):
        with contextlib.suppress(ProviderError):
            decode_(data)


PIECES = st.text(min_size=1, max_size=4)


@given(st.lists(PIECES, max_size=3), st.lists(PIECES, max_size=4), st.integers(0, 3), st.data())
def test_any_split_of_an_answer_folds_to_the_whole(
    thinking: list[str], words: list[str], calls: int, data: st.DataObject
) -> None:
    document = {
        **last(),
        "message": {"content": "".join(words), "thinking": "".join(thinking), "tool_calls": [CALL] * calls},
    }
    wire = b"".join(
        orjson.dumps(each) + b"\n"
        for each in itertools.chain(
            (line(thinking=each) for each in thinking),
            (line(each) for each in words),
            (line(tool_calls=[CALL]) for _ in range(calls)),
            [last()],
        )
    )
    cuts = sorted({0, len(wire), *data.draw(st.lists(st.integers(0, len(wire)), max_size=10))})
    answers = OllamaAnswers()
    reader, decoder = answers.stream_format.reader(), answers.stream_decoder()
    events: list[ProviderEvent] = []
    for start, stop in itertools.pairwise(cuts):
        for each in reader.feed(wire[start:stop]):
            events += decoder.feed(each)
    for each in reader.end():
        events += decoder.feed(each)
    assert folded(events + decoder.end()) == decode(document)
