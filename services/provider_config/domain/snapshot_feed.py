"""Finds out what changed, once for all streams of the process.

A change made by this process wakes the feed at once; one made by another replica is found by a query every 250 ms.
No stream, no query.

A database may be put back to an older state: from a backup, or by failing over to a replica that lagged. Its revisions
would then be given out a second time, for other changes, and routers that have seen the first ones would take what
they hold for current. So whoever meets a revision that the database does not know yet makes it count on from there,
and what was known before is sent whole.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import contextmanager, suppress
from functools import partial

from libs.core.clock import Clock
from libs.core.errors import GatehouseError
from libs.core.resource_names import Owner
from services.provider_config.domain.errors import database_silent, internal
from services.provider_config.domain.ports import ConfigStore, Transaction
from services.provider_config.domain.snapshot import Changes, Snapshot, SnapshotDelta
from services.provider_config.domain.snapshot_news import news_of
from services.provider_config.domain.snapshot_stream import SnapshotStream

_log = logging.getLogger(__name__)

_POLL_INTERVAL_S = 0.25
# A burst of changes is looked at this often, not after each of them.
_POLL_SPACING_S = 0.02
# A database that takes longer is as good as down: the routers must learn that they hear nothing.
_POLL_TIMEOUT_S = 3.0
# Of the database's readers this many at most read for streams: a router that starts and asks for thousands of tenants
# must keep neither people nor the polls waiting.
_READS_TOGETHER = 2
# The database counts on from revisions up to here, far more than it will ever give out: whoever tells nonsense is sent
# everything, and uses no numbers up.
_MOST_MET = 10**15


class SnapshotFeed:
    """The streams of this process and the one task that tells them of changes.

    `changed` is set by whoever changed the configuration. When the database fails, every open stream ends with
    Unavailable: a router must know that it is no longer told of changes, and asks anew until it is.
    """

    def __init__(self, store: ConfigStore, *, changed: asyncio.Event, clock: Clock) -> None:
        self._store = store
        self._changed = changed
        self._clock = clock
        self._reading = asyncio.Semaphore(_READS_TOGETHER)
        self._streams: set[SnapshotStream] = set()
        self._opened = asyncio.Event()
        # All changes up to here are known to the open streams; None: not even one poll since the first opened.
        self._seen: int | None = None
        # The highest revision that anybody was seen to know.
        self._met = 0
        self._stuck = False
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
        stream = SnapshotStream(self, self._clock)
        if self._closed:
            stream.finish()
        self._streams.add(stream)
        self._opened.set()
        try:
            yield stream
        finally:
            self._drop(stream)

    async def news_of(self, scope: Owner, *, since: int) -> Snapshot | SnapshotDelta:
        """What changed in `scope` since a revision, or all it holds; always that since -1. Raises Unavailable."""
        async with self._reading:
            news = await self._store.read(partial(news_of, scope=scope, since=since))
        if news.revision < since <= _MOST_MET:
            self._met = max(self._met, since)
            self._changed.set()
        return news

    async def unchanged(self, held: Mapping[Owner, int]) -> AbstractSet[Owner]:
        """Those of the scopes in which nothing changed since the revision they are held at. Raises Unavailable."""
        async with self._reading:
            return await self._store.read(lambda transaction: transaction.unchanged(held))

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

        def look(transaction: Transaction) -> Changes:
            return transaction.changes_since(transaction.revision() if seen is None else seen)

        changes = await self._store.read(look)
        self._met = max(self._met, seen or 0)
        if changes.revision < self._met and await self._counted_on(self._met):
            changes = await self._store.read(look)
        if self._seen is not None or seen is None:
            self._seen = changes.revision
        for stream in self._streams:
            if seen is None or changes.anew:
                # What they have sent was read at an unknown revision, or is worth nothing: look at all of it again.
                stream.resumed(changes.revision)
            else:
                stream.polled(changes.revision, changes.scopes)

    async def _counted_on(self, beyond: int) -> bool:
        """Make the database count on from beyond a revision it does not know; whether it takes the change."""
        try:
            revision = await self._store.write(lambda transaction: transaction.count_on(beyond))
        except GatehouseError as error:
            # The routers must be told what there is even so.
            if not self._stuck:
                _log.warning("the database was put back and cannot count on from revision %d: %s", beyond, error.reason)
            self._stuck = True
            return False
        self._stuck = False
        _log.warning("the database was put back: it counts on from revision %d", revision)
        return True

    def _fail(self, error: GatehouseError) -> None:
        if not self._failing:
            self._failing = True
            _log.warning("snapshot streams end: %s", error.reason)
        for stream in tuple(self._streams):
            # An exception of its own for each: a raised one collects its stream's traceback.
            stream.fail(type(error)(error.reason, error.message, metadata=error.metadata, retry_delay_s=1.0))
            self._drop(stream)
