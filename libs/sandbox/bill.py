"""The sandbox's own bill: what it was asked and what it would charge, kept apart from every ledger.

JSON lines. A request that was understood and let in has one `accepted` line; every request has one `finished`
line when it ends, however it ends. An `accepted` line without a `finished` one means that the sandbox itself
died. A line is one `write` to a file opened for appending, so lines of one machine never mix.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import orjson

Event = Literal["accepted", "finished"]

Operation = Literal["chat", "embeddings"]
"""What was asked for."""

Outcome = Literal["completed", "cut", "failed", "broken", "client_gone", "refused"]
"""completed: sent to the end. cut: the sandbox broke off, as told. failed: an error event ended the stream.
broken: the answer was unreadable, as told. client_gone: the caller closed the connection before the end.
refused: an error instead of an answer."""

_KEPT_IN_MEMORY = 200_000


@dataclass(frozen=True, slots=True, kw_only=True)
class BillRecord:
    """One line. Times are Unix seconds; token counts are what a provider would charge so far.

    `call` is the caller's `x-gatehouse-attempt` header, `key_fingerprint` the first 16 hexadecimal digits of
    the key's SHA-256 (None without a key); the key itself is nowhere. Unknown is None.
    """

    event: Event
    id: str
    time: float
    call: str | None
    key_fingerprint: str | None
    dialect: str
    model: str | None
    stream: bool | None
    prompt_tokens: int
    cached_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    outcome: Outcome | None = None
    status: int | None = None
    chunks: int = 0
    duration_ms: float | None = None
    operation: Operation = "chat"


class Bill:
    """Appends records to the file at `path`; without one keeps the newest 200,000 in memory.

    Raises OSError when the file cannot be opened or written.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self._memory: deque[BillRecord] = deque(maxlen=_KEPT_IN_MEMORY)
        self._waiters: list[tuple[Event, int, asyncio.Future[None]]] = []
        self._descriptor: int | None = None
        self._counts: dict[Event, int] = {"accepted": 0, "finished": 0}
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
            self._close_torn_line(self._descriptor)

    def append(self, record: BillRecord) -> None:
        """Write one record."""
        if self._descriptor is None:
            self._memory.append(record)
        else:
            line = orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)
            if os.write(self._descriptor, line) != len(line):
                raise OSError("the bill could not be written whole; is the disk full?")
        self._counts[record.event] += 1
        if self._waiters:
            self._wake()

    def records(self) -> list[BillRecord]:
        """All records, oldest first; with a file, those of earlier runs too. Torn lines are left out."""
        if self.path is None:
            return list(self._memory)
        records = []
        for line in self.path.read_bytes().splitlines():
            try:
                records.append(BillRecord(**orjson.loads(line)))
            except (orjson.JSONDecodeError, TypeError):
                continue
        return records

    def as_json_lines(self) -> bytes:
        """The bill as text, one record a line."""
        if self.path is not None:
            return self.path.read_bytes()
        return b"".join(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE) for record in self._memory)

    async def wait_accepted(self, count: int, *, timeout_s: float = 5.0) -> None:
        """Return once `count` calls have been let in since this bill was opened. Raises TimeoutError."""
        await self._wait("accepted", count, timeout_s)

    async def wait_finished(self, count: int, *, timeout_s: float = 5.0) -> None:
        """Return once `count` calls have finished since this bill was opened. Raises TimeoutError."""
        await self._wait("finished", count, timeout_s)

    async def _wait(self, event: Event, count: int, timeout_s: float) -> None:
        if self._counts[event] < count:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append((event, count, waiter))
            async with asyncio.timeout(timeout_s):
                await waiter

    def close(self) -> None:
        """Close the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _wake(self) -> None:
        for event, count, waiter in self._waiters:
            if self._counts[event] >= count and not waiter.done():
                waiter.set_result(None)
        self._waiters = [entry for entry in self._waiters if not entry[2].done()]

    @staticmethod
    def _close_torn_line(descriptor: int) -> None:
        """End a line that an earlier run left half-written, so that it spoils no other."""
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            os.write(descriptor, b"\n")


class Entry:
    """One call on its way to the bill: counts while it is served and is written exactly once at its end."""

    __slots__ = (
        "_bill",
        "_finished",
        "_started",
        "cached_tokens",
        "call",
        "chunks",
        "completion_tokens",
        "dialect",
        "entry_id",
        "key_fingerprint",
        "model",
        "operation",
        "prompt_tokens",
        "reasoning_tokens",
        "stream",
    )

    def __init__(
        self,
        bill: Bill,
        entry_id: str,
        dialect: str,
        key: str,
        call: str | None,
        *,
        operation: Operation = "chat",
    ) -> None:
        self._bill = bill
        self._started = time.time()
        self._finished = False
        self.entry_id = entry_id
        self.dialect = dialect
        self.key_fingerprint = key_fingerprint(key) if key else None
        self.call = call
        self.operation = operation
        self.model: str | None = None
        self.stream: bool | None = None
        self.prompt_tokens = self.cached_tokens = self.completion_tokens = self.reasoning_tokens = self.chunks = 0

    def accept(self) -> None:
        """Write that the call was let in."""
        self._bill.append(
            BillRecord(
                event="accepted",
                id=self.entry_id,
                time=self._started,
                call=self.call,
                key_fingerprint=self.key_fingerprint,
                dialect=self.dialect,
                model=self.model,
                stream=self.stream,
                prompt_tokens=self.prompt_tokens,
                cached_tokens=self.cached_tokens,
                operation=self.operation,
            )
        )

    def finish(self, outcome: Outcome, status: int | None) -> None:
        """Write how the call ended; the first word counts, later ones are ignored."""
        if self._finished:
            return
        self._finished = True
        now = time.time()
        free = outcome in {"refused", "broken"}
        self._bill.append(
            BillRecord(
                event="finished",
                id=self.entry_id,
                time=now,
                call=self.call,
                key_fingerprint=self.key_fingerprint,
                dialect=self.dialect,
                model=self.model,
                stream=self.stream,
                prompt_tokens=0 if free else self.prompt_tokens,
                cached_tokens=0 if free else self.cached_tokens,
                completion_tokens=0 if free else self.completion_tokens,
                reasoning_tokens=0 if free else self.reasoning_tokens,
                outcome=outcome,
                status=status,
                chunks=self.chunks,
                duration_ms=round((now - self._started) * 1000, 3),
                operation=self.operation,
            )
        )


def key_fingerprint(key: str) -> str:
    """How the bill names a key: the first 16 hexadecimal digits of its SHA-256."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()[:16]
