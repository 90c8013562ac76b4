"""What a router is told, and when."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

import pytest

from libs.core.errors import InvalidArgument, Unavailable
from libs.core.resource_names import Owner
from services.provider_config.domain import snapshot_stream
from services.provider_config.domain.snapshot import Heartbeat, Snapshot, SnapshotDelta
from services.provider_config.domain.snapshot_stream import SnapshotStream
from tests.unit.provider_config.memory_store import FakeClock

_ACME, _OTHER, _THIRD = Owner("acme"), Owner("other"), Owner("third")


class Router:
    """One end of a stream, with a database that is only revisions."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.revision = 5
        self.last: dict[Owner, int] = {}
        self.reads: list[tuple[Owner, int]] = []
        self.checks: list[dict[Owner, int]] = []
        self.while_reading: Callable[[], None] = lambda: None
        self.stream = SnapshotStream(self, self.clock)
        self._news: AsyncIterator[Any] = self.stream.news()

    async def news_of(self, scope: Owner, *, since: int) -> Snapshot | SnapshotDelta:
        self.reads.append((scope, since))
        read_at = self.revision
        self.while_reading()
        if 0 <= since <= read_at:
            return SnapshotDelta(scope=scope, from_revision=since, revision=read_at)
        return Snapshot(scope=scope, revision=read_at, providers=())

    async def unchanged(self, held: Mapping[Owner, int]) -> AbstractSet[Owner]:
        self.checks.append(dict(held))
        answer = {scope for scope, sent in held.items() if self.last.get(scope, 0) <= sent <= self.revision}
        self.while_reading()
        return answer

    def watch(self, *scopes: Owner) -> None:
        self.stream.asked(watch=scopes)

    def change(self, scope: Owner) -> None:
        self.revision += 1
        self.last[scope] = self.revision
        self.stream.polled(self.revision, {scope: self.revision})

    async def next(self) -> str:
        """`acme@7` for a snapshot, `acme@5-7` for a delta, `beat@7/2` for a heartbeat that knows of two requests."""
        async with asyncio.timeout(1):
            news = await anext(self._news)
        match news:
            case Heartbeat():
                return f"beat@{news.revision}/{news.requests}"
            case SnapshotDelta():
                return f"{news.scope.tenant}@{news.from_revision}-{news.revision}"
            case _:
                return f"{news.scope.tenant}@{news.revision}"

    async def next_of(self, count: int) -> list[str]:
        return [await self.next() for _ in range(count)]

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
    router.watch(_ACME)
    assert await router.next() == "acme@5"
    router.watch(_ACME)
    assert await router.is_silent()


async def test_a_change_is_sent_as_what_changed_and_then_vouched_for(router: Router) -> None:
    router.watch(_ACME)
    await router.next()
    router.change(_ACME)
    assert await router.next_of(2) == ["acme@5-6", "beat@6/1"]


async def test_a_change_of_another_scope_is_only_vouched_for(router: Router) -> None:
    router.watch(_ACME)
    await router.next()
    router.change(_OTHER)
    assert await router.next() == "beat@6/1"
    assert router.reads == [(_ACME, -1)]


async def test_changes_while_the_router_is_slow_are_sent_once(router: Router) -> None:
    router.watch(_ACME)
    await router.next()
    for _ in range(100):
        router.change(_ACME)
    assert await router.next_of(2) == ["acme@5-105", "beat@105/1"]
    assert len(router.reads) == 2


async def test_a_change_during_the_read_is_sent_too(router: Router) -> None:
    def change_once() -> None:
        router.while_reading = lambda: None
        router.change(_ACME)

    router.while_reading = change_once
    router.watch(_ACME)
    assert await router.next_of(3) == ["acme@5", "acme@5-6", "beat@6/1"]


async def test_a_change_that_was_read_already_is_not_sent_again(router: Router) -> None:
    router.watch(_ACME)
    router.revision = 6
    assert await router.next() == "acme@6"
    router.stream.polled(6, {_ACME: 6})
    assert await router.next() == "beat@6/1"


async def test_nothing_is_vouched_for_before_it_is_sent(router: Router) -> None:
    router.watch(_ACME)
    router.watch(_OTHER, _THIRD)
    router.stream.polled(5, {})
    router.clock.seconds = 9
    assert await router.next_of(2) == ["beat@5/0", "acme@5"]
    for beat in ("beat@5/1", "beat@5/1"):
        router.stream.polled(5, {})
        router.clock.seconds += 1
        assert await router.next() == beat
        await router.next()
    router.stream.polled(5, {})
    assert await router.next() == "beat@5/2"


async def test_a_scope_that_changes_all_the_time_keeps_nobody_from_knowing_of_other_changes(router: Router) -> None:
    router.watch(_ACME, _OTHER)
    await router.next_of(2)
    router.stream.polled(5, {})
    assert await router.next() == "beat@5/1"

    def change_again() -> None:
        router.change(_ACME)
        router.clock.seconds += 0.3

    router.while_reading = change_again
    router.change(_ACME)
    told = await router.next_of(10)
    beats = [int(each[5:-2]) for each in told if each.startswith("beat")]
    # Every other change takes it over half a second; the one after each is yet to be sent.
    assert beats == [7, 9, 11], told
    router.change(_OTHER)
    router.while_reading = lambda: None
    told = await router.next_of(3)
    assert told[2] == "beat@14/1"


