"""What one router is told, and in which order.

A stream holds names and numbers only, never content: a scope that changes ten times while the router is slow is
sent once, as it is then. Memory is bounded by the number of watched scopes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping

from libs.core.clock import Clock
from libs.core.errors import GatehouseError
from libs.core.resource_names import Owner
from services.provider_config.domain.errors import invalid_field
from services.provider_config.domain.snapshot import Heartbeat, Snapshot

MAX_WATCHED_SCOPES = 100_000
# With the feed's polls every 250 ms a heartbeat comes at least every 750 ms: the contract says a second.
_HEARTBEAT_S = 0.5
_NOT_SENT = -1


class SnapshotStream:
    """One open stream. The feed tells it of changes, the router of scopes; `news` is what goes out.

    Use it from one event loop.
    """

    def __init__(self, read_snapshot: Callable[[Owner], Awaitable[Snapshot]], clock: Clock) -> None:
        self._read_snapshot = read_snapshot
        self._clock = clock
        # Watched scopes, each with the revision it was last sent at.
        self._watched: dict[Owner, int] = {}
        # Watched scopes to be sent, each with the revision that has to reach the router, oldest first.
        self._due: dict[Owner, int] = {}
        self._polled = 0
        self._confirmed = 0
        self._told = 0
        self._told_at = clock.monotonic()
        self._alive = False
        self._failure: GatehouseError | None = None
        self._finished = False
        self._stirred = asyncio.Event()

    def watch(self, scopes: Iterable[Owner]) -> None:
        """Send these scopes once, and again whenever they change; those already watched are left as they are.

        Raises InvalidArgument when the stream would watch more than MAX_WATCHED_SCOPES.
        """
        for scope in scopes:
            if scope not in self._watched:
                if len(self._watched) >= MAX_WATCHED_SCOPES:
                    raise invalid_field("watch", f"exceeds {MAX_WATCHED_SCOPES} scopes of one stream")
                self._watched[scope] = _NOT_SENT
                self._due[scope] = 0
        self._stirred.set()

    def forget(self, scopes: Iterable[Owner]) -> None:
        """Send these scopes no longer; names that are not watched are ignored."""
        for scope in scopes:
            self._watched.pop(scope, None)
            self._due.pop(scope, None)

    def polled(self, revision: int, changes: Mapping[Owner, int]) -> None:
        """Take note that these are all changes up to `revision`, beside those of earlier calls."""
        for scope, changed in changes.items():
            self._mark(scope, changed)
        self._note(revision)

    def resumed(self, revision: int) -> None:
        """Take note that any watched scope may have changed up to `revision`."""
        for scope in self._watched:
            self._mark(scope, revision)
        self._note(revision)

    def fail(self, error: GatehouseError) -> None:
        """End the stream with `error`."""
        self._failure = self._failure or error
        self._stirred.set()

    def finish(self) -> None:
        """End the stream without an error: the router asks again, maybe another replica."""
        self._finished = True
        self._stirred.set()

    async def news(self) -> AsyncIterator[Snapshot | Heartbeat]:
        """What the router is to be told. Raises what reading a snapshot raises, and what `fail` was given."""
        while not self._finished:
            if self._failure is not None:
                raise self._failure
            if not self._due:
                self._confirmed = self._polled
            if self._heartbeat_is_due():
                yield self._heartbeat()
            elif self._due:
                scope, wanted = next(iter(self._due.items()))
                del self._due[scope]
                if self._watched[scope] >= wanted:
                    continue
                snapshot = await self._read_snapshot(scope)
                # The router may have changed its mind meanwhile.
                if scope in self._watched:
                    self._watched[scope] = snapshot.revision
                    yield snapshot
            else:
                self._stirred.clear()
                await self._stirred.wait()

    def _mark(self, scope: Owner, revision: int) -> None:
        sent = self._watched.get(scope)
        if sent is not None and sent < revision:
            self._due[scope] = revision

    def _note(self, revision: int) -> None:
        self._polled = revision
        # A heartbeat vouches for a poll that has just succeeded; without polls there are none.
        self._alive = True
        self._stirred.set()

    def _heartbeat_is_due(self) -> bool:
        if not self._alive:
            return False
        return self._confirmed > self._told or self._clock.monotonic() - self._told_at >= _HEARTBEAT_S

    def _heartbeat(self) -> Heartbeat:
        self._alive = False
        self._told = self._confirmed
        self._told_at = self._clock.monotonic()
        return Heartbeat(revision=self._told)
