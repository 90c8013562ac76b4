"""Segments: the spool's files. Append-only records, each with its length and checksum.

A record is `length:u32 checksum:u32 kind:u8 payload`, little-endian; the checksum (CRC-32) covers kind and payload.
Reading passes over damage: it looks for the next place where a whole record stands, so that a wrong byte costs the
record it is in and no other.
"""

from __future__ import annotations

import enum
import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

_HEADER = struct.Struct("<IIB")
MAX_PAYLOAD = 1024 * 1024


class RecordKind(enum.IntEnum):
    """What a record says."""

    SETTLE = 1
    """Payload: a gatehouse.usage.v1.Settlement."""
    RELEASE = 2
    """Payload: a gatehouse.usage.v1.AttemptKey."""
    ACKNOWLEDGED = 3
    """Payload: how many SETTLE and RELEASE records of this segment the ledger has acknowledged, u64."""


@dataclass(frozen=True, slots=True)
class Record:
    """One entry: what it says, and its bytes."""

    kind: RecordKind
    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentContent:
    """What a segment file holds after a restart. `damaged_at` is the offset of the first wrong byte, if any."""

    records: tuple[Record, ...]
    acknowledged: int
    damaged_at: int | None


def encode_record(record: Record) -> bytes:
    """A record as it stands in the file."""
    kind = int(record.kind)
    checksum = zlib.crc32(record.payload, zlib.crc32(bytes((kind,))))
    return _HEADER.pack(len(record.payload), checksum, kind) + record.payload


class SegmentWriter:
    """Appends to one new file, readable by its owner only. Raises OSError as the disk does."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        self.entries = 0
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)

    def append(self, record: Record) -> None:
        """Write a record; it survives the death of this process when this returns, and of the machine after `sync`."""
        data = encode_record(record)
        written = os.write(self._fd, data)
        if written != len(data):
            # A full disk took a part: cut it off, so that later records are not lost behind it.
            os.ftruncate(self._fd, self.size)
            raise OSError(28, "no space left on device")
        self.size += written
        if record.kind is not RecordKind.ACKNOWLEDGED:
            self.entries += 1

    def sync(self) -> None:
        """Force what was written to the disk. Blocks."""
        os.fdatasync(self._fd)

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


def read_segment(path: Path) -> SegmentContent:
    """What a segment file holds. Damaged records are left out; `damaged_at` says where the first of them begins."""
    data = path.read_bytes()
    records: list[Record] = []
    acknowledged = 0
    offset, damaged_at = 0, None
    while offset < len(data):
        record = _record_at(data, offset)
        if record is None:
            damaged_at = offset if damaged_at is None else damaged_at
            offset += 1
            continue
        offset += _HEADER.size + len(record.payload)
        if record.kind is RecordKind.ACKNOWLEDGED:
            # Counted against the entries as written: behind damage some of them are missing, and sending one again
            # does no harm, but passing one over would.
            acknowledged = max(acknowledged, int.from_bytes(record.payload, "little") if damaged_at is None else 0)
        else:
            records.append(record)
    return SegmentContent(records=tuple(records), acknowledged=acknowledged, damaged_at=damaged_at)


def acknowledgement(count: int) -> Record:
    """The record that says that the first `count` entries of a segment are in the ledger."""
    return Record(RecordKind.ACKNOWLEDGED, count.to_bytes(8, "little"))


def _record_at(data: bytes, offset: int) -> Record | None:
    if offset + _HEADER.size > len(data):
        return None
    length, checksum, kind = _HEADER.unpack_from(data, offset)
    start = offset + _HEADER.size
    if kind not in _KINDS or length > MAX_PAYLOAD or start + length > len(data):
        return None
    payload = data[start : start + length]
    if zlib.crc32(payload, zlib.crc32(bytes((kind,)))) != checksum:
        return None
    return Record(RecordKind(kind), payload)


_KINDS = frozenset(RecordKind)
