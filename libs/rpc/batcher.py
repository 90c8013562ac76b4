"""Micro-batching: whatever arrives while a request is in flight rides the next one; nothing waits when idle.

Under load a batch also waits a moment for company: a request costs the same few milliseconds of CPU over all processes
whether it carries two items or twenty, and with many calls in flight that CPU is what they all wait for. The moment
grows with the batches themselves, so a lone caller never waits and the busiest router waits at most `longest_linger_s`.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Generator, Sequence
from typing import Any, Generic, TypeVar

from libs.core.errors import GatehouseError, Internal, Unavailable
from libs.telemetry import names
from libs.telemetry.logs import get_logger

Req = TypeVar("Req")
Res = TypeVar("Res")

_log = get_logger(__name__)
# After this long without a batch, the size of the last one says nothing about the load.
_STALE_S = 0.1


class Batcher(Generic[Req, Res]):
    """Sends items in batches of at most `max_batch`, with at most `max_in_flight` batches under way.

    `send` gets a list of items and returns one result for each, in order; it brings its own deadline. When it raises a
    GatehouseError every item of the batch fails with it, when it raises anything else, with Internal; the batches
    after it go on. A caller that gives up just cancels its future, or the task that awaits it: an item not yet sent is
    dropped, and for one whose result arrives later, or just arrived, `abandoned(item, result)` is called, so that what
    the result stands for can be undone; also when the batch failed, for its effect may stand. After a batch of n items
    the next one lingers n - 1 times `linger_per_item_s`, at most `longest_linger_s`, unless nothing was sent for a
    while. More than `max_waiting` waiting items are refused with Unavailable `OVERLOADED`. For use from one event loop.
    """

    def __init__(
        self,
        send: Callable[[list[Req]], Awaitable[Sequence[Res]]],
        *,
        max_batch: int = 64,
        max_in_flight: int = 2,
        max_waiting: int = 10_000,
        linger_per_item_s: float = 0.002,
        longest_linger_s: float = 0.0,
        abandoned: Callable[[Req, Res | GatehouseError], None] | None = None,
    ) -> None:
        self._send = send
        self._max_batch = max_batch
        self._max_in_flight = max_in_flight
        self._max_waiting = max_waiting
        self._linger_per_item_s = linger_per_item_s
        self._longest_linger_s = longest_linger_s
        self._last_size = 1
        self._last_sent = 0.0
        self._abandoned = abandoned
        self._waiting: deque[tuple[Req, asyncio.Future[Res]]] = deque()
        self._senders: set[asyncio.Task[None]] = set()

    def submit(self, item: Req) -> asyncio.Future[Res]:
        """A future of the item's result. Raises Unavailable when too many wait already."""
        if len(self._waiting) >= self._max_waiting:
            raise Unavailable("OVERLOADED", "too many calls are waiting; try again shortly", retry_delay_s=1.0)
        future: asyncio.Future[Res]
        if self._abandoned is None:
            future = asyncio.get_running_loop().create_future()
        else:
            future = _Handover(lambda result: self._give_up(item, result))
        self._waiting.append((item, future))
        if len(self._senders) < self._max_in_flight:
            sender = asyncio.create_task(self._drain())
            self._senders.add(sender)
        return future

    async def close(self) -> None:
        """Send what waits and wait for its results. Items submitted from now on are the caller's fault."""
        while self._senders:
            await asyncio.wait(self._senders)

    async def _drain(self) -> None:
        waiting = self._waiting
        try:
            while waiting:
                linger_s = self._linger_s()
                if linger_s > 0 and len(waiting) < self._max_batch:
                    await asyncio.sleep(linger_s)
                batch: list[tuple[Req, asyncio.Future[Res]]] = []
                while waiting and len(batch) < self._max_batch:
                    entry = waiting.popleft()
                    if not entry[1].cancelled():
                        batch.append(entry)
                if batch:
                    self._last_size = len(batch)
                    await self._send_batch(batch)
                    self._last_sent = time.monotonic()
        finally:
            # In the same step that found nothing waiting: an item that comes after it starts a sender of its own. A
            # done-callback would run later, and what came in between would wait for ever.
            if (task := asyncio.current_task()) is not None:
                self._senders.discard(task)

    def _linger_s(self) -> float:
        if self._last_size <= 1 or time.monotonic() - self._last_sent > _STALE_S:
            return 0.0
        return min((self._last_size - 1) * self._linger_per_item_s, self._longest_linger_s)

    async def _send_batch(self, batch: list[tuple[Req, asyncio.Future[Res]]]) -> None:
        try:
            results = tuple(await self._send([item for item, _ in batch]))
        except GatehouseError as error:
            self._fail(batch, error)
            return
        except asyncio.CancelledError:
            # What `send` awaited was cancelled, such as a call on a channel that closes. The items' callers were not.
            self._fail(
                batch, Unavailable("SERVICE_UNREACHABLE", "the connection is closing; try again", retry_delay_s=1.0)
            )
            if (task := asyncio.current_task()) is not None and task.cancelling():
                raise
            return
        except Exception as error:  # noqa: BLE001 - raised on, it would end the sender, and what waits would wait forever
            self._crash(batch, error)
            return
        if len(results) != len(batch):
            self._crash(batch, ValueError(f"a batch of {len(batch)} was answered with {len(results)} results"))
            return
        for (item, future), result in zip(batch, results, strict=True):
            if not future.cancelled():
                future.set_result(result)
            else:
                self._give_up(item, result)

    def _give_up(self, item: Req, result: Res | GatehouseError) -> None:
        if self._abandoned is None:
            return
        try:
            self._abandoned(item, result)
        except Exception as error:  # noqa: BLE001 - one item's trouble must not keep the others' results back
            _log.error(names.EVENT_UNCAUGHT, exc_info=error)

    def _fail(self, batch: Sequence[tuple[Req, asyncio.Future[Res]]], error: GatehouseError) -> None:
        for item, future in batch:
            if future.cancelled():
                self._give_up(item, error)
            else:
                future.set_exception(error)
                # Whoever waits still gets it; nobody waiting is no defect worth a warning.
                future.exception()

    def _crash(self, batch: Sequence[tuple[Req, asyncio.Future[Res]]], error: Exception) -> None:
        _log.error(names.EVENT_UNCAUGHT, exc_info=error)
        self._fail(batch, Internal("INTERNAL", "a batch failed for a reason that is in the log"))


class _Handover(asyncio.Future[Res]):
    """A future that notices when its result was there but never reached who awaited it.

    A task that is cancelled after the result was set and before it ran again gets CancelledError in its place, and
    the future itself is done, not cancelled.
    """

    def __init__(self, lost: Callable[[Res | GatehouseError], None]) -> None:
        super().__init__()
        self._lost = lost

    def __await__(self) -> Generator[Any, None, Res]:
        try:
            return (yield from super().__await__())
        except asyncio.CancelledError:
            if self.done() and not self.cancelled():
                failure = self.exception()
                if failure is None:
                    self._lost(self.result())
                elif isinstance(failure, GatehouseError):
                    self._lost(failure)
            raise
