import contextlib
import itertools
from collections import deque

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.router.domain.errors import ProviderError, Reason
from services.router.providers.reading.json_lines import JSON_LINES, MAX_LINE_BYTES, LineReader


def read(*chunks: bytes) -> list[bytes]:
    """All lines in these chunks, the unfinished last one too."""
    reader = LineReader()
    return [line for chunk in chunks for line in reader.feed(chunk)] + reader.end()


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    """`data` cut at these places."""
    places = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    return [data[start:stop] for start, stop in itertools.pairwise(places)]


LINES = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"])).map(
    lambda text: f'{{"a":"{text}"}}'
)


@st.composite
def streams(draw: st.DrawFn) -> tuple[bytes, list[bytes]]:
    """A well-formed stream in any spelling, and its lines."""
    lines = draw(st.lists(LINES, max_size=6))
    newlines = st.sampled_from(["\n", "\r\n", "\n\n", "\r\n\r\n", "\n \n"])
    return "".join(line + draw(newlines) for line in lines).encode(), [line.encode() for line in lines]


@given(streams(), st.lists(st.integers(0, 10_000), max_size=20))
@example((b'{"a":"\xc3\xa9"}\r\n', [b'{"a":"\xc3\xa9"}']), list(range(20)))
def test_any_split_of_the_bytes_gives_the_same_lines(stream: tuple[bytes, list[bytes]], cuts: list[int]) -> None:
    wire, lines = stream
    assert lines == read(*split(wire, cuts))


@given(streams())
def test_a_line_comes_as_soon_as_it_has_ended(stream: tuple[bytes, list[bytes]]) -> None:
    wire, lines = stream
    reader = LineReader()
    assert lines == reader.feed(wire)
    assert reader.end() == []


def test_the_last_line_needs_no_end() -> None:
    assert read(b'{"a":1}\n{"b"', b":2}") == [b'{"a":1}', b'{"b":2}']


def test_blank_lines_are_none() -> None:
    assert read(b"\n\r\n \n", b"\n") == []


@pytest.mark.parametrize("size", [1, 65_536], ids=["byte by byte", "in blocks"])
def test_an_endless_line_is_refused_before_it_fills_the_memory(size: int) -> None:
    reader = LineReader()
    chunks = itertools.repeat(b"x" * size, MAX_LINE_BYTES // size + 1)
    with pytest.raises(ProviderError) as caught:
        deque(map(reader.feed, chunks), maxlen=0)
    assert (caught.value.reason, caught.value.sent) == (Reason.PROVIDER_BAD_RESPONSE, True)


@pytest.mark.parametrize("cut", [None, 1, MAX_LINE_BYTES // 2, MAX_LINE_BYTES + 1])
def test_a_line_that_is_too_long_is_refused_however_it_comes(cut: int | None) -> None:
    wire = b"x" * (MAX_LINE_BYTES + 1) + b"\n"
    for chunks in ([wire], [b"{}\n" + wire]) if cut is None else ([wire[:cut], wire[cut:]],):
        with pytest.raises(ProviderError):
            read(*chunks)


def test_the_longest_line_is_read() -> None:
    wire = b"x" * MAX_LINE_BYTES
    assert read(wire[:7], wire[7:] + b"\n{}\n") == [wire, b"{}"]


def test_many_lines_of_any_total_size_are_read() -> None:
    reader = LineReader()
    chunk = b"x" * 1_000_000 + b"\n"
    assert all(len(reader.feed(chunk)) == 1 for _ in range(30))


@given(st.lists(st.binary(max_size=200), max_size=20))
def test_no_bytes_raise_anything_but_a_provider_error(chunks: list[bytes]) -> None:
    with contextlib.suppress(ProviderError):
        read(*chunks)


def test_the_format_is_told_by_its_content_type() -> None:
    assert JSON_LINES.content_type == "application/x-ndjson"
    assert JSON_LINES.reader is LineReader
