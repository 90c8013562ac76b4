from __future__ import annotations

import asyncio
from typing import Any

from libs.core.errors import Unavailable
from services.usage_accounting.domain.lapse_reservations import MOST_TOGETHER
from services.usage_accounting.domain.lapse_worker import LapseWorker


class Store:
    """A store that plays a script: seconds to the next lapse, and what each batch comes to."""

    def __init__(self, *batches: int | Exception) -> None:
        self._batches = list(batches)
        self.over = asyncio.Event()

    async def read(self, _work: object) -> Any:
        if not self._batches:
            self.over.set()
            return float("inf")
        return 0.0

    async def write(self, _work: object) -> Any:
        batch = self._batches.pop(0)
        if isinstance(batch, Exception):
            raise batch
        return batch


async def run_to_the_end(store: Store, *, interval_s: float) -> tuple[list[int], list[Exception]]:
    lapsed: list[int] = []
    failures: list[Exception] = []
    worker = LapseWorker(store, interval_s=interval_s, lapsed=lapsed.append, failed=failures.append)
    worker.start()
    async with asyncio.timeout(5):
        await store.over.wait()
    await worker.close()
    return lapsed, failures


async def test_full_batches_follow_each_other_without_waiting() -> None:
    counts, failures = await run_to_the_end(Store(MOST_TOGETHER, MOST_TOGETHER), interval_s=3600)
    assert (counts, failures) == ([MOST_TOGETHER, MOST_TOGETHER], [])


async def test_no_failure_ends_the_worker() -> None:
    defect = RuntimeError("a defect")
    store = Store(Unavailable("DATABASE_UNAVAILABLE", "down"), defect, 3)
    assert await run_to_the_end(store, interval_s=0.001) == ([3], [defect])


async def test_a_worker_that_never_started_can_be_closed() -> None:
    await LapseWorker(Store(), interval_s=1, lapsed=lambda _: None, failed=lambda _: None).close()
