"""The single writer: whatever waits is committed together, so that many writes share one disk flush.

One thread takes up to `most_together` works, runs each in its own SAVEPOINT of one transaction, commits once and
then gives every caller its outcome. A work that raises loses its own changes only. A single work skips the
savepoint. While a commit waits for the disk the next works gather: batches grow with the load, and nobody waits
for a batch to fill.
"""

from __future__ import annotations

import enum
import logging
import random
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, event
from sqlalchemy.exc import SQLAlchemyError

from libs.core.errors import Internal
from libs.storage.engines import Backend
from libs.storage.errors import StatementFailed
from libs.storage.faults import Fault, classify, code_of, for_caller, translate
from libs.storage.work_queue import Submission, WorkQueue

_log = logging.getLogger(__name__)

# Deadlocks between replicas clear in milliseconds: 5, 10, 20, 40, 80 ms, each shortened by chance up to half.
_CONTENTION_RETRIES = 5
_FIRST_BACKOFF_S = 0.005

# These end the transaction of the whole batch, not only the work they met.
_ENDS_TRANSACTION = frozenset({Fault.LOST, Fault.READ_ONLY, Fault.CONTENTION})
# In a batch, these may be the doing of one work: each is then tried alone.
_TRIED_ALONE = frozenset({Fault.CONTENTION, Fault.CONSTRAINT, Fault.DEFECT})


class _Phase(enum.Enum):
    """How far a transaction came."""

    BEGIN = "begin"
    WORKS = "works"
    COMMIT = "commit"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Failure:
    """Why a transaction stored nothing (or nobody knows whether it did: LOST in COMMIT)."""

    phase: _Phase
    fault: Fault
    error: SQLAlchemyError
    fresh: bool  # the connection was made for this transaction


class TransactionGone(SQLAlchemyError):
    """COMMIT would silently have stored nothing."""


class ForeignCommit(SQLAlchemyError):
    """A work tried to commit, which would have stored half of its neighbours' changes."""


