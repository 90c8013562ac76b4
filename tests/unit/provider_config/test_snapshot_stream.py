"""What a router is told, and when."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

import pytest

from libs.core.errors import InvalidArgument, Unavailable
from libs.core.resource_names import Owner
from services.provider_config.domain import snapshot_stream
from services.provider_config.domain.snapshot import Heartbeat, Snapshot
from services.provider_config.domain.snapshot_stream import SnapshotStream
from tests.unit.provider_config.memory_store import FakeClock

T = TypeVar("T")
_ACME, _OTHER = Owner("acme"), Owner("other")


class Router:
    """One end of a stream, with a database that is only a revision."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.revision = 5
        self.reads: list[Owner] = []
        self.while_reading: Callable[[], None] = lambda: None
        self.stream = SnapshotStream(self._read, self.clock)
        self._news: AsyncIterator[Any] = self.stream.news()

    async def _read(self, scope: Owner) -> Snapshot:
        self.reads.append(scope)
        read_at = self.revision
        self.while_reading()
        return Snapshot(scope=scope, revision=read_at, providers=())

    def change(self, scope: Owner) -> None:
        self.revision += 1
        self.stream.polled(self.revision, {scope: self.revision})

    async def next(self) -> str:
        """`acme@7` for a snapshot, `beat@7` for a heartbeat."""
        async with asyncio.timeout(1):
            news = await anext(self._news)
        return f"beat@{news.revision}" if isinstance(news, Heartbeat) else f"{news.scope.tenant}@{news.revision}"

    async def is_silent(self) -> bool:
        waiting = asyncio.ensure_future(anext(self._news))
        for _ in range(10):
            await asyncio.sleep(0)
        silent = not waiting.done()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        self._news = self.stream.news()
        return silent


@pytest.fixture
def router() -> Router:
    return Router()


async def test_a_newly_watched_scope_is_sent_once(router: Router) -> None:
    router.stream.watch([_ACME])
    assert await router.next() == "acme@5"
    router.stream.watch([_ACME])
    assert await router.is_silent()


async def test_a_change_is_sent_and_then_vouched_for(router: Router) -> None:
    router.stream.watch([_ACME])
    await router.next()
    router.change(_ACME)
    assert [await router.next(), await router.next()] == ["acme@6", "beat@6"]


async def test_a_change_of_another_scope_is_only_vouched_for(router: Router) -> None:
    router.stream.watch([_ACME])
    await router.next()
    router.change(_OTHER)
    assert await router.next() == "beat@6"
    assert router.reads == [_ACME]


async def test_changes_while_the_router_is_slow_are_sent_once(router: Router) -> None:
    router.stream.watch([_ACME])
    await router.next()
    for _ in range(100):
        router.change(_ACME)
    assert [await router.next(), await router.next()] == ["acme@105", "beat@105"]
    assert len(router.reads) == 2


async def test_a_change_during_the_read_is_sent_too(router: Router) -> None:
    def change_once() -> None:
        router.while_reading = lambda: None
        router.change(_ACME)

    router.while_reading = change_once
    router.stream.watch([_ACME])
    assert [await router.next(), await router.next(), await router.next()] == ["acme@5", "acme@6", "beat@6"]


async def test_a_change_that_was_read_already_is_not_sent_again(router: Router) -> None:
    router.stream.watch([_ACME])
    router.revision = 6
    assert await router.next() == "acme@6"
    router.stream.polled(6, {_ACME: 6})
    assert await router.next() == "beat@6"


async def test_nothing_is_vouched_for_before_it_is_sent(router: Router) -> None:
    router.stream.watch([_ACME, _OTHER])
    router.stream.polled(5, {})
    router.clock.seconds = 9
    assert [await router.next() for _ in range(3)] == ["beat@0", "acme@5", "other@5"]
    router.stream.polled(5, {})
    assert await router.next() == "beat@5"


async def test_after_a_pause_of_the_polls_all_scopes_count_as_changed(router: Router) -> None:
    router.stream.watch([_ACME])
    await router.next()
    router.revision = 8
    router.stream.resumed(8)
    assert [await router.next(), await router.next()] == ["acme@8", "beat@8"]


async def test_heartbeats_come_after_polls_only(router: Router) -> None:
    router.clock.seconds = 60
    assert await router.is_silent()
    router.stream.polled(5, {})
    assert await router.next() == "beat@5"
    router.stream.polled(5, {})
    assert await router.is_silent()
    router.clock.seconds = 61
    assert await router.next() == "beat@5"
    router.clock.seconds = 120
    assert await router.is_silent()


async def test_a_forgotten_scope_is_silent_and_watched_again_is_sent_again(router: Router) -> None:
    router.stream.watch([_ACME])
    await router.next()
    router.stream.forget([_ACME, _OTHER])
    router.change(_ACME)
    assert await router.next() == "beat@6"
    router.stream.watch([_ACME])
    assert await router.next() == "acme@6"


async def test_a_scope_forgotten_during_the_read_is_not_sent(router: Router) -> None:
    router.while_reading = lambda: router.stream.forget([_ACME])
    router.stream.watch([_ACME])
    assert await router.is_silent()
    assert router.reads == [_ACME]


async def test_a_failure_ends_the_stream(router: Router) -> None:
    router.stream.fail(Unavailable("DATABASE_UNAVAILABLE", "down"))
    router.stream.fail(Unavailable("DATABASE_BUSY", "later"))
    with pytest.raises(Unavailable, match="down"):
        await router.next()


async def test_a_finished_stream_ends_without_an_error(router: Router) -> None:
    router.stream.finish()
    with pytest.raises(StopAsyncIteration):
        await router.next()


async def test_a_stream_watches_a_bounded_number_of_scopes(router: Router, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot_stream, "MAX_WATCHED_SCOPES", 2)
    router.stream.watch([_ACME, _OTHER, _ACME])
    with pytest.raises(InvalidArgument) as caught:
        router.stream.watch([Owner()])
    assert caught.value.metadata == {"field": "watch"}
