"""How the process learns of changes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack
from functools import partial
from typing import Any

import pytest

from libs.core.clock import SystemClock
from libs.core.errors import Internal, Unavailable
from services.provider_config.domain import snapshot_feed
from services.provider_config.domain.create_provider import create_provider
from services.provider_config.domain.snapshot import Heartbeat, Snapshot, SnapshotDelta
from services.provider_config.domain.snapshot_feed import SnapshotFeed
from services.provider_config.domain.snapshot_stream import SnapshotStream
from tests.unit.provider_config.builders import ACME, creation
from tests.unit.provider_config.memory_store import MemoryStore


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
async def changed() -> asyncio.Event:
    return asyncio.Event()


@pytest.fixture
async def feed(store: MemoryStore, changed: asyncio.Event) -> AsyncIterator[SnapshotFeed]:
    feed = SnapshotFeed(store, changed=changed, clock=SystemClock())
    feed.start()
    yield feed
    await feed.close()


async def _snapshot(stream: SnapshotStream) -> Snapshot | SnapshotDelta:
    async with asyncio.timeout(5):
        async for news in stream.news():
            if not isinstance(news, Heartbeat):
                return news
    raise AssertionError("the stream ended")


async def _change(store: MemoryStore, name: str) -> None:
    await store.write(partial(create_provider, command=creation(name)))


async def test_without_a_stream_the_database_is_left_alone(feed: SnapshotFeed, store: MemoryStore) -> None:
    await asyncio.sleep(0.6)
    assert store.reads == 0
    with feed.open() as stream:
        stream.asked(watch=[ACME])
        await _snapshot(stream)
    await asyncio.sleep(0.3)
    reads = store.reads
    await asyncio.sleep(0.6)
    assert store.reads == reads


async def test_all_streams_share_one_poll(feed: SnapshotFeed, store: MemoryStore) -> None:
    with feed.open(), feed.open(), feed.open():
        await asyncio.sleep(0.6)
        assert 1 <= store.reads <= 4


async def test_a_change_by_another_process_is_found(feed: SnapshotFeed, store: MemoryStore) -> None:
    with feed.open() as one, feed.open() as two:
        for stream in (one, two):
            stream.asked(watch=[ACME])
            assert (await _snapshot(stream)).revision == 0
        await _change(store, "a")
        for stream in (one, two):
            assert (await _snapshot(stream)).revision == 1


async def test_a_change_by_this_process_is_not_waited_for(
    feed: SnapshotFeed, store: MemoryStore, changed: asyncio.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot_feed, "_POLL_INTERVAL_S", 60)
    with feed.open() as stream:
        stream.asked(watch=[ACME])
        await _snapshot(stream)
        await asyncio.sleep(0.05)
        await _change(store, "a")
        changed.set()
        assert (await _snapshot(stream)).revision == 1


async def test_a_change_between_the_first_read_and_the_first_poll_is_sent(
    feed: SnapshotFeed, store: MemoryStore
) -> None:
    with feed.open() as stream:
        stream.asked(watch=[ACME])
        # No poll has run yet: the feed's own task has not had its turn.
        assert (await _snapshot(stream)).revision == 0
        await _change(store, "a")
        assert (await _snapshot(stream)).revision == 1


async def test_a_lost_database_ends_every_stream_and_a_new_one_works_afterwards(
    feed: SnapshotFeed, store: MemoryStore
) -> None:
    with feed.open() as one, feed.open() as two:
        one.asked(watch=[ACME])
        await _snapshot(one)
        store.failure = Unavailable("DATABASE_UNAVAILABLE", "down")
        for stream in (one, two):
            with pytest.raises(Unavailable):
                await _snapshot(stream)
    store.failure = None
    with feed.open() as stream:
        stream.asked(watch=[ACME])
        await _snapshot(stream)
        await _change(store, "a")
        assert (await _snapshot(stream)).revision == 1


async def test_a_silent_database_ends_the_streams(
    feed: SnapshotFeed, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang(work: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(snapshot_feed, "_POLL_TIMEOUT_S", 0.05)
    monkeypatch.setattr(store, "read", hang)
    with feed.open() as stream, pytest.raises(Unavailable) as caught:
        await _snapshot(stream)
    assert caught.value.reason == "DATABASE_UNAVAILABLE"


async def test_a_defect_ends_the_streams_and_tells_nothing(
    feed: SnapshotFeed, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def crash(work: object) -> None:
        raise ValueError("secret")

    with monkeypatch.context() as patch:
        patch.setattr(store, "read", crash)
        with feed.open() as stream, pytest.raises(Internal) as caught:
            await _snapshot(stream)
    assert "secret" not in str(caught.value)
    with feed.open() as stream:
        stream.asked(watch=[ACME])
        await _snapshot(stream)


async def test_a_database_that_went_back_counts_on_and_everything_is_sent_again(
    feed: SnapshotFeed, store: MemoryStore
) -> None:
    for name in ("a", "b"):
        await _change(store, name)
    with feed.open() as one, feed.open() as two:
        for stream in (one, two):
            stream.asked(watch=[ACME])
            assert (await _snapshot(stream)).revision == 2
        await asyncio.sleep(0.05)
        store.forget_everything()
        await _change(store, "c")
        for stream in (one, two):
            # What is there may come once before that.
            while (news := await _snapshot(stream)).revision <= 2:
                pass
            assert isinstance(news, Snapshot)
            assert [each.provider.name.provider for each in news.providers] == ["c"]
        await _change(store, "d")
        assert isinstance(await _snapshot(one), SnapshotDelta)


async def test_a_router_that_knows_more_than_the_database_makes_it_count_on(
    feed: SnapshotFeed, store: MemoryStore
) -> None:
    await _change(store, "a")
    with feed.open() as stream:
        stream.asked(resume={ACME: 50})
        news = await _snapshot(stream)
        assert (type(news), news.revision) == (Snapshot, 1)
        news = await _snapshot(stream)
        assert (type(news), news.revision) == (Snapshot, 51)


async def test_a_router_that_tells_nonsense_is_sent_everything_and_changes_nothing(
    feed: SnapshotFeed, store: MemoryStore
) -> None:
    await _change(store, "a")
    with feed.open() as stream:
        stream.asked(resume={ACME: 2**63 - 1})
        news = await _snapshot(stream)
        assert (type(news), news.revision) == (Snapshot, 1)
        await _change(store, "b")
        news = await _snapshot(stream)
        assert (type(news), news.revision) == (SnapshotDelta, 2)


async def test_a_database_that_went_back_and_takes_no_writes_is_told_of_all_the_same(
    feed: SnapshotFeed, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(work: object) -> None:
        raise Unavailable("DATABASE_READ_ONLY", "no writes")

    await _change(store, "a")
    with feed.open() as stream:
        stream.asked(watch=[ACME])
        await _snapshot(stream)
        await asyncio.sleep(0.05)
        store.forget_everything()
        monkeypatch.setattr(store, "write", refuse)
        news = await _snapshot(stream)
        assert (type(news), news.revision) == (Snapshot, 0)
        # And the stream lives on.
        await asyncio.sleep(0.3)
        async with asyncio.timeout(5):
            assert isinstance(await anext(stream.news()), Heartbeat)


async def test_streams_leave_most_readers_of_the_database_to_others(
    store: MemoryStore, changed: asyncio.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading = most = 0
    read = store.read

    async def slow_read(work: Any) -> Any:
        nonlocal reading, most
        reading += 1
        most = max(most, reading)
        await asyncio.sleep(0.005)
        reading -= 1
        return await read(work)

    monkeypatch.setattr(store, "read", slow_read)
    # Not started: no poll of its own.
    feed = SnapshotFeed(store, changed=changed, clock=SystemClock())
    with ExitStack() as streams:
        opened = [streams.enter_context(feed.open()) for _ in range(8)]
        for stream in opened:
            stream.asked(watch=[ACME])
        await asyncio.gather(*map(_snapshot, opened))
    assert most == 2


async def test_closing_ends_open_and_later_streams(feed: SnapshotFeed) -> None:
    with feed.open() as early:
        await feed.close()
        assert [news async for news in early.news()] == []
    with feed.open() as late:
        assert [news async for news in late.news()] == []
