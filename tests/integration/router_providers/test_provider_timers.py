"""Silence in every phase of a call ends by the timer of that phase."""

import asyncio
import contextlib
import socket

import pytest

from services.router.domain.configuration import ProviderTimeouts
from services.router.domain.errors import Reason
from services.router.domain.generation import Finished, FinishReason, TextDelta
from tests.integration.router_providers.wire import (
    FINISH,
    STREAM_HEAD,
    Answer,
    Exchange,
    delta,
    dispatch,
    failure,
    open_session,
    piece,
    serving,
    streamed,
    whole,
)


async def silent(exchange: Exchange) -> None:
    await exchange.client_gone()


async def only_a_head(exchange: Exchange) -> None:
    await exchange.send(STREAM_HEAD)
    await exchange.client_gone()


async def only_a_beginning(exchange: Exchange) -> None:
    await exchange.send(STREAM_HEAD, piece(delta("Hi")))
    await exchange.client_gone()


async def half_a_body(exchange: Exchange) -> None:
    await exchange.send(whole({"choices": []})[:-5])
    await exchange.client_gone()


@pytest.mark.parametrize(
    ("answer", "stream", "timer"),
    [
        (silent, True, "first_event"),
        (silent, False, "first_event"),
        (only_a_head, True, "first_event"),
        (only_a_beginning, True, "idle"),
        (half_a_body, False, "first_event"),
    ],
)
async def test_silence_ends_by_the_timer_of_its_phase(answer: Answer, stream: bool, timer: str) -> None:
    idle_s = 0.05 if timer == "idle" else 10
    first_event_s = 0.05 if timer == "first_event" else 10
    async with open_session(first_event_s=first_event_s, idle_s=idle_s) as session, serving(answer) as server:
        error = await failure(session, dispatch(server.base_url), stream=stream)
    assert (error.reason, error.timer, error.sent) == (Reason.PROVIDER_TIMEOUT, timer, True)


async def dribbling(exchange: Exchange) -> None:
    await exchange.send(STREAM_HEAD)
    while True:
        await exchange.send(piece(delta("Hi")))
        await asyncio.sleep(0.005)


@pytest.mark.parametrize(
    ("answer", "stream", "timer"),
    [
        (silent, True, "first_event"),
        (half_a_body, False, "first_event"),
        (only_a_beginning, True, "idle"),
        (silent, True, "total"),
        (half_a_body, False, "total"),
        (only_a_beginning, True, "total"),
        (dribbling, True, "total"),
    ],
)
async def test_a_provider_has_timers_of_its_own(answer: Answer, stream: bool, timer: str) -> None:
    timeouts = ProviderTimeouts(**{f"{timer}_s": 0.1})
    async with open_session() as session, serving(answer) as server:
        error = await failure(session, dispatch(server.base_url, timeouts=timeouts), stream=stream)
    assert (error.reason, error.timer, error.sent) == (Reason.PROVIDER_TIMEOUT, timer, True)


async def test_a_providers_longer_timer_holds_too() -> None:
    async def late(exchange: Exchange) -> None:
        await asyncio.sleep(0.15)
        await exchange.send(whole({"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}))

    timeouts = ProviderTimeouts(first_event_s=10, total_s=10)
    async with open_session(first_event_s=0.05) as session, serving(late) as server:
        assert (await session.generate(dispatch(server.base_url, timeouts=timeouts))).text == "Hi"


async def test_the_first_event_timer_runs_from_the_call_not_from_the_head() -> None:
    loop = asyncio.get_running_loop()
    answered = 0.0

    async def late_head(exchange: Exchange) -> None:
        nonlocal answered
        await asyncio.sleep(0.05)
        answered = loop.time()
        await only_a_head(exchange)

    async with open_session(first_event_s=10) as session, serving(late_head) as server:
        stream = await session.stream(dispatch(server.base_url))
        deadline = stream._deadlines.first_event
        stream.close()
    assert deadline is not None
    assert deadline < answered + 10


async def test_a_silence_after_the_finish_reason_does_not_spoil_the_answer() -> None:
    async def answer(exchange: Exchange) -> None:
        await exchange.send(STREAM_HEAD, piece(delta("Hi") + FINISH))
        await exchange.client_gone()

    async with open_session(idle_s=0.05) as session, serving(answer) as server:
        events = await streamed(session, dispatch(server.base_url))
    finish = Finished(finish_reason=FinishReason.STOP, raw_finish_reason="stop", usage=None)
    assert events == [TextDelta("Hi"), finish]


async def test_a_host_that_takes_no_connection_ends_by_the_connect_timer() -> None:
    with socket.socket() as listening, contextlib.ExitStack() as waiting:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        address = listening.getsockname()
        for _ in range(3):
            # They fill the queue that nobody empties: the kernel lets whoever comes now wait.
            other = waiting.enter_context(socket.socket())
            other.setblocking(False)
            other.connect_ex(address)
        base_url = f"http://127.0.0.1:{address[1]}/v1"
        async with open_session(connect_s=0.2) as session:
            error = await failure(session, dispatch(base_url), stream=False)
        async with open_session() as session:
            own = await failure(session, dispatch(base_url, timeouts=ProviderTimeouts(connect_s=0.2)), stream=False)
    for each in (error, own):
        assert (each.reason, each.timer, each.sent) == (Reason.PROVIDER_TIMEOUT, "connect", False)
