"""Finds out what changed, once for all streams of the process.

A change made by this process wakes the feed at once; one made by another replica is found by a query every 250 ms.
No stream, no query.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from libs.core.clock import Clock
from libs.core.errors import GatehouseError
from libs.core.resource_names import Owner
from services.provider_config.domain.errors import database_silent, internal
from services.provider_config.domain.ports import ConfigStore
from services.provider_config.domain.snapshot import Snapshot
from services.provider_config.domain.snapshot_stream import SnapshotStream

_log = logging.getLogger(__name__)

_POLL_INTERVAL_S = 0.25
# A burst of changes is looked at this often, not after each of them.
_POLL_SPACING_S = 0.02
# A database that takes longer is as good as down: the routers must learn that they hear nothing.
_POLL_TIMEOUT_S = 3.0


class SnapshotFeed:
    """The streams of this process and the one task that tells them of changes.

    `changed` is set by whoever changed the configuration. When the database fails, every open stream ends with
    Unavailable: a router must know that it is no longer told of changes, and asks anew until it is.
    """

    def __init__(self, store: ConfigStore, *, changed: asyncio.Event, clock: Clock) -> None:
        self._store = store
        self._changed = changed
        self._clock = clock
        self._streams: set[SnapshotStream] = set()
        self._opened = asyncio.Event()
        # All changes up to here are known to the open streams; None: not even one poll since the first opened.
        self._seen: int | None = None
        self._failing = False
        self._closed = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look for changes; call it once."""
        self._task = asyncio.create_task(self._run(), name="snapshot-feed")

    async def close(self) -> None:
        """Look for changes no longer, and end all streams, also those to come."""
        self._closed = True
        for stream in self._streams:
            stream.finish()
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    @contextmanager
    def open(self) -> Iterator[SnapshotStream]:
        """A new stream, told of changes until the block ends. Leaving waits for nothing."""
        stream = SnapshotStream(self._read_snapshot, self._clock)
        if self._closed:
            stream.finish()
        self._streams.add(stream)
        self._opened.set()
        try:
            yield stream
        finally:
            self._drop(stream)

    async def _read_snapshot(self, scope: Owner) -> Snapshot:
        return await self._store.read(lambda transaction: transaction.snapshot(scope))

    def _drop(self, stream: SnapshotStream) -> None:
        self._streams.discard(stream)
        if not self._streams:
            self._opened.clear()
            self._seen = None

    async def _run(self) -> None:
        while True:
            await self._opened.wait()
            if self._seen is not None:
                await self._wait_for_change()
            if self._streams:
                # Before the query: a change made during it counts for the next.
                self._changed.clear()
                await self._poll()
                await asyncio.sleep(_POLL_SPACING_S)

    async def _wait_for_change(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_POLL_INTERVAL_S):
                await self._changed.wait()

    async def _poll(self) -> None:
        try:
            async with asyncio.timeout(_POLL_TIMEOUT_S):
                await self._tell()
        except GatehouseError as error:
            self._fail(error)
        except TimeoutError:
            self._fail(database_silent())
        except Exception as error:  # noqa: BLE001 - a defect must not leave the streams open and silent for ever
            _log.error("looking for changes raised %s", type(error).__name__)
            self._fail(internal())
        else:
            if self._failing:
                self._failing = False
                _log.info("snapshot streams are served again")

    async def _tell(self) -> None:
        seen = self._seen
        if seen is None:
            # Streams that opened meanwhile have read what they sent at an unknown revision: look at it again.
            self._seen = revision = await self._store.read(lambda transaction: transaction.revision())
            for stream in self._streams:
                stream.resumed(revision)
            return
        changes = await self._store.read(lambda transaction: transaction.changes_since(seen))
        # Every revision is that of one scope's change, so the newest of them is the newest there is.
        revision = max(changes.values(), default=seen)
        if self._seen is not None:
            self._seen = revision
        for stream in self._streams:
            stream.polled(revision, changes)

    def _fail(self, error: GatehouseError) -> None:
        if not self._failing:
            self._failing = True
            _log.warning("snapshot streams end: %s", error.reason)
        for stream in tuple(self._streams):
            # An exception of its own for each: a raised one collects its stream's traceback.
            stream.fail(type(error)(error.reason, error.message, metadata=error.metadata, retry_delay_s=1.0))
            self._drop(stream)
