"""A server that hangs up after each stream and does not say so, as llama.cpp's does."""

from __future__ import annotations

from services.router.domain.errors import ProviderError
from tests.integration.router_providers.wire import (
    DONE,
    END,
    FINISH,
    USAGE,
    Exchange,
    delta,
    dispatch,
    head,
    open_session,
    piece,
    serving,
    streamed,
)

STREAMS = 10


async def _hang_up_late(exchange: Exchange) -> None:
    """Serve one stream for each connection: whatever comes after it is read by nobody."""
    closes = exchange.headers.get("connection") == "close"
    said = head(content_type="text/event-stream", transfer_encoding="chunked", connection="close" if closes else "")
    await exchange.send(
        said,
        *map(piece, (delta("Hi"), FINISH, USAGE, DONE)),
        END,
    )
    if not closes:
        await exchange.reader.read(1)
    exchange.cut()


async def _failures(server: str) -> int:
    failed = 0
    async with serving(_hang_up_late) as provider, open_session() as session:
        for _ in range(STREAMS):
            call = dispatch(provider.base_url, dialect="openai_compatible", options={"server": server})
            try:
                await streamed(session, call)
            except ProviderError:
                failed += 1
    return failed


async def test_no_call_is_lost_on_a_connection_that_is_being_closed() -> None:
    assert await _failures("llama_cpp") == 0
    # So the server is as bad as it is meant to be.
    assert await _failures("other") > 0
