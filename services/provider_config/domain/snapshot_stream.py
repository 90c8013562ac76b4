"""What one router is told, and in which order.

A stream holds names and numbers only, never content: a scope that changes ten times while the router is slow is
sent once, as it is then. Memory is bounded by the number of watched scopes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

from libs.core.clock import Clock
from libs.core.errors import GatehouseError
from libs.core.resource_names import Owner
from services.provider_config.domain.errors import invalid_field
from services.provider_config.domain.snapshot import Heartbeat, Snapshot, SnapshotDelta

MAX_WATCHED_SCOPES = 100_000
# With the feed's polls every 250 ms a heartbeat comes at least every 750 ms: the contract says a second.
_HEARTBEAT_S = 0.5
# So many scopes are compared with the database in one query.
_CHECKED_TOGETHER = 1000
_NOTHING = -1


class SnapshotSource(Protocol):
    """Where a stream reads what it sends. Raises Unavailable."""

    async def news_of(self, scope: Owner, *, since: int) -> Snapshot | SnapshotDelta:
        """What changed in `scope` since a revision, or all it holds; always that since -1."""
        ...

    async def unchanged(self, held: Mapping[Owner, int]) -> AbstractSet[Owner]:
        """Those of the scopes in which nothing changed since the revision they are held at."""
        ...


@dataclass(slots=True)
class _Watched:
    """A scope that is watched: the revision it was last sent at, and which of the router's requests named it."""

    sent: int
    request: int


@dataclass(slots=True)
class _Change:
    """A change that has to reach the router: it is of revision `wanted`, and all up to `known` has reached it."""

    wanted: int
    known: int


