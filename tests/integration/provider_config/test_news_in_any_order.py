"""However requests, changes, reads and broken streams fall together: a router never takes old content for new."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from contextlib import suppress
from typing import Any

from gatehouse.providerconfig.v1 import provider_pb2
from gatehouse.providerconfig.v1 import snapshot_service_pb2 as pb
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.core.resource_names import Owner
from services.provider_config.api.read_scopes import scopes_in
from services.provider_config.domain.snapshot import Heartbeat, Snapshot, SnapshotDelta
from services.provider_config.domain.snapshot_stream import SnapshotStream
from services.router.clients.held_scopes import HeldScopes
from services.router.domain.configuration import Snapshot as HeldSnapshot
from tests.unit.provider_config.memory_store import FakeClock

_TENANTS = ("a", "b", "c")
_SCOPES = (Owner(), *map(Owner, _TENANTS))
# As often as they make the runs go somewhere.
_STEPS = st.sampled_from(
    [
        *(("change", scope) for scope in _SCOPES * 2),
        *(("want", tenant) for tenant in _TENANTS),
        *(("evict", tenant) for tenant in _TENANTS[:1]),
        *((name,) for name in ("ask", "hear", "poll", "pause") for _ in range(3)),
        *((name,) for name in ("send", "take") for _ in range(9)),
        ("reconnect",),
    ]
)


class World:
    """One stream at a time between provider_config and a router; every step of either side is taken by hand.

    What a scope holds is one provider, and its priority says at which revision it changed last.
    """

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.revision = 0
        self.changes: dict[Owner, list[int]] = {scope: [] for scope in _SCOPES}
        self.polled = 0
        self.scopes = HeldScopes(0.0)
        self.connect()

    # provider_config -------------------------------------------------------------------------------------------------

    async def news_of(self, scope: Owner, *, since: int) -> Snapshot | SnapshotDelta:
        read_at = self.revision
        await asyncio.sleep(0)
        if 0 <= since <= read_at:
            return SnapshotDelta(scope=scope, from_revision=since, revision=read_at)
        return Snapshot(scope=scope, revision=read_at, providers=())

    async def unchanged(self, held: Mapping[Owner, int]) -> AbstractSet[Owner]:
        same = {scope for scope, revision in held.items() if self.last(scope, self.revision) <= revision}
        await asyncio.sleep(0)
        return same

    def last(self, scope: Owner, up_to: int) -> int:
        """The last change of `scope` up to a revision; 0 for none."""
        return max((revision for revision in self.changes[scope] if revision <= up_to), default=0)

    def message(self, news: Snapshot | SnapshotDelta | Heartbeat) -> pb.WatchSnapshotsResponse:
        if isinstance(news, Heartbeat):
            return pb.WatchSnapshotsResponse(heartbeat=pb.Heartbeat(revision=news.revision, requests=news.requests))
        last = self.last(news.scope, news.revision)
        provider = provider_pb2.Provider(name=f"{news.scope}/providers/p", priority=last)
        providers = [pb.ProviderSnapshot(provider=provider)] if last else []
        common: dict[str, Any] = {"scope": str(news.scope), "revision": news.revision}
        if isinstance(news, Snapshot):
            return pb.WatchSnapshotsResponse(snapshot=pb.Snapshot(**common, providers=providers))
        changed = providers if last > news.from_revision else []
        delta = pb.SnapshotDelta(**common, from_revision=news.from_revision, providers=changed)
        return pb.WatchSnapshotsResponse(delta=delta)

    # Steps -----------------------------------------------------------------------------------------------------------

    def connect(self) -> None:
        self.stream = SnapshotStream(self, self.clock)
        self.news = self.stream.news()
        self.sending: asyncio.Task[Any] | None = None
        self.asked: deque[pb.WatchSnapshotsRequest] = deque()
        self.sent: deque[pb.WatchSnapshotsResponse] = deque()
        self.scopes.begin_stream()

    async def reconnect(self) -> None:
        await self.close()
        self.connect()
        # As the feed does after its first poll.
        self.pause()

    async def close(self) -> None:
        if self.sending is not None:
            self.sending.cancel()
            with suppress(asyncio.CancelledError, StopAsyncIteration):
                await self.sending

    async def step(self, name: str, *arguments: Any) -> None:
        result = getattr(self, name)(*arguments)
        if result is not None:
            await result
        await asyncio.sleep(0)

    def change(self, scope: Owner) -> None:
        self.revision += 1
        self.changes[scope].append(self.revision)

    def poll(self) -> None:
        since, self.polled = self.polled, self.revision
        last = {scope: self.last(scope, self.revision) for scope in _SCOPES}
        self.clock.seconds += 1
        self.stream.polled(self.revision, {scope: revision for scope, revision in last.items() if revision > since})

    def pause(self) -> None:
        self.polled = self.revision
        self.clock.seconds += 1
        self.stream.resumed(self.revision)

    def want(self, tenant: str) -> None:
        self.scopes.want(tenant)

    def evict(self, tenant: str) -> None:
        for each in _TENANTS:
            if each != tenant:
                self.scopes.configuration(each)
        self.scopes.now += 100
        for each in _TENANTS:
            if each != tenant:
                self.scopes.configuration(each)
        self.scopes.forget_idle(50.0, at_most=10)

    def ask(self) -> None:
        request = self.scopes.next_request()
        if request is not None:
            self.asked.append(request)

    def hear(self) -> None:
        if self.asked:
            asked = scopes_in(self.asked.popleft())
            self.stream.asked(forget=asked.forget, resume=asked.resume, watch=asked.watch)

    async def send(self) -> None:
        if self.sending is None:
            self.sending = asyncio.ensure_future(anext(self.news))
        await asyncio.sleep(0)
        if self.sending.done():
            self.sent.append(self.message(self.sending.result()))
            self.sending = None

    def take(self) -> None:
        if self.sent:
            message = self.sent.popleft()
            if message.HasField("heartbeat"):
                self.scopes.take_heartbeat(message.heartbeat)
            else:
                self.scopes.take(message.snapshot if message.HasField("snapshot") else message.delta)

    # What must hold --------------------------------------------------------------------------------------------------

    def check(self) -> None:
        for tenant in _TENANTS:
            configuration = self.scopes.configuration(tenant)
            if configuration is None:
                continue
            known = max(r for r in range(-1, self.revision + 1) if self.scopes.has_reached(tenant, r))
            for scope, held in ((Owner(tenant), configuration.tenant), (Owner(), configuration.platform)):
                assert _last_change(held) == self.last(scope, held.revision), "it holds what never was"
                assert _last_change(held) >= self.last(scope, known), "it believes to hold what it does not"

    async def settle(self) -> None:
        """Let everything that is under way arrive."""
        for _ in range(40):
            self.poll()
            for name in ("ask", "hear", "send", "send", "send", "take", "take", "take"):
                await self.step(name)


def _last_change(held: HeldSnapshot) -> int:
    return max((each.priority for each in held.providers), default=0)


@settings(deadline=None, max_examples=100)
@given(st.lists(_STEPS, min_size=100, max_size=200))
def test_a_router_holds_what_it_believes_to_and_everything_in_the_end(steps: list[tuple[Any, ...]]) -> None:
    async def run() -> None:
        world = World()
        try:
            for tenant in _TENANTS:
                world.want(tenant)
            for step in steps:
                await world.step(*step)
                world.check()
            for tenant in _TENANTS:
                world.want(tenant)
            await world.settle()
            world.check()
            assert world.scopes.is_current
            assert all(world.scopes.has_reached(tenant, world.revision) for tenant in _TENANTS)
        finally:
            await world.close()

    asyncio.run(run())
