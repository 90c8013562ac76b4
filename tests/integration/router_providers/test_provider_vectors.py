"""Vectors over the wire: how much of them is read, how long they may take, and what goes on meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import orjson
import pytest

from services.router.domain.embedding import Embedding
from services.router.domain.errors import ProviderError, Reason
from services.router.providers.http.session import HttpProviderSession
from tests.integration.router_providers.wire import (
    Exchange,
    embedding_dispatch,
    open_session,
    serving,
    whole,
)

ONE = Embedding(inputs=("Bread",))
MANY = Embedding(inputs=("Bread",) * 400)


@pytest.fixture
async def session() -> AsyncIterator[HttpProviderSession]:
    async with open_session(first_event_s=5.0) as running:
        yield running


async def failed(session: HttpProviderSession, base_url: str, request: Embedding = ONE) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await session.embed(embedding_dispatch(base_url, request))
    return caught.value


async def test_the_request_says_whose_attempt_it_is(session: HttpProviderSession) -> None:
    async def answer(exchange: Exchange) -> None:
        await exchange.send(whole({"data": [{"index": 0, "embedding": [0.5]}]}))

    async with serving(answer) as server:
        await session.embed(embedding_dispatch(server.base_url, ONE))
    (exchange,) = server.exchanges
    assert (exchange.method, exchange.path) == ("POST", "/v1/embeddings")
    assert exchange.headers["x-gatehouse-attempt"] == "operation/1"
    assert exchange.headers["accept"] == "application/json"


async def test_no_more_is_read_than_vectors_can_take(session: HttpProviderSession) -> None:
    padding = " " * (8 * 1024 * 1024)

    async def answer(exchange: Exchange) -> None:
        count = len(orjson.loads(exchange.body)["input"])
        data = [{"index": place, "embedding": [0.5]} for place in range(count)]
        await exchange.send(whole({"data": data, "padding": padding}))

    async with serving(answer) as server:
        error = await failed(session, server.base_url)
        assert (error.reason, error.sent) == (Reason.PROVIDER_BAD_RESPONSE, True)
        # As many texts may have as much of an answer.
        assert len((await session.embed(embedding_dispatch(server.base_url, MANY))).vectors) == 400


async def test_other_calls_go_on_while_a_long_answer_is_read(
    session: HttpProviderSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = whole({"data": [{"index": place, "embedding": [0.123456789] * 1536} for place in range(400)]})

    async def answer(exchange: Exchange) -> None:
        await exchange.send(body)

    elsewhere: list[str] = []
    to_thread = asyncio.to_thread

    async def spied(work: Callable[..., Any], *arguments: Any) -> Any:
        elsewhere.append(work.__name__)
        return await to_thread(work, *arguments)

    monkeypatch.setattr(asyncio, "to_thread", spied)
    async with serving(answer) as server:
        vectors = await session.embed(embedding_dispatch(server.base_url, MANY))
    assert {len(each) for each in vectors.vectors} == {1536}
    assert elsewhere == ["_decoded"]


async def test_a_silent_provider_times_out() -> None:
    async def answer(exchange: Exchange) -> None:
        await asyncio.sleep(30)

    async with open_session(first_event_s=0.2) as session, serving(answer) as server:
        error = await failed(session, server.base_url)
    assert (error.reason, error.timer) == (Reason.PROVIDER_TIMEOUT, "first_event")


async def test_a_key_that_no_header_can_carry_is_not_sent(session: HttpProviderSession) -> None:
    with pytest.raises(ProviderError) as caught:
        await session.embed(embedding_dispatch("http://127.0.0.1:1/v1", ONE, key="two words"))
    assert caught.value.reason is Reason.PROVIDER_KEY_REJECTED
