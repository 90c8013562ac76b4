"""What a provider can do to an answer under way: every failure is a ProviderError with its reason."""

import asyncio
import gzip
import itertools
import tracemalloc
from collections.abc import AsyncIterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.core.money import TokenCounts
from services.router.domain.errors import ProviderError, Reason
from services.router.domain.generation import Finished, FinishReason, ProviderEvent, TextDelta
from services.router.providers.http.session import HttpProviderSession
from tests.integration.router_providers.wire import (
    DONE,
    END,
    FINISH,
    STREAM_HEAD,
    USAGE,
    Answer,
    Exchange,
    answering,
    delta,
    dispatch,
    event,
    failure,
    head,
    open_session,
    piece,
    reading,
    serving,
    streaming,
    whole,
)

COUNTS = TokenCounts(input_tokens=3, output_tokens=2)
GOOD = b'{"choices":[{"message":{"content":"Hi"},"finish_reason":"stop"}]}'
ERROR = event({"error": {"message": "busy", "code": "rate_limit_exceeded"}})
UNTIL_CLOSE = head(content_type="text/event-stream", connection="close")


def finished(usage: TokenCounts | None = COUNTS) -> Finished:
    return Finished(finish_reason=FinishReason.STOP, raw_finish_reason="stop", usage=usage)


@pytest.fixture
async def session() -> AsyncIterator[HttpProviderSession]:
    async with open_session() as running:
        yield running


async def outcome(session: HttpProviderSession, base_url: str) -> tuple[list[ProviderEvent], ProviderError | None]:
    """The events of a stream and how it failed, if it did."""
    events: list[ProviderEvent] = []
    try:
        async for more in reading(session, dispatch(base_url)):
            events += more
    except ProviderError as error:
        return events, error
    return events, None


async def played(session: HttpProviderSession, answer: Answer) -> tuple[list[ProviderEvent], ProviderError | None]:
    async with serving(answer) as server:
        return await outcome(session, server.base_url)


@pytest.mark.parametrize(
    ("events", "usage"),
    [
        ((delta("Hi"), FINISH, USAGE, DONE), COUNTS),
        ((delta("Hi"), FINISH, USAGE), COUNTS),
        ((delta("Hi"), FINISH, DONE), None),
        ((delta("Hi"), FINISH), None),
        ((delta("Hi"), USAGE, FINISH, DONE), COUNTS),
        ((b": keep-alive\n\n", delta("Hi"), b": again\n\n", FINISH, USAGE, DONE), COUNTS),
        ((delta("Hi"), FINISH, USAGE, DONE.strip()), COUNTS),
        ((delta("Hi"), FINISH, USAGE.strip()), COUNTS),
    ],
)
async def test_a_whole_answer_in_any_of_its_endings(
    session: HttpProviderSession, events: tuple[bytes, ...], usage: TokenCounts | None
) -> None:
    assert await played(session, streaming(*events)) == ([TextDelta("Hi"), finished(usage)], None)
    in_one = streaming(b"".join(events))
    assert await played(session, in_one) == ([TextDelta("Hi"), finished(usage)], None)


@pytest.mark.parametrize(
    "events", [(delta("Hi"),), (delta("Hi"), USAGE), (delta("Hi"), DONE), (delta("Hi"), delta("lost")[:-20])]
)
async def test_an_end_without_a_finish_reason_is_an_interruption(
    session: HttpProviderSession, events: tuple[bytes, ...]
) -> None:
    for answer in (streaming(*events), answering(UNTIL_CLOSE + b"".join(events)), streaming(*events, end=b"")):

        async def cut(exchange: Exchange, answer: Answer = answer) -> None:
            await answer(exchange)
            exchange.cut()

        content, error = await played(session, cut)
        assert content == [TextDelta("Hi")]
        assert error is not None
        assert (error.reason, error.sent) == (Reason.PROVIDER_UNREACHABLE, True)


@pytest.mark.parametrize("lost", [b"", USAGE[:-30], USAGE[:3]])
async def test_an_answer_that_lost_only_its_usage_is_an_answer(session: HttpProviderSession, lost: bytes) -> None:
    for start in (STREAM_HEAD + piece(delta("Hi") + FINISH + lost), UNTIL_CLOSE + delta("Hi") + FINISH + lost):

        async def cut(exchange: Exchange, start: bytes = start) -> None:
            await exchange.send(start)
            exchange.cut()

        assert await played(session, cut) == ([TextDelta("Hi"), finished(None)], None)


