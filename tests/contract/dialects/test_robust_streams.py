"""Streams that come slowly, in odd pieces, damaged, or not to their end, in every provider's format."""

from __future__ import annotations

import asyncio
import gzip
import re
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.router.domain.configuration import ProviderTimeouts
from services.router.domain.errors import ProviderError, Reason
from services.router.domain.generation import Answer, ProviderEvent
from services.router.domain.ports import Dispatch
from services.router.providers.base import AnswerFormat
from tests.contract.dialects.folding import folded
from tests.contract.dialects.recording import Recorded, asking, recorded
from tests.contract.dialects.variants import VARIANTS, Variant
from tests.integration.router_providers.wire import (
    END,
    Exchange,
    dispatch,
    failure,
    head,
    open_session,
    piece,
    serving,
    streamed,
)

RICH = "tools=3 reasoning=4 show_reasoning text_before_tools"
_EVENT_END = {"text/event-stream": re.compile(rb"\r?\n\r?\n"), "application/x-ndjson": re.compile(rb"\n")}
_KEPT: dict[tuple[str, str], Recorded] = {}


def kept(variant: Variant, words: str = RICH) -> Recorded:
    """A stream of the sandbox, asked for once."""
    place = variant.name, words
    if place not in _KEPT:
        _KEPT[place] = asyncio.run(recorded(variant, asking(variant, words), stream=True))
        assert _KEPT[place].status == 200
    return _KEPT[place]


def read(answers: AnswerFormat, chunks: Iterable[bytes]) -> Answer:
    """The answer in these chunks, as the session reads them. Raises ProviderError."""
    reader, decoder = answers.stream_format.reader(), answers.stream_decoder()
    events: list[ProviderEvent] = []
    for chunk in chunks:
        for data in reader.feed(chunk):
            events += decoder.feed(data)
    for data in reader.end():
        events += decoder.feed(data)
    events += decoder.end()
    return folded(events)


def ending(answers: AnswerFormat, data: bytes) -> Answer | ProviderError:
    """What comes of a stream."""
    try:
        return read(answers, [data])
    except ProviderError as error:
        return error


def pieces(data: bytes, places: Iterable[int]) -> list[bytes]:
    """`data` cut at `places`."""
    cuts = [0, *sorted(places), len(data)]
    return [data[start:end] for start, end in pairwise(cuts)]


def ends(stream: Recorded) -> list[int]:
    """Where its events end."""
    pattern = _EVENT_END[stream.answers.stream_format.content_type]
    return [match.end() for match in pattern.finditer(stream.body)]


@given(st.data())
@settings(max_examples=80, deadline=None)
def test_any_split_of_the_bytes_gives_the_same_answer(variant: Variant, data: st.DataObject) -> None:
    stream = kept(variant)
    whole = read(stream.answers, [stream.body])
    assert len(whole.tool_calls) == 3
    places = data.draw(st.lists(st.integers(0, len(stream.body)), max_size=12))
    assert read(stream.answers, pieces(stream.body, places)) == whole


def test_every_byte_by_itself_gives_the_same_answer(variant: Variant) -> None:
    stream = kept(variant)
    assert read(stream.answers, pieces(stream.body, range(1, len(stream.body)))) == read(stream.answers, [stream.body])


def _crlf(body: bytes) -> bytes:
    return body.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def _commented(body: bytes) -> bytes:
    return b": hello\n\n" + body.replace(b"\n\n", b"\n\n: keep-alive\n\n")


def _blank_lines(body: bytes) -> bytes:
    return b"\n\n" + body.replace(b"\n", b"\n\n")


@pytest.mark.parametrize("change", [_crlf, _commented, _blank_lines])
def test_line_ends_comments_and_blank_lines_do_not_matter(variant: Variant, change: Callable[[bytes], bytes]) -> None:
    stream = kept(variant)
    events = stream.answers.stream_format.content_type == "text/event-stream"
    if events == (change is _blank_lines):
        pytest.skip("not a part of this format")
    assert read(stream.answers, [change(stream.body)]) == read(stream.answers, [stream.body])


