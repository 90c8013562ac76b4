"""The durable queue between the router and the ledger: written before anything else, drained in order.

Appending is one `write`: it never waits, and what is written outlives the process. Before an entry goes to the ledger
the file is forced to the disk, once for all that waits. What the ledger acknowledged is noted in the file; a segment
whose entries are all acknowledged is removed. After a restart the rest is sent again, which the ledger does not count
twice.
"""

from __future__ import annotations

import fcntl
import os
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from libs.telemetry import names
from libs.telemetry.logs import get_logger
from services.router.spool.segment import (
    Record,
    SegmentWriter,
    acknowledgement,
    encode_record,
    read_segment,
)

_log = get_logger(__name__)
_SEGMENT_BYTES = 8 * 1024 * 1024


class SpoolLockedError(OSError):
    """Another router uses the directory."""


@dataclass(slots=True)
class _Segment:
    path: Path
    writer: SegmentWriter | None
    entries: int = 0
    acknowledged: int = 0
    size: int = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry that waits for the ledger."""

    record: Record
    segment: _Segment


class Spool:
    """The queue in `directory`, for one router process. For use from one event loop; only `sync` may block.

    Raises SpoolLockedError when another process has the directory, OSError when it cannot be used. While more than
    `max_bytes` wait, or the disk takes no more, `accepting` is False: no new calls then, but what is under way is still
    kept, in memory if need be.
    """

    def __init__(self, directory: Path, *, max_bytes: int = 1024**3, segment_bytes: int = _SEGMENT_BYTES) -> None:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._directory = directory
        self._max_bytes = max_bytes
        # Several segments fit into the bound, so that it is what waits that fills it and not what is done.
        self._segment_bytes = min(segment_bytes, max_bytes // 4)
        self._lock = os.open(directory / "lock", os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise SpoolLockedError(
                f"{directory} is in use by another router; give each its own ROUTER_SPOOL_DIR"
            ) from None
        self._segments: deque[_Segment] = deque()
        self._waiting: deque[Entry] = deque()
        self._unwritten: deque[Record] = deque()
        self._number = 0
        self._replay()
        self._open_segment()

    @property
    def accepting(self) -> bool:
        """Whether new calls may be taken on."""
        return not self._unwritten and sum(each.size for each in self._segments) < self._max_bytes

    @property
    def pending(self) -> int:
        """How many entries wait for the ledger."""
        return len(self._waiting) + len(self._unwritten)

    def append(self, record: Record) -> None:
        """Keep an entry. Never raises: what the disk does not take is kept in memory and written later."""
        self._unwritten.append(record)
        self._write_out()

    def waiting(self, most: int) -> list[Entry]:
        """The oldest entries, at most `most`, still in the queue."""
        self._write_out()
        return [self._waiting[index] for index in range(min(most, len(self._waiting)))]

    def sync(self) -> None:
        """Force all that was appended to the disk. Blocks: call it in a thread."""
        for segment in tuple(self._segments):
            if segment.writer is not None:
                segment.writer.sync()

    def acknowledge(self, count: int) -> None:
        """The `count` oldest entries are in the ledger."""
        touched: dict[int, _Segment] = {}
        for _ in range(count):
            segment = self._waiting.popleft().segment
            segment.acknowledged += 1
            touched[id(segment)] = segment
        for segment in touched.values():
            self._note(segment)
        while len(self._segments) > 1 and self._segments[0].acknowledged == self._segments[0].entries:
            _remove(self._segments.popleft())
        current = self._segments[-1]
        if current.size >= self._segment_bytes and current.acknowledged == current.entries:
            try:
                self._open_segment()
            except OSError as error:
                # The full segment goes on being used; the next acknowledgement tries again.
                _log.error(names.EVENT_SPOOL_UNWRITABLE, errno=error.errno, count=0)
                return
            _remove(self._segments.popleft())

    def reject(self, entry: Entry, reason: str) -> None:
        """Put an entry aside that the ledger will never take, for people to look at; acknowledge it afterwards."""
        _log.error(names.EVENT_SPOOL_REJECTED, reason=reason)
        fd = os.open(self._directory / "rejected", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(fd, encode_record(entry.record))
            os.fdatasync(fd)
        finally:
            os.close(fd)

    def close(self) -> None:
        """Force everything to the disk and let go of the directory. What waits is sent after the next start."""
        self._write_out()
        if self._unwritten:
            _log.error(names.EVENT_SPOOL_UNWRITABLE, count=len(self._unwritten))
        self.sync()
        for segment in self._segments:
            if segment.writer is not None:
                segment.writer.close()
                segment.writer = None
        os.close(self._lock)

    def _write_out(self) -> None:
        while self._unwritten:
            current = self._segments[-1]
            try:
                if current.size >= self._segment_bytes:
                    current = self._open_segment()
                writer = current.writer
                if writer is None:
                    raise AssertionError("the last segment is always open")
                writer.append(self._unwritten[0])
            except OSError as error:
                _log.error(names.EVENT_SPOOL_UNWRITABLE, errno=error.errno, count=len(self._unwritten))
                return
            current.size, current.entries = writer.size, writer.entries
            self._waiting.append(Entry(self._unwritten.popleft(), current))

    def _note(self, segment: _Segment) -> None:
        # Losing this note only means sending the entries once more.
        if segment.writer is not None:
            try:
                segment.writer.append(acknowledgement(segment.acknowledged))
                segment.size = segment.writer.size
            except OSError:
                _log.warning(names.EVENT_SPOOL_UNWRITABLE, count=0)

    def _open_segment(self) -> _Segment:
        self._number += 1
        path = self._directory / f"{self._number:012d}.segment"
        segment = _Segment(path, SegmentWriter(path))
        previous = self._segments[-1] if self._segments else None
        self._segments.append(segment)
        if previous is not None and previous.writer is not None:
            previous.writer.sync()
        return segment

    def _replay(self) -> None:
        replayed = 0
        for path in sorted(self._directory.glob("*.segment")):
            self._number = max(self._number, int(path.stem))
            content = read_segment(path)
            if content.damaged_at is not None:
                _put_aside(path, content.damaged_at)
            segment = _Segment(path, None, len(content.records), content.acknowledged, path.stat().st_size)
            rest = content.records[content.acknowledged :]
            if not rest:
                path.unlink()
                continue
            self._segments.append(segment)
            self._waiting.extend(Entry(record, segment) for record in rest)
            replayed += len(rest)
        if replayed:
            _log.info(names.EVENT_SPOOL_REPLAYED, count=replayed)


def _put_aside(path: Path, offset: int) -> None:
    """Keep a copy of a damaged segment for people to look at; once, however often it is read again."""
    aside = path.with_suffix(".damaged")
    if not aside.exists():
        aside.write_bytes(path.read_bytes())
        aside.chmod(0o600)
        _log.error(names.EVENT_SPOOL_DAMAGED, segment=path.name, offset=offset)


def _remove(segment: _Segment) -> None:
    if segment.writer is not None:
        segment.writer.close()
        segment.writer = None
    segment.path.unlink(missing_ok=True)
