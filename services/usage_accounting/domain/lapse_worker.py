"""Keeps lapsing reservations that nobody settles, as long as the service runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from libs.core.errors import Unavailable
from services.usage_accounting.domain.lapse_reservations import MOST_TOGETHER, lapse_reservations
from services.usage_accounting.domain.ports import UsageStore


class LapseWorker:
    """Looks every `interval_s` seconds, and again at once while there is more than one batch to lapse.

    `lapsed` is told how many lapsed, `failed` what went wrong, except that the store is unavailable, which the store
    itself tells.
    """

    def __init__(
        self,
        store: UsageStore,
        *,
        interval_s: float,
        lapsed: Callable[[int], None],
        failed: Callable[[Exception], None],
    ) -> None:
        self._store = store
        self._lapsed = lapsed
        self._interval_s = interval_s
        self._failed = failed
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin. Not to be called twice."""
        self._task = asyncio.create_task(self._run(), name="lapse worker")

    async def close(self) -> None:
        """Stop; a batch under way is stored or not, as a whole."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            if not await self._lapse():
                await asyncio.sleep(self._interval_s)

    async def _lapse(self) -> bool:
        """Lapse one batch: whether there may be another."""
        try:
            count = await lapse_reservations(self._store)
        except Unavailable:
            return False
        except Exception as error:  # noqa: BLE001 - what dead calls hold must come back, whatever failed once
            self._failed(error)
            return False
        if count:
            self._lapsed(count)
        return count == MOST_TOGETHER