@pytest.mark.parametrize(
    ("last", "reason"),
    [
        (ERROR, Reason.PROVIDER_RATE_LIMITED),
        (event({"error": {"message": "x"}}), Reason.PROVIDER_ERROR),
        (event(b'{"choices":[{"delta":{"content":"half a wo'), Reason.PROVIDER_BAD_RESPONSE),
        (event(b"[1]"), Reason.PROVIDER_BAD_RESPONSE),
        (event(b"[" * 5_000), Reason.PROVIDER_BAD_RESPONSE),
        (event(b"\xff\xfe"), Reason.PROVIDER_BAD_RESPONSE),
        (event(b"<html>"), Reason.PROVIDER_BAD_RESPONSE),
    ],
)
@pytest.mark.parametrize("split", [True, False], ids=["in packets of their own", "in one packet"])
async def test_a_failure_comes_after_what_came_before_it_however_the_bytes_are_split(
    session: HttpProviderSession, last: bytes, reason: Reason, split: bool
) -> None:
    events = (delta("H"), delta("i"), last, FINISH, DONE)
    content, error = await played(session, streaming(*events) if split else streaming(b"".join(events)))
    assert content == [TextDelta("H"), TextDelta("i")]
    assert error is not None
    assert (error.reason, error.status, error.sent) == (reason, 200, True)


@pytest.mark.parametrize("way", ["cut", "reset"])
async def test_what_arrived_before_a_break_is_read_even_if_nobody_was_waiting(
    session: HttpProviderSession, way: str
) -> None:
    done = asyncio.Event()

    async def answer(exchange: Exchange) -> None:
        await exchange.send(STREAM_HEAD, piece(delta("Hi")), piece(delta(" there")))
        if way == "reset":
            # A reset overtakes what is still in the server's buffers.
            await asyncio.sleep(0.05)
            exchange.reset()
        else:
            exchange.cut()
        done.set()

    async with serving(answer) as server:
        stream = await session.stream(dispatch(server.base_url))
        await done.wait()
        await asyncio.sleep(0.05)
        assert await stream.read() == [TextDelta("Hi"), TextDelta(" there")]
        with pytest.raises(ProviderError) as caught:
            await stream.read()
        stream.close()
    assert (caught.value.reason, caught.value.sent) == (Reason.PROVIDER_UNREACHABLE, True)


async def test_reading_on_after_the_end_gives_nothing(session: HttpProviderSession) -> None:
    async with serving(streaming(delta("Hi"), FINISH, DONE)) as server:
        stream = await session.stream(dispatch(server.base_url))
        while not isinstance((await stream.read())[-1], Finished):
            pass
        assert await stream.read() == []
        stream.close()


TEXT = "Hé €"
PLAIN = delta(TEXT) + delta("!") + FINISH + USAGE + DONE
SPELLINGS = [
    PLAIN,
    PLAIN.replace(b"\n", b"\r\n"),
    PLAIN.replace(b"data: ", b"data:"),
    b": a\n: b\nevent: x\nid: 1\n" + PLAIN.replace(b',"', b',\ndata: "'),
]


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(SPELLINGS), st.lists(st.integers(0, 500), max_size=12))
async def test_any_split_of_the_bytes_gives_the_same_answer(wire: bytes, cuts: list[int]) -> None:
    places = sorted({cut % len(wire) for cut in cuts} | {0, len(wire)})
    pieces = [piece(wire[start:stop]) for start, stop in itertools.pairwise(places)]

    async def answer(exchange: Exchange) -> None:
        await exchange.send(STREAM_HEAD, *pieces, END)

    async with open_session() as session:
        events, error = await played(session, answer)
    assert error is None
    assert events[-1] == finished()
    assert "".join(each.text for each in events[:-1] if isinstance(each, TextDelta)) == f"{TEXT}!"


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (whole(b"<html>It works!</html>", content_type="text/html"), Reason.PROVIDER_BAD_RESPONSE),
        (whole(b"hello", content_type="text/plain"), Reason.PROVIDER_BAD_RESPONSE),
        (whole({"choices": []}), Reason.PROVIDER_BAD_RESPONSE),
        (whole({"error": {"code": "rate_limit_exceeded"}}), Reason.PROVIDER_RATE_LIMITED),
        (whole({"error": {"message": "x"}}), Reason.PROVIDER_ERROR),
        (whole(b"", 204), Reason.PROVIDER_BAD_RESPONSE),
        (
            whole(gzip.compress(delta("Hi") + FINISH), content_encoding="gzip", content_type="text/event-stream"),
            Reason.PROVIDER_BAD_RESPONSE,
        ),
        (whole(b"x", 503), Reason.PROVIDER_OVERLOADED),
        (b"SSH-2.0-OpenSSH_9.9\r\n", Reason.PROVIDER_BAD_RESPONSE),
        (b"HTTP/1.1 abc\r\n\r\n", Reason.PROVIDER_BAD_RESPONSE),
        (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000 + b"\r\n\r\n", Reason.PROVIDER_BAD_RESPONSE),
        (STREAM_HEAD + b"zz\r\nnonsense\r\n", Reason.PROVIDER_BAD_RESPONSE),
    ],
)
async def test_an_answer_that_is_no_stream_is_refused(
    session: HttpProviderSession, response: bytes, reason: Reason
) -> None:
    async with serving(answering(response)) as server:
        error = await failure(session, dispatch(server.base_url), stream=True)
    assert error.reason is reason


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (whole(b"<html>It works!</html>", content_type="text/html"), Reason.PROVIDER_BAD_RESPONSE),
        (whole(b""), Reason.PROVIDER_BAD_RESPONSE),
        (whole(b"[" * 100_000), Reason.PROVIDER_BAD_RESPONSE),
        (whole(b"[]"), Reason.PROVIDER_BAD_RESPONSE),
        (whole({"choices": []}), Reason.PROVIDER_BAD_RESPONSE),
        (whole({"error": {"code": 429}}), Reason.PROVIDER_RATE_LIMITED),
        (whole(gzip.compress(GOOD), content_encoding="gzip"), Reason.PROVIDER_BAD_RESPONSE),
        (whole({"error": {"message": "x"}}, 500), Reason.PROVIDER_ERROR),
    ],
)
async def test_a_whole_answer_that_is_none_is_refused(
    session: HttpProviderSession, response: bytes, reason: Reason
) -> None:
    async with serving(answering(response)) as server:
        error = await failure(session, dispatch(server.base_url), stream=False)
    assert error.reason is reason


