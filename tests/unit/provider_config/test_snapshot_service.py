"""The streams of snapshots."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

from gatehouse.providerconfig.v1 import snapshot_service_pb2 as pb

from libs.core.clock import SystemClock
from services.provider_config.api.convert_snapshots import SnapshotMessages
from services.provider_config.api.snapshot_service import SnapshotServicer
from services.provider_config.domain.snapshot import Heartbeat, Snapshot, SnapshotDelta
from services.provider_config.domain.snapshot_feed import SnapshotFeed
from tests.unit.provider_config.builders import NOTHING_KNOWN
from tests.unit.provider_config.memory_store import MemoryStore


class SlowMessages(SnapshotMessages):
    """Takes until `free` to make a message of a snapshot."""

    def __init__(self) -> None:
        super().__init__(NOTHING_KNOWN)
        self.begun = threading.Event()
        self.free = threading.Event()

    def message(self, news: Snapshot | SnapshotDelta | Heartbeat) -> pb.WatchSnapshotsResponse:
        if isinstance(news, Snapshot):
            self.begun.set()
            assert self.free.wait(10)
        return super().message(news)


async def asking(scope: str) -> AsyncIterator[pb.WatchSnapshotsRequest]:
    yield pb.WatchSnapshotsRequest(watch=[scope])


async def test_a_large_scope_silences_nobody_else_while_its_message_is_made() -> None:
    messages = SlowMessages()
    feed = SnapshotFeed(MemoryStore(), changed=asyncio.Event(), clock=SystemClock())
    servicer = SnapshotServicer(feed, messages)
    stream = servicer.WatchSnapshots(asking("tenants/acme"), None)
    first = asyncio.ensure_future(anext(stream))
    # Reached only if the event loop goes on meanwhile.
    while not messages.begun.is_set():
        await asyncio.sleep(0.01)
    messages.free.set()
    assert (await first).snapshot.scope == "tenants/acme"
    await stream.aclose()  # type: ignore[attr-defined]
