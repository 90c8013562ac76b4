"""Hands works from the event loop to database threads and their outcomes back, cheaply.

One `call_soon_threadsafe` per batch, no lock on either side: only the event loop counts what is under way.
"""

from __future__ import annotations

import asyncio
import queue
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Connection

from libs.storage.faults import unavailable

T = TypeVar("T")
Work = Callable[[Connection], T]


@dataclass(slots=True, eq=False)
class Submission:
    """A work on its way, and what became of it."""

    work: Work[Any]
    future: asyncio.Future[Any]
    value: Any = None
    error: BaseException | None = None


class WorkQueue:
    """A bounded queue with one event loop at one end and threads at the other."""

    def __init__(self, *, database: str, most: int) -> None:
        self._database = database
        self._most = most
        self._queue: queue.SimpleQueue[Submission | None] = queue.SimpleQueue()
        self._under_way = 0
        self._closed = False
        self._loop: asyncio.AbstractEventLoop | None = None

    async def run(self, work: Work[T]) -> T:
        """Queue `work` and wait for its outcome.

        Raises Unavailable `DATABASE_OVERLOADED` when `most` works are waiting or running, and
        `DATABASE_UNAVAILABLE` once the queue is closed.
        """
        if self._closed:
            raise unavailable("DATABASE_UNAVAILABLE", self._database, f"the {self._database} database is closing")
        if self._under_way >= self._most:
            raise unavailable(
                "DATABASE_OVERLOADED", self._database, f"too many calls wait for the {self._database} database"
            )
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = self._loop.create_future()
        self._under_way += 1
        self._queue.put(Submission(work, future))
        return await future

    def close(self) -> None:
        """Accept no more works; threads get what is queued, then the end."""
        if not self._closed:
            self._closed = True
            self._queue.put(None)

    def take(self, most: int) -> list[Submission]:
        """Called by a thread: wait for a work, then take what else waits, up to `most`. Empty: the end.

        Works whose caller went away before they began are dropped.
        """
        while True:
            submission = self._queue.get()
            batch: list[Submission] = []
            while submission is not None:
                batch.append(submission)
                if len(batch) == most:
                    break
                try:
                    submission = self._queue.get_nowait()
                except queue.Empty:
                    break
            else:
                # Left for the next take, and for the other threads.
                self._queue.put(None)
            if not batch:
                return batch
            live = [submission for submission in batch if not submission.future.cancelled()]
            if len(live) < len(batch):
                self.deliver([submission for submission in batch if submission.future.cancelled()])
            if live:
                return live

    def take_waiting(self) -> list[Submission]:
        """Called by a thread: take everything that waits, without waiting for more."""
        waiting: list[Submission] = []
        while True:
            try:
                submission = self._queue.get_nowait()
            except queue.Empty:
                return waiting
            if submission is None:
                self._queue.put(None)
                return waiting
            waiting.append(submission)

    def deliver(self, batch: Sequence[Submission]) -> None:
        """Called by a thread: give each caller its outcome."""
        loop = self._loop
        if loop is None:
            return
        try:
            loop.call_soon_threadsafe(self._resolve, batch)
        except RuntimeError:
            # The loop is closed: nobody waits any more.
            return

    def _resolve(self, batch: Sequence[Submission]) -> None:
        self._under_way -= len(batch)
        for submission in batch:
            future = submission.future
            if future.done():
                continue
            if submission.error is None:
                future.set_result(submission.value)
            elif isinstance(submission.error, StopIteration):
                # A future refuses StopIteration; unguarded, the rest of the batch would wait for ever.
                future.set_exception(RuntimeError("a work raised StopIteration"))
            else:
                future.set_exception(submission.error)
            # The error's traceback leads back to this submission: break the circle.
            submission.error = None
