"""Anchors in a file: one line each, only ever appended to."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Sequence
from pathlib import Path

from libs.core.audit_anchors import Anchor, decode_anchor, encode_anchor
from libs.telemetry import names
from libs.telemetry.logs import get_logger

_log = get_logger(__name__)
_MODE = 0o600


class AnchorFile:
    """Put it on a disk, or let it be shipped to a place, that whoever runs the database cannot write to.

    Several processes of one machine may share it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    async def append(self, anchors: Sequence[Anchor]) -> None:
        """See `AnchorStore`. They are on disk when this returns."""
        await asyncio.to_thread(self._append, b"".join(map(encode_anchor, anchors)))

    async def read(self, scope: str) -> list[Anchor]:
        """See `AnchorStore`. A damaged line is told in the log and passed over."""
        return await asyncio.to_thread(self._read, scope)

    def _append(self, lines: bytes) -> None:
        descriptor = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT, _MODE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            size = os.fstat(descriptor).st_size
            # After a crash in the middle of a line the next anchor begins one of its own.
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                lines = b"\n" + lines
            written = 0
            while written < len(lines):
                written += os.write(descriptor, lines[written:])
            os.fsync(descriptor)
            if not size:
                _sync_directory(self._path.parent)
        finally:
            os.close(descriptor)

    def _read(self, scope: str) -> list[Anchor]:
        found = []
        wanted = f'"scope":"{scope}"'.encode()
        try:
            file = self._path.open("rb")
        except FileNotFoundError:
            return []
        with file:
            # Whoever is appending is in the middle of a line.
            fcntl.flock(file, fcntl.LOCK_SH)
            for number, line in enumerate(file, start=1):
                # With many tenants most lines are another's: those that look whole are not even parsed.
                if wanted not in line and line.startswith(b"{") and line.endswith(b"}\n"):
                    continue
                try:
                    anchor = decode_anchor(line)
                except ValueError as error:
                    _log.warning(names.EVENT_ANCHOR_DAMAGED, line=number, problem=str(error))
                else:
                    if anchor.scope == scope:
                        found.append(anchor)
        return found


def _sync_directory(path: Path) -> None:
    """A new file outlives a power cut only when its directory's entry is on disk too."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