@pytest.mark.parametrize("way", ["cut", "reset"])
async def test_a_whole_answer_that_breaks_off_is_unreachable_and_may_cost(
    session: HttpProviderSession, way: str
) -> None:
    async def answer(exchange: Exchange) -> None:
        await exchange.send(whole({"choices": []})[:-5])
        exchange.cut() if way == "cut" else exchange.reset()

    async with serving(answer) as server:
        error = await failure(session, dispatch(server.base_url), stream=False)
    assert (error.reason, error.sent) == (Reason.PROVIDER_UNREACHABLE, True)


@pytest.mark.parametrize("stream", [True, False])
async def test_the_status_counts_even_when_its_explanation_is_cut(session: HttpProviderSession, stream: bool) -> None:
    async def answer(exchange: Exchange) -> None:
        await exchange.send(whole({"error": {"message": "x"}}, 429, retry_after="3")[:-5])
        exchange.cut()

    async with serving(answer) as server:
        error = await failure(session, dispatch(server.base_url), stream=stream)
    assert (error.reason, error.retry_after_s) == (Reason.PROVIDER_RATE_LIMITED, 3.0)


@pytest.mark.parametrize("stream", [True, False])
async def test_an_explanation_in_several_packets_is_read_whole(session: HttpProviderSession, stream: bool) -> None:
    response = whole({"error": {"message": "x", "code": "context_length_exceeded"}}, 400)

    async def answer(exchange: Exchange) -> None:
        await exchange.send(response[:-30])
        await asyncio.sleep(0.02)
        await exchange.send(response[-30:])

    async with serving(answer) as server:
        error = await failure(session, dispatch(server.base_url), stream=stream)
    assert error.reason is Reason.CONTEXT_TOO_LONG


@pytest.mark.parametrize("stream", [True, False])
async def test_an_endless_explanation_is_not_read_to_its_end(session: HttpProviderSession, stream: bool) -> None:
    async def answer(exchange: Exchange) -> None:
        await exchange.send(head(500, transfer_encoding="chunked"))
        while True:
            await exchange.send(piece(b"x" * 65_536))

    async with serving(answer) as server:
        error = await failure(session, dispatch(server.base_url), stream=stream)
    assert error.reason is Reason.PROVIDER_ERROR


@pytest.mark.parametrize(
    "endless", [b"x" * 65_536, b"data: " + b"x" * 65_536 + b"\n", b"data:\n" * 10_000], ids=["line", "event", "lines"]
)
async def test_an_endless_event_ends_in_an_error_with_bounded_memory(
    session: HttpProviderSession, endless: bytes
) -> None:
    async def answer(exchange: Exchange) -> None:
        await exchange.send(STREAM_HEAD)
        while True:
            await exchange.send(piece(endless))

    tracemalloc.start()
    try:
        content, error = await played(session, answer)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert content == []
    assert error is not None
    assert error.reason is Reason.PROVIDER_BAD_RESPONSE
    assert peak < 32 * 1024 * 1024


async def test_a_whole_answer_over_the_limit_is_refused() -> None:
    async def answer(exchange: Exchange) -> None:
        await exchange.send(head(transfer_encoding="chunked"), piece(GOOD))
        for _ in range(40):
            await exchange.send(piece(b" " * 65_536))
        await exchange.send(END)

    async with open_session(max_answer_bytes=1_000_000) as session, serving(answer) as server:
        error = await failure(session, dispatch(server.base_url), stream=False)
    assert (error.reason, error.sent) == (Reason.PROVIDER_BAD_RESPONSE, True)


async def test_a_slow_reader_holds_the_provider_back(session: HttpProviderSession) -> None:
    sent = 0

    async def answer(exchange: Exchange) -> None:
        nonlocal sent
        await exchange.send(STREAM_HEAD)
        while sent < 200:
            await exchange.send(piece(delta("x" * 100_000)))
            sent += 1
        await exchange.send(piece(FINISH + DONE), END)

    async with serving(answer) as server:
        stream = await session.stream(dispatch(server.base_url))
        await stream.read()
        last = -1
        while last != sent:
            last = sent
            await asyncio.sleep(0.1)
        assert sent < 200
        while not isinstance((await stream.read())[-1], Finished):
            pass
        stream.close()
    assert sent == 200