async def test_a_change_of_what_was_sent_does_not_wait_for_all_that_is_new(router: Router) -> None:
    router.watch(_ACME)
    await router.next()
    router.watch(*(Owner(f"t{number}") for number in range(1000)))
    router.change(_ACME)
    told = await router.next_of(4)
    assert told.index("acme@5-6") < 3
    assert "beat@6/1" in told


async def test_what_is_new_does_not_wait_for_all_changes(router: Router) -> None:
    many = [Owner(f"t{number}") for number in range(100)]
    router.watch(*many)
    await router.next_of(100)
    for scope in many:
        router.change(scope)
    router.watch(_ACME)
    told = [each for each in await router.next_of(4) if not each.startswith("beat")]
    assert "acme@105" in told


async def test_of_what_a_router_resumes_only_what_changed_is_sent(router: Router) -> None:
    router.last = {_ACME: 2, _OTHER: 4}
    router.stream.asked(resume={_ACME: 3, _OTHER: 3, _THIRD: 3})
    router.stream.polled(5, {})
    assert await router.next_of(2) == ["other@3-5", "beat@5/1"]
    assert await router.is_silent()
    router.change(_ACME)
    assert await router.next() == "acme@3-6"


async def test_what_a_router_resumes_is_compared_in_few_queries(router: Router) -> None:
    router.stream.asked(resume={Owner(f"t{number}"): 3 for number in range(1500)})
    assert await router.is_silent()
    assert [len(asked) for asked in router.checks] == [1000, 500]
    assert router.reads == []


@pytest.mark.parametrize("held", [0, 9])
async def test_a_router_that_resumes_from_an_unknown_revision_is_sent_all(router: Router, held: int) -> None:
    router.stream.asked(resume={_ACME: held})
    assert await router.next() == "acme@5"


async def test_a_change_during_the_comparison_is_sent(router: Router) -> None:
    def change_once() -> None:
        router.while_reading = lambda: None
        router.change(_ACME)

    router.while_reading = change_once
    router.stream.asked(resume={_ACME: 3})
    assert await router.next_of(2) == ["acme@3-6", "beat@6/1"]


async def test_after_a_pause_of_the_polls_all_scopes_are_looked_at(router: Router) -> None:
    router.watch(_ACME, _OTHER)
    await router.next_of(2)
    router.revision = 8
    router.last = {_ACME: 7}
    router.stream.resumed(8)
    assert await router.next_of(2) == ["acme@5-8", "beat@8/1"]


async def test_a_change_found_after_a_pause_is_sent_also_when_an_earlier_one_was_on_its_way(router: Router) -> None:
    def change_and_pause() -> None:
        router.while_reading = lambda: None
        router.stream.polled(5, {_ACME: 5})
        router.revision = router.last[_ACME] = 6
        router.stream.resumed(6)

    router.while_reading = change_and_pause
    router.watch(_ACME)
    assert await router.next_of(3) == ["acme@5", "acme@5-6", "beat@6/1"]


async def test_heartbeats_come_after_polls_only(router: Router) -> None:
    router.clock.seconds = 60
    assert await router.is_silent()
    router.stream.polled(5, {})
    assert await router.next() == "beat@5/0"
    router.stream.polled(5, {})
    assert await router.is_silent()
    router.clock.seconds = 61
    assert await router.next() == "beat@5/0"
    router.clock.seconds = 120
    assert await router.is_silent()


async def test_a_forgotten_scope_is_silent_and_watched_again_is_sent_again(router: Router) -> None:
    router.watch(_ACME)
    await router.next()
    router.stream.asked(forget=[_ACME, _OTHER])
    router.change(_ACME)
    assert await router.next() == "beat@6/2"
    router.watch(_ACME)
    assert await router.next() == "acme@6"


async def test_a_scope_forgotten_and_watched_in_one_request_is_sent_anew(router: Router) -> None:
    router.watch(_ACME)
    await router.next()
    router.stream.asked(forget=[_ACME], watch=[_ACME])
    assert await router.next() == "acme@5"


async def test_a_scope_forgotten_during_the_read_is_not_sent(router: Router) -> None:
    router.while_reading = lambda: router.stream.asked(forget=[_ACME])
    router.watch(_ACME)
    assert await router.is_silent()
    assert router.reads == [(_ACME, -1)]


async def test_a_scope_asked_for_anew_during_the_read_is_read_anew(router: Router) -> None:
    def ask_anew() -> None:
        router.while_reading = lambda: None
        router.stream.asked(forget=[_ACME], watch=[_ACME])

    router.watch(_ACME)
    await router.next()
    router.while_reading = ask_anew
    router.change(_ACME)
    assert await router.next_of(2) == ["beat@6/1", "acme@6"]


async def test_a_failure_ends_the_stream(router: Router) -> None:
    router.stream.fail(Unavailable("DATABASE_UNAVAILABLE", "down"))
    router.stream.fail(Unavailable("DATABASE_BUSY", "later"))
    with pytest.raises(Unavailable, match="down"):
        await router.next()


async def test_a_finished_stream_ends_without_an_error(router: Router) -> None:
    router.stream.finish()
    with pytest.raises(StopAsyncIteration):
        await router.next()


@pytest.mark.parametrize("field", ["watch", "resume"])
async def test_a_stream_watches_a_bounded_number_of_scopes(
    router: Router, monkeypatch: pytest.MonkeyPatch, field: str
) -> None:
    monkeypatch.setattr(snapshot_stream, "MAX_WATCHED_SCOPES", 2)
    router.watch(_ACME, _OTHER, _ACME)
    with pytest.raises(InvalidArgument) as caught:
        router.stream.asked(**{field: {Owner(): 1}})
    assert caught.value.metadata == {"field": field}