@pytest.mark.parametrize("words", ["", RICH, "tokens=30 cached=3"])
def test_a_stream_cut_anywhere_is_never_another_answer(variant: Variant, words: str) -> None:
    stream = kept(variant, words)
    whole = read(stream.answers, [stream.body])
    failed = 0
    places = ends(stream)
    for place in sorted({*places, *range(0, len(stream.body), max(1, len(stream.body) // 150))} - {len(stream.body)}):
        end = ending(stream.answers, stream.body[:place])
        if isinstance(end, ProviderError):
            failed += 1
            # Half an event is told from a stream that ends between two.
            between = place in {0, *places}
            assert end.reason is Reason.PROVIDER_UNREACHABLE or (
                end.reason is Reason.PROVIDER_BAD_RESPONSE and not between
            )
            assert end.sent
        else:
            # Only its usage or its end marker may be lost.
            assert (end.parts, end.finish_reason) == (whole.parts, whole.finish_reason)
            assert end.usage in {whole.usage, None}
    assert failed


@asynccontextmanager
async def answered_by(
    variant: Variant,
    respond: Callable[[Exchange], object],
    timeouts: ProviderTimeouts = ProviderTimeouts(),  # noqa: B008 - it is frozen
) -> AsyncIterator[Dispatch]:  # type: ignore[type-arg]  # what is asked does not matter
    """A call to a server that answers by hand."""

    async def answer(exchange: Exchange) -> None:
        result = respond(exchange)
        assert asyncio.iscoroutine(result)
        await result

    async with serving(answer) as server:
        yield dispatch(
            server.url,
            asking(variant, ""),
            dialect=variant.type,
            options=variant.options,
            model=variant.model,
            output_limit=4_096,
            timeouts=timeouts,
        )


async def test_a_stream_in_many_packets_arrives(variant: Variant) -> None:
    stream = await asyncio.to_thread(kept, variant)

    async def respond(exchange: Exchange) -> None:
        await exchange.send(head(content_type=stream.content_type, transfer_encoding="chunked"))
        for part in pieces(stream.body, range(7, len(stream.body), 97)):
            await exchange.send(piece(part))
        await exchange.send(END)

    async with open_session() as session, answered_by(variant, respond) as call:
        assert folded(await streamed(session, call)) == read(stream.answers, [stream.body])


@pytest.mark.parametrize("events", [0, 1, 4])
async def test_silence_ends_by_its_timer(variant: Variant, events: int) -> None:
    stream = await asyncio.to_thread(kept, variant)
    begun = stream.body[: ends(stream)[events - 1]] if events else b""

    async def respond(exchange: Exchange) -> None:
        await exchange.send(head(content_type=stream.content_type, transfer_encoding="chunked"))
        if begun:
            await exchange.send(piece(begun))
        await exchange.client_gone()

    timeouts = ProviderTimeouts(first_event_s=5.0, idle_s=0.1) if events else ProviderTimeouts(first_event_s=0.1)
    async with open_session() as session, answered_by(variant, respond, timeouts) as call:
        error = await failure(session, call, stream=True)
    assert (error.reason, error.timer, error.sent) == (
        Reason.PROVIDER_TIMEOUT,
        "idle" if events else "first_event",
        True,
    )


async def test_a_trickle_ends_by_the_total_time(variant: Variant) -> None:
    stream = await asyncio.to_thread(kept, variant)

    async def respond(exchange: Exchange) -> None:
        await exchange.send(head(content_type=stream.content_type, transfer_encoding="chunked"))
        for part in pieces(stream.body, range(1, len(stream.body))):
            await exchange.send(piece(part))
            await asyncio.sleep(0.005)

    timeouts = ProviderTimeouts(total_s=0.15, idle_s=5.0)
    async with open_session() as session, answered_by(variant, respond, timeouts) as call:
        error = await failure(session, call, stream=True)
    assert (error.reason, error.timer) == (Reason.PROVIDER_TIMEOUT, "total")


@pytest.mark.parametrize("stream", [True, False])
async def test_an_answer_of_another_kind_is_none(variant: Variant, stream: bool) -> None:
    answer = await asyncio.to_thread(kept, variant)
    responses = {
        "html": head(content_type="text/html", content_length="13") + b"<html></html>",
        "gzip": _whole(gzip.compress(answer.body), answer.content_type, content_encoding="gzip"),
        "text": _whole(answer.body, "text/plain"),
        "nothing": head(content_type=answer.content_type, content_length="0"),
    }
    for name, response in responses.items():

        async def respond(exchange: Exchange, response: bytes = response) -> None:
            await exchange.send(response)

        async with open_session() as session, answered_by(variant, respond) as call:
            error = await failure(session, call, stream=stream)
        wanted = Reason.PROVIDER_UNREACHABLE if name == "nothing" and stream else Reason.PROVIDER_BAD_RESPONSE
        assert error.reason is wanted, name


def _whole(body: bytes, content_type: str, **headers: str) -> bytes:
    return head(200, content_type, content_length=str(len(body)), **headers) + body


async def test_an_endless_event_ends_with_bounded_memory(variant: Variant) -> None:
    stream = await asyncio.to_thread(kept, variant)
    block = piece(b"x" * 65_536)

    async def respond(exchange: Exchange) -> None:
        await exchange.send(head(content_type=stream.content_type, transfer_encoding="chunked"), piece(b"data: "))
        for _ in range(1_000):
            await exchange.send(block)

    async with open_session() as session, answered_by(variant, respond) as call:
        tracemalloc.start()
        try:
            error = await failure(session, call, stream=True)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert error.reason is Reason.PROVIDER_BAD_RESPONSE
    # An event of 10 MiB, and what is made of it to look at it.
    assert peak < 45 * 1024 * 1024


async def test_an_answer_that_is_too_large_ends(variant: Variant) -> None:
    async def respond(exchange: Exchange) -> None:
        await exchange.send(head(transfer_encoding="chunked"))
        for _ in range(100):
            await exchange.send(piece(b" " * 65_536))

    async with open_session(max_answer_bytes=1024 * 1024) as session, answered_by(variant, respond) as call:
        error = await failure(session, call, stream=False)
    assert error.reason is Reason.PROVIDER_BAD_RESPONSE


def test_every_variant_has_a_stream_of_a_known_format() -> None:
    assert {kept(each).answers.stream_format.content_type for each in VARIANTS.values()} == set(_EVENT_END)
