"""Damaged and arbitrary bytes: nothing but a ProviderError ever comes out."""

import contextlib
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from services.router.domain.errors import ProviderError
from tests.integration.router_providers.wire import (
    DONE,
    END,
    FINISH,
    STREAM_HEAD,
    USAGE,
    Exchange,
    delta,
    dispatch,
    head,
    open_session,
    piece,
    serving,
    streamed,
    whole,
)

GOOD = b'{"choices":[{"message":{"content":"Hi"},"finish_reason":"stop"}]}'
UNTIL_CLOSE = head(content_type="text/event-stream", connection="close")

CORPUS = [
    whole(GOOD),
    STREAM_HEAD + piece(delta("Hi")) + piece(FINISH + USAGE) + piece(DONE) + END,
    whole({"error": {"message": "x", "code": "y"}}, 429, retry_after="3"),
    UNTIL_CLOSE + delta("Hi") + FINISH + DONE,
]


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(CORPUS), st.randoms(use_true_random=False), st.integers(1, 8), st.booleans())
async def test_damaged_responses_end_in_an_answer_or_a_provider_error(
    response: bytes, chance: random.Random, damages: int, stream: bool
) -> None:
    await respond_with(_damaged(response, chance, damages), stream=stream)


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=300), st.booleans(), st.sampled_from([b"", STREAM_HEAD, UNTIL_CLOSE, b"HTTP/1.1 200 OK\r\n"]))
async def test_any_bytes_end_in_an_answer_or_a_provider_error(data: bytes, stream: bool, start: bytes) -> None:
    await respond_with(start + data, stream=stream)


async def respond_with(response: bytes, *, stream: bool) -> None:
    async def answer(exchange: Exchange) -> None:
        await exchange.send(response)
        exchange.cut()

    async with open_session(first_event_s=2, idle_s=2) as session, serving(answer) as server:
        call = dispatch(server.base_url)
        with contextlib.suppress(ProviderError):
            await (streamed(session, call) if stream else session.generate(call))


def _damaged(data: bytes, chance: random.Random, damages: int) -> bytes:
    damaged = bytearray(data)
    for _ in range(damages):
        place = chance.randrange(len(damaged))
        match chance.randrange(4):
            case 0:
                damaged[place] = chance.randrange(256)
            case 1:
                del damaged[place : place + chance.randrange(1, 20)]
            case 2:
                damaged[place:place] = bytes(chance.choices(b'\r\n:{}[]"0\x00\xff', k=chance.randrange(1, 6)))
            case _:
                del damaged[place:]
        damaged = damaged or bytearray(b"x")
    return bytes(damaged)
