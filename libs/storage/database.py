"""A service's database as asyncio code sees it: `write` and `read` take a plain function and run it elsewhere."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self, TypeVar

from sqlalchemy import Connection, select

from libs.storage.engines import Backend, backend_for
from libs.storage.group_commit import GroupCommitWriter
from libs.storage.readers import Readers
from libs.storage.work_queue import Work, WorkQueue

T = TypeVar("T")

MAX_WORKS_TOGETHER = 64


class Database:
    """One writer with group commit and a few snapshot readers, over SQLite or PostgreSQL.

    A *work* is a synchronous function that takes a SQLAlchemy Connection with a transaction begun and returns
    plain values (never a Result, which is dead once the transaction ended). It must be **re-runnable**: it may be
    run again after a deadlock or a lost connection, so all its effects are in the database. It neither commits
    nor rolls back (`begin_nested` is fine), does not wait for anything else, and shares its thread with others:
    keep it short. It runs without the caller's context variables.

    Use it from one event loop.
    """

    def __init__(self, backend: Backend, *, name: str, read_threads: int, max_waiting: int) -> None:
        self.name = name
        self._writes = WorkQueue(database=name, most=max_waiting)
        self._reads = WorkQueue(database=name, most=max_waiting)
        self._writer = GroupCommitWriter(backend, self._writes, database=name, most_together=MAX_WORKS_TOGETHER)
        self._readers = Readers(backend, self._reads, database=name, threads=read_threads)
        self._writer.start()
        self._readers.start()

    @classmethod
    def open(
        cls,
        url: str,
        *,
        name: str,
        read_threads: int = 4,
        max_waiting: int = 4096,
        lock_wait_s: float = 5.0,
        connect_timeout_s: float = 5.0,
    ) -> Self:
        """Open `sqlite:////absolute/path.db` (made if missing, mode 0600) or `postgresql://user@host/database`.

        PostgreSQL need not be up yet: connections are made on first use and again after they broke.
        `name` appears in errors and logs. `max_waiting` bounds the writes, and likewise the reads, that wait or
        run. `lock_wait_s` bounds the wait for another process's lock. Raises InvalidDatabaseUrl and
        DatabaseUnusable.
        """
        backend = backend_for(url, lock_wait_s=lock_wait_s, connect_timeout_s=connect_timeout_s)
        backend.prepare()
        return cls(backend, name=name, read_threads=read_threads, max_waiting=max_waiting)

    async def write(self, work: Work[T]) -> T:
        """Run `work` in a transaction that is on disk when this returns; its exception undoes it and is raised here.

        Works run in the order of the calls. If the caller is cancelled, the work may be stored or not.

        Raises Unavailable `DATABASE_UNAVAILABLE` (the database is down; with metadata `outcome: unknown` when it
        went down during the commit), `DATABASE_BUSY` (locked, or contention that outlasted five retries),
        `DATABASE_FULL`, `DATABASE_OVERLOADED`; Conflict for a constraint the work let escape; StatementFailed for
        a statement the database refused.
        """
        return await self._writes.run(work)

    async def read(self, work: Work[T]) -> T:
        """Run `work` on one snapshot that holds every write that returned before. Raises as `write` does."""
        return await self._reads.run(work)

    async def ping(self) -> None:
        """Return when the database answers a query. Raises Unavailable when it does not."""
        await self.read(_select_one)

    async def close(self) -> None:
        """Refuse new works, finish the queued ones, close every connection. May be called again."""
        self._writes.close()
        self._reads.close()
        await asyncio.to_thread(self._join)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _join(self) -> None:
        # The writer last: SQLite's last connection tidies the write-ahead log away, which a reader may not do.
        self._readers.join()
        self._writer.join()


def _select_one(connection: Connection) -> None:
    connection.execute(select(1)).one()
