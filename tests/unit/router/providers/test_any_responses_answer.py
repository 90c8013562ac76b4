"""Random answers of Responses, whole, in pieces, cut and spoiled."""

import contextlib

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.router.domain.errors import ProviderError, Reason
from services.router.domain.generation import (
    ProviderEvent,
)
from services.router.providers.formats.openai_responses.response import decode_answer
from services.router.providers.formats.openai_responses.stream import ResponsesStreamDecoder
from services.router.providers.reading.server_sent_events import EventReader
from tests.contract.dialects.folding import folded
from tests.unit.router.providers.responses_wire import (
    Json,
    events,
    function_call,
    message,
    reasoning,
    response,
    streamed,
)

_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
_ITEMS = st.one_of(
    st.builds(
        lambda texts, refusal, phase: message(*texts, refusal=refusal, **({"phase": phase} if phase else {})),
        st.lists(_TEXTS, max_size=2),
        st.sampled_from(["", "", "No."]),
        st.sampled_from([None, None, "commentary", "final_answer"]),
    ),
    st.builds(
        lambda texts, sealed: reasoning(*texts, sealed=sealed),
        st.lists(_TEXTS, max_size=3),
        st.sampled_from([None, "c2VhbGVk"]),
    ),
    st.builds(function_call, _TEXTS, st.sampled_from(["call_a", "call_b", ""])),
    st.just({"id": "ws_1", "type": "web_search_call"}),
)
_ANSWERS = st.builds(
    lambda items, fields: response(*items, **fields),
    st.lists(_ITEMS, max_size=5),
    st.sampled_from(
        [
            {"usage": {"input_tokens": 3, "output_tokens": 2}},
            {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}},
        ]
    ),
)


@given(_ANSWERS, st.integers(1, 7))
def test_a_folded_stream_is_the_whole_answer(answer: Json, size: int) -> None:
    assert folded(events(*streamed(answer, size))) == decode_answer(orjson.dumps(answer))


@given(_ANSWERS, st.integers(1, 7), st.lists(st.integers(0, 4), min_size=5, max_size=5))
def test_pieces_that_never_came_are_made_up_for(answer: Json, size: int, kept: list[int]) -> None:
    left = dict(enumerate(kept))
    wire: list[Json] = []
    for each in streamed(answer, size):
        if each["type"].endswith(".delta"):
            left[each["output_index"]] -= 1
            if left[each["output_index"]] < 0:
                continue
        wire.append(each)
    assert folded(events(*wire)) == decode_answer(orjson.dumps(answer))


@given(_ANSWERS, st.lists(st.integers(1, 40), min_size=1, max_size=30), st.sampled_from([b"\n", b"\r\n"]))
def test_any_split_of_the_bytes_gives_the_same_events(answer: Json, sizes: list[int], line_end: bytes) -> None:
    wire = streamed(answer)
    data = b"".join(
        b": keep-alive" + line_end * 2 + b"event: " + each["type"].encode() + line_end
        + b"data: " + orjson.dumps(each) + line_end * 2
        for each in wire
    )  # fmt: skip
    reader, decoder = EventReader(), ResponsesStreamDecoder()
    found: list[ProviderEvent] = []
    place = 0
    while place < len(data):
        size = sizes[place % len(sizes)]
        for each in reader.feed(data[place : place + size]):
            found += decoder.feed(each)
        place += size
    for each in reader.end():
        found += decoder.feed(each)
    assert found + decoder.end() == events(*wire)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | _TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3),
    max_leaves=8,
)
_TYPES = st.sampled_from(sorted(map(str, ResponsesStreamDecoder._HANDLERS)))
_FIELDS = st.sampled_from(
    ["item", "delta", "response", "output_index", "item_id", "arguments", "summary_index", "error"]
)
_VALUES = _JSON | _ITEMS | st.builds(lambda items: {"output": items}, st.lists(_ITEMS | _JSON, max_size=2))


@given(st.lists(st.builds(lambda kind, rest: {**rest, "type": kind}, _TYPES, st.dictionaries(_FIELDS, _VALUES))))
@example([{"type": "response.output_item.done", "item": {"type": "message", "content": [{"type": "refusal"}]}}])
def test_no_rubbish_raises_anything_but_a_provider_error(wire: list[Json]) -> None:
    with contextlib.suppress(ProviderError):
        events(*wire)


@given(_ANSWERS, st.data())
def test_rubbish_in_an_answer_raises_nothing_but_a_provider_error(given_answer: Json, data: st.DataObject) -> None:
    answer = orjson.loads(orjson.dumps(given_answer))
    for name in data.draw(st.sets(st.sampled_from(sorted(answer)))):
        answer[name] = data.draw(_VALUES)
    for item in answer["output"] if isinstance(answer["output"], list) else ():
        if isinstance(item, dict) and item:
            item[data.draw(st.sampled_from(sorted(item)))] = data.draw(_JSON)
    with contextlib.suppress(ProviderError):
        decode_answer(orjson.dumps(answer))


@given(_ANSWERS, st.data())
def test_a_stream_cut_anywhere_is_never_a_success(answer: Json, data: st.DataObject) -> None:
    wire = streamed(answer)
    with pytest.raises(ProviderError) as caught:
        events(*wire[: data.draw(st.integers(0, len(wire) - 1))])
    assert caught.value.reason is Reason.PROVIDER_UNREACHABLE