class GroupCommitWriter:
    """Runs works on one connection in one thread; see the module's docstring."""

    def __init__(self, backend: Backend, queue: WorkQueue, *, database: str, most_together: int) -> None:
        self._backend = backend
        self._engine = backend.writer()
        self._queue = queue
        self._database = database
        self._most_together = most_together
        self._connection: Connection | None = None
        self._committing = False
        self._failing: Fault | None = None
        event.listen(self._engine, "commit", self._refuse_foreign_commit)
        self._thread = threading.Thread(target=self._serve, name=f"{database}-writer", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def join(self) -> None:
        """Block until the queue was closed and everything in it is done."""
        self._thread.join()

    def _serve(self) -> None:
        while batch := self._queue.take(self._most_together):
            try:
                self._settle(batch)
            except BaseException as error:  # noqa: BLE001 - whatever it is, callers must not wait for ever
                # The class only: a text may hold a driver's words.
                _log.error("the writer of the %s database failed: %s", self._database, type(error).__name__)
                self._drop_connection()
                for submission in batch:
                    submission.error = Internal("INTERNAL", "internal error")
            self._queue.deliver(batch)
            # Nothing of a batch may live on while the thread waits for the next.
            del batch
        if self._connection is not None:
            self._connection.close()
        self._engine.dispose()

    def _settle(self, batch: Sequence[Submission]) -> None:
        """Run `batch` until each of its works has an outcome."""
        retries = 0
        while (failure := self._transact(batch)) is not None:
            if failure.fault is Fault.LOST and failure.phase is not _Phase.COMMIT and not failure.fresh:
                # The server went away since the last transaction. Nothing was committed: once more, on a new
                # connection (so this happens at most once).
                _log.warning("the connection to the %s database was lost; reconnecting", self._database)
            elif len(batch) > 1 and failure.fault in _TRIED_ALONE:
                for submission in batch:
                    self._settle((submission,))
                return
            elif failure.fault is Fault.CONTENTION and retries < _CONTENTION_RETRIES:
                time.sleep(_FIRST_BACKOFF_S * 2**retries * random.uniform(0.5, 1))  # noqa: S311 - spreads, hides nothing
                retries += 1
            else:
                self._fail(batch, failure)
                return
        if self._failing is not None:
            _log.info("the %s database takes writes again", self._database)
            self._failing = None

    def _transact(self, batch: Sequence[Submission]) -> _Failure | None:
        """Run `batch` in one transaction. None: each work has its outcome, and what succeeded is stored."""
        fresh = self._connection is None
        phase = _Phase.BEGIN
        try:
            if self._connection is None:
                self._connection = self._engine.connect()
            connection = self._connection
            transaction = connection.begin()
            phase = _Phase.WORKS
            if len(batch) == 1:
                self._run(connection, batch[0])
            else:
                for submission in batch:
                    self._run_in_savepoint(connection, submission)
            if len(batch) == 1 and batch[0].error is not None:
                if transaction.is_active:
                    transaction.rollback()
                else:
                    # The work ended it for SQLAlchemy; whether the database agrees is not known.
                    self._drop_connection()
                return None
            if not transaction.is_active or not self._backend.commit_would_hold(connection):
                raise TransactionGone
            phase = _Phase.COMMIT
            self._committing = True
            transaction.commit()
        except SQLAlchemyError as error:
            lost = self._connection is not None and self._connection.invalidated
            fault = Fault.LOST if lost else classify(error)
            self._drop_connection()
            return _Failure(phase=phase, fault=fault, error=error, fresh=fresh)
        finally:
            self._committing = False
        return None

    def _refuse_foreign_commit(self, _connection: Connection) -> None:
        if not self._committing:
            raise ForeignCommit

    def _run_in_savepoint(self, connection: Connection, submission: Submission) -> None:
        # Savepoints nest and go with the COMMIT: a RELEASE for each would be one more round trip to PostgreSQL.
        connection.exec_driver_sql("SAVEPOINT work")
        self._run(connection, submission)
        if submission.error is None and not self._backend.commit_would_hold(connection):
            # A statement failed and the work went on as if it had not.
            submission.error = StatementFailed(TransactionGone.__name__)
        if submission.error is not None:
            connection.exec_driver_sql("ROLLBACK TO SAVEPOINT work")

    def _run(self, connection: Connection, submission: Submission) -> None:
        """Run one work. Raises SQLAlchemyError only when the whole transaction is over."""
        submission.value = submission.error = None
        try:
            submission.value = submission.work(connection)
        except SQLAlchemyError as error:
            if connection.invalidated or classify(error) in _ENDS_TRANSACTION:
                raise
            submission.error = translate(error, self._database)
        except Exception as error:  # noqa: BLE001 - it belongs to the caller, who waits elsewhere
            submission.error = for_caller(error)
        except BaseException as error:  # noqa: BLE001 - SystemExit and its like must end neither thread nor event loop
            _log.error("a write to the %s database raised %s", self._database, type(error).__name__)
            submission.error = Internal("INTERNAL", "internal error")

    def _fail(self, batch: Sequence[Submission], failure: _Failure) -> None:
        """Give every work of `batch` the error that `failure` means."""
        lost = failure.fault is Fault.LOST
        if failure.fault is not self._failing:
            # Once, not for each batch of a long outage.
            self._failing = failure.fault
            _log.warning(
                "writes to the %s database fail: fault=%s phase=%s code=%s",
                self._database,
                failure.fault.value,
                failure.phase.value,
                code_of(failure.error),
            )
        if lost and failure.phase is _Phase.BEGIN:
            # A server that does not answer costs a connect timeout: everyone who waits has waited for it already.
            waiting = self._queue.take_waiting()
            self._give(waiting, failure)
            self._queue.deliver(waiting)
        self._give(batch, failure)

    def _give(self, batch: Sequence[Submission], failure: _Failure) -> None:
        lost = failure.fault is Fault.LOST
        unknown = lost and failure.phase is _Phase.COMMIT
        for submission in batch:
            # An exception of its own for each caller: a raised one collects its caller's traceback.
            submission.value = None
            submission.error = translate(failure.error, self._database, lost=lost, outcome_unknown=unknown)

    def _drop_connection(self) -> None:
        """Close the connection without a word to the server; the next transaction makes a new one."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        try:
            if not connection.invalidated:
                connection.invalidate()
            connection.close()
        except SQLAlchemyError as error:
            _log.warning("closing a connection to the %s database failed: %s", self._database, code_of(error))
