"""Threads that read: each has its own read-only connection and gives every work one snapshot."""

from __future__ import annotations

import logging
import threading

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from libs.core.errors import Internal
from libs.storage.engines import Backend
from libs.storage.faults import Fault, classify, for_caller, translate
from libs.storage.work_queue import Submission, WorkQueue

_log = logging.getLogger(__name__)


class Readers:
    """`threads` threads that take reads from one queue."""

    def __init__(self, backend: Backend, queue: WorkQueue, *, database: str, threads: int) -> None:
        self._engine = backend.reader()
        self._queue = queue
        self._database = database
        self._threads = [
            threading.Thread(target=self._serve, name=f"{database}-reader-{number}", daemon=True)
            for number in range(threads)
        ]

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        """Block until the queue was closed and everything in it is done."""
        for thread in self._threads:
            thread.join()
        self._engine.dispose()

    def _serve(self) -> None:
        connection: Connection | None = None
        # One at a time: a thread that took more would keep them from its idle neighbours.
        while batch := self._queue.take(1):
            connection = self._settle(connection, batch[0])
            self._queue.deliver(batch)
            del batch
        if connection is not None:
            connection.close()

    def _settle(self, connection: Connection | None, submission: Submission) -> Connection | None:
        """Run one read; the connection to use for the next, None when it broke."""
        fresh = connection is None
        try:
            if connection is None:
                connection = self._engine.connect()
            with connection.begin() as transaction:
                submission.value = submission.work(connection)
                # Nothing was changed; a rollback ends the snapshot and cannot fail for lack of space.
                transaction.rollback()
        except SQLAlchemyError as error:
            lost = classify(error) is Fault.LOST or (connection is not None and connection.invalidated)
            _discard(connection)
            if lost and not fresh:
                # The server was restarted since the last read; reads can always run again.
                return self._settle(None, submission)
            submission.error = translate(error, self._database, lost=lost, reading=True)
            if lost:
                # A server that does not answer costs a connect timeout: those who wait have waited for it already.
                waiting = self._queue.take_waiting()
                for other in waiting:
                    other.error = translate(error, self._database, lost=True)
                self._queue.deliver(waiting)
            return None
        except Exception as error:  # noqa: BLE001 - it belongs to the caller, who waits elsewhere
            submission.error = for_caller(error)
        except BaseException as error:  # noqa: BLE001 - SystemExit and its like must end neither thread nor event loop
            _log.error("a read of the %s database raised %s", self._database, type(error).__name__)
            submission.error = Internal("INTERNAL", "internal error")
        return connection


def _discard(connection: Connection | None) -> None:
    if connection is None:
        return
    if not connection.invalidated:
        connection.invalidate()
    connection.close()
