"""Work that a service does again and again beside its calls."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

from libs.core.errors import Unavailable
from libs.telemetry import names
from libs.telemetry.logs import get_logger

_log = get_logger(__name__)
# Replicas that were started together must not all work at the same moment for ever.
_SPREAD = 0.1


class Recurring:
    """Calls `work` at once and then every `interval_s` seconds, give or take a tenth, until it is closed.

    When `work` fails it is tried again after `retry_s` (`interval_s` unless given); each kind of failure is logged
    once, until it succeeds again. With `last`, it is called once more at the end. For use from one event loop.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[], Awaitable[object]],
        *,
        interval_s: float,
        retry_s: float | None = None,
        last: bool = False,
    ) -> None:
        self._name = name
        self._work = work
        self._interval_s = interval_s
        self._retry_s = interval_s if retry_s is None else retry_s
        self._last = last
        self._failures: set[str] = set()
        self._task = asyncio.create_task(self._run(), name=name)

    async def close(self) -> None:
        """Stop; what is under way is cancelled."""
        self._task.cancel()
        await asyncio.wait({self._task})
        if self._last:
            await self._attempt()

    async def _run(self) -> None:
        while True:
            pause_s = self._interval_s if await self._attempt() else self._retry_s
            await asyncio.sleep(pause_s * random.uniform(1 - _SPREAD, 1 + _SPREAD))  # noqa: S311 - spreads, hides nothing

    async def _attempt(self) -> bool:
        try:
            await self._work()
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # Nobody stopped this: something the work waited for was.
            self._failed(error)
        except Exception as error:  # noqa: BLE001 - it must go on whatever failed once
            self._failed(error)
        else:
            if self._failures:
                _log.info(names.EVENT_RECURRING_RECOVERED, work=self._name)
            self._failures.clear()
            return True
        return False

    def _failed(self, error: BaseException) -> None:
        kind = error.reason if isinstance(error, Unavailable) else type(error).__name__
        if kind in self._failures:
            return
        self._failures.add(kind)
        if isinstance(error, Unavailable):
            _log.warning(names.EVENT_RECURRING_FAILED, work=self._name, reason=kind)
        else:
            _log.error(names.EVENT_RECURRING_FAILED, work=self._name, exc_info=error)
