import contextlib
import itertools
from collections import deque

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.router.domain.errors import ProviderError, Reason
from services.router.providers.reading.server_sent_events import MAX_EVENT_BYTES, EventReader


def read(*chunks: bytes) -> list[bytes]:
    """The data of all events in these chunks, the unfinished last one too."""
    reader = EventReader()
    return [data for chunk in chunks for data in reader.feed(chunk)] + reader.end()


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    """`data` cut at these places."""
    places = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    return [data[start:stop] for start, stop in itertools.pairwise(places)]


TEXTS = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), min_size=1).map(
    lambda text: f"«{text}»"  # as in JSON, white space stands inside only
)


@st.composite
def streams(draw: st.DrawFn) -> tuple[bytes, list[bytes]]:
    """A well-formed stream in any spelling, and its events."""
    events = draw(st.lists(st.lists(TEXTS, min_size=1, max_size=3), max_size=5))
    wire: list[str] = []
    for lines in events:
        newline = draw(st.sampled_from(["\n", "\r\n"]))
        for line in lines:
            wire.append(draw(st.sampled_from(["", ": a comment", "event: message", "id: 7", "retry: 100", "data"])))
            if not wire[-1]:
                wire.pop()
            else:
                wire[-1] += newline
            wire.append(f"data:{draw(st.sampled_from(['', ' ']))}{line}{newline}")
        wire.append(newline * draw(st.integers(1, 3)))
    return "".join(wire).encode(), ["\n".join(lines).encode() for lines in events]


@given(streams(), st.lists(st.integers(0, 10_000), max_size=20))
@example((b"data: \xc3\xa9\r\n\r\n", [b"\xc3\xa9"]), list(range(20)))
def test_any_split_of_the_bytes_gives_the_same_events(stream: tuple[bytes, list[bytes]], cuts: list[int]) -> None:
    wire, events = stream
    assert events == read(*split(wire, cuts))


@given(streams())
def test_an_event_comes_as_soon_as_its_empty_line_has(stream: tuple[bytes, list[bytes]]) -> None:
    wire, events = stream
    reader = EventReader()
    assert events == reader.feed(wire)
    assert reader.end() == []


def test_the_last_event_needs_no_empty_line() -> None:
    assert read(b"data: a\n\ndata: [DONE]") == [b"a", b"[DONE]"]
    assert read(b"data: [DONE]\n") == [b"[DONE]"]


def test_an_event_without_data_is_none() -> None:
    assert read(b": keep-alive\n\nevent: ping\n\ndata:\n\ndata: \n\n\n\n") == []


def test_a_byte_order_mark_does_not_hide_the_first_event() -> None:
    assert read(b"\xef\xbb", b"\xbfdata: a\n\n") == [b"a"]


@pytest.mark.parametrize(
    "chunk",
    [
        b"x" * 65_536,
        b"data: " + b"x" * 1024 + b"\n",
        b"data:\n" * 1024,
        b"data: x\n" * 1024,
        b": " + b"\xef\xbb\xbf" * 1000,
    ],
    ids=["a line without end", "an event of long lines", "an event of empty lines", "of short lines", "a comment"],
)
def test_an_endless_event_is_refused_before_it_fills_the_memory(chunk: bytes) -> None:
    reader = EventReader()
    chunks = itertools.repeat(chunk, MAX_EVENT_BYTES // len(chunk) + 1)
    with pytest.raises(ProviderError) as caught:
        deque(map(reader.feed, chunks), maxlen=0)
    assert caught.value.reason is Reason.PROVIDER_BAD_RESPONSE


def test_many_events_of_any_total_size_are_read() -> None:
    reader = EventReader()
    chunk = b"data: " + b"x" * 1_000_000 + b"\n\n: comment\n"
    assert all(len(reader.feed(chunk)) == 1 for _ in range(30))


@given(st.lists(st.binary(max_size=200), max_size=20))
@example([b"\xef\xbb\xbf" * 100])
def test_no_bytes_raise_anything_but_a_provider_error(chunks: list[bytes]) -> None:
    with contextlib.suppress(ProviderError):
        read(*chunks)