class SnapshotStream:
    """One open stream. The feed tells it of changes, the router of scopes; `news` is what goes out.

    Use it from one event loop.
    """

    def __init__(self, source: SnapshotSource, clock: Clock) -> None:
        self._source = source
        self._clock = clock
        self._watched: dict[Owner, _Watched] = {}
        self._requests = 0
        # Three queues in the order of requests: scopes to be sent for the first time; scopes that may have changed
        # since they were sent; scopes that have.
        self._new: dict[Owner, None] = {}
        self._doubtful: dict[Owner, None] = {}
        self._changed: dict[Owner, _Change] = {}
        self._new_is_next = True
        self._polled = 0
        self._confirmed = self._told = Heartbeat(revision=0, requests=0)
        self._told_at = clock.monotonic()
        self._alive = False
        self._failure: GatehouseError | None = None
        self._finished = False
        self._stirred = asyncio.Event()

    def asked(
        self, *, forget: Iterable[Owner] = (), resume: Mapping[Owner, int] | None = None, watch: Iterable[Owner] = ()
    ) -> None:
        """Take note of a request: forget scopes, send what changed in others since a revision, and others as they are.

        Scopes that are watched already are left as they are; those to be forgotten need not be watched. Raises
        InvalidArgument when the stream would watch more than MAX_WATCHED_SCOPES.
        """
        self._requests += 1
        for scope in forget:
            self._watched.pop(scope, None)
            for queue in (self._new, self._doubtful, self._changed):
                queue.pop(scope, None)
        for scope, revision in (resume or {}).items():
            self._add(scope, revision or _NOTHING, field="resume")
        for scope in watch:
            self._add(scope, _NOTHING, field="watch")
        self._stirred.set()

    def polled(self, revision: int, changes: Mapping[Owner, int]) -> None:
        """Take note that these are all changes up to `revision`, beside those of earlier calls."""
        for scope, changed in changes.items():
            watched = self._watched.get(scope)
            # What is yet to be sent for the first time will be read after this.
            if watched is not None and watched.sent < changed and scope not in self._new:
                # Of a scope that is in none of the queues, all up to the last poll was sent.
                known = watched.sent if scope in self._doubtful else max(watched.sent, self._polled)
                self._want(scope, changed, known)
        self._note(revision)

    def resumed(self, revision: int) -> None:
        """Take note that any watched scope may have changed up to `revision`."""
        self._doubtful.update((scope, None) for scope in self._watched if scope not in self._new)
        self._note(revision)

    def fail(self, error: GatehouseError) -> None:
        """End the stream with `error`."""
        self._failure = self._failure or error
        self._stirred.set()

    def finish(self) -> None:
        """End the stream without an error: the router asks again, maybe another replica."""
        self._finished = True
        self._stirred.set()

    async def news(self) -> AsyncIterator[Snapshot | SnapshotDelta | Heartbeat]:
        """What the router is to be told. Raises what reading it raises, and what `fail` was given."""
        while not self._finished:
            if self._failure is not None:
                raise self._failure
            if self._doubtful:
                await self._check()
                continue
            self._confirm()
            if self._heartbeat_is_due():
                yield self._heartbeat()
            elif (scope := self._next()) is not None:
                news = await self._read(scope)
                if news is not None:
                    yield news
            else:
                self._stirred.clear()
                await self._stirred.wait()

    def _add(self, scope: Owner, revision: int, *, field: str) -> None:
        if scope in self._watched:
            return
        if len(self._watched) >= MAX_WATCHED_SCOPES:
            raise invalid_field(field, f"exceeds {MAX_WATCHED_SCOPES} scopes of one stream")
        self._watched[scope] = _Watched(revision, self._requests)
        (self._new if revision == _NOTHING else self._doubtful)[scope] = None

    async def _check(self) -> None:
        """Find out about the first doubtful scopes: what did not change needs no message."""
        asked = {scope: self._watched[scope] for scope in islice(self._doubtful, _CHECKED_TOGETHER)}
        unchanged = await self._source.unchanged({scope: watched.sent for scope, watched in asked.items()})
        for scope, watched in asked.items():
            # The router may have changed its mind meanwhile.
            if self._watched.get(scope) is watched:
                self._doubtful.pop(scope, None)
                if scope not in unchanged:
                    # It may wait already for an earlier change that has been sent since.
                    self._want(scope, watched.sent + 1, watched.sent)

    def _want(self, scope: Owner, wanted: int, known: int) -> None:
        change = self._changed.setdefault(scope, _Change(wanted, known))
        change.wanted, change.known = max(change.wanted, wanted), min(change.known, known)

    def _next(self) -> Owner | None:
        """The scope to be sent now: new and changed ones by turns, so that neither keeps the other waiting for long."""
        queues: Sequence[dict[Owner, None] | dict[Owner, _Change]] = (self._changed, self._new)
        for queue in reversed(queues) if self._new_is_next else queues:
            if queue:
                self._new_is_next = queue is self._changed
                return next(iter(queue))
        return None

    async def _read(self, scope: Owner) -> Snapshot | SnapshotDelta | None:
        """News of `scope`, which leaves its queue; None when the router knows them or no longer wants them."""
        watched = self._watched[scope]
        self._new.pop(scope, None)
        change = self._changed.pop(scope, None)
        if change is not None and watched.sent >= change.wanted:
            return None
        news = await self._source.news_of(scope, since=watched.sent)
        if self._watched.get(scope) is not watched:
            return None
        watched.sent = news.revision
        return news

    def _note(self, revision: int) -> None:
        self._polled = revision
        # A heartbeat vouches for a poll that has just succeeded; without polls there are none.
        self._alive = True
        self._stirred.set()

    def _confirm(self) -> None:
        """Work out what a heartbeat can vouch for now; while a change is yet to be sent, nothing more than before.

        But every half a second all that was before that change: a scope that changes all the time keeps nobody from
        knowing that others are up to date.
        """
        if not self._alive or (self._changed and not self._was_quiet()):
            return
        revision = min((change.known for change in self._changed.values()), default=self._polled)
        if self._changed and revision < self._confirmed.revision:
            # It is of a scope that was named only now, or what was vouched for is worth nothing.
            return
        unsent = next(iter(self._new), None)
        requests = self._requests if unsent is None else self._watched[unsent].request - 1
        self._confirmed = Heartbeat(revision=revision, requests=requests)

    def _heartbeat_is_due(self) -> bool:
        if not self._alive:
            return False
        return self._confirmed != self._told or self._was_quiet()

    def _was_quiet(self) -> bool:
        return self._clock.monotonic() - self._told_at >= _HEARTBEAT_S

    def _heartbeat(self) -> Heartbeat:
        self._alive = False
        self._told = self._confirmed
        self._told_at = self._clock.monotonic()
        return self._told
