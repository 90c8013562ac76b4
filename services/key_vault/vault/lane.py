"""A few threads, each with a session of its own, behind an asynchronous call."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from services.key_vault.domain.errors import overloaded
from services.key_vault.vault.answers import no_answer
from services.key_vault.vault.session import VaultSession

T = TypeVar("T")


class Lane:
    """At most `threads` calls run at once and `most_waiting` more wait; what comes on top is refused.

    For use from one event loop.
    """

    def __init__(
        self,
        make_session: Callable[[], VaultSession],
        *,
        name: str,
        threads: int,
        most_waiting: int,
        timeout_s: float,
    ) -> None:
        self._make_session = make_session
        self._timeout_s = timeout_s
        self._local = threading.local()
        self._sessions: list[VaultSession] = []
        self._room = threading.BoundedSemaphore(threads + most_waiting)
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=name, initializer=self._enter_thread)

    async def run(self, work: Callable[[VaultSession], T]) -> T:
        """What `work` returns, run in one of the threads.

        Raises Unavailable `OVERLOADED`, `VAULT_UNREACHABLE` after `timeout_s` (the thread goes on until the session's
        own timeouts end it), and what `work` raises.
        """
        if not self._room.acquire(blocking=False):
            raise overloaded()
        future: Future[T] = self._executor.submit(lambda: work(self._local.session))
        # When the thread is through with it, or it was cancelled before one took it; not when its caller gives up.
        future.add_done_callback(lambda _: self._room.release())
        try:
            async with asyncio.timeout(self._timeout_s):
                return await asyncio.wrap_future(future)
        except TimeoutError:
            failure = no_answer()
        raise failure

    async def close(self) -> None:
        """Refuse new calls, wait for those under way, close the connections."""
        await asyncio.to_thread(self._executor.shutdown, cancel_futures=True)
        for session in self._sessions:
            session.close()

    def _enter_thread(self) -> None:
        self._local.session = self._make_session()
        self._sessions.append(self._local.session)
