"""Lines of JSON from any split of the bytes."""

from __future__ import annotations

from services.router.domain.errors import ProviderError, Reason
from services.router.providers.base import StreamFormat

MAX_LINE_BYTES = 10 * 1024 * 1024
"""No provider sends a longer line; whoever does is not one."""

# What a short chunk costs in memory beyond its bytes: a list entry and the head of a bytes object.
_CHUNK_OVERHEAD = 64


class LineReader:
    """Feed it chunks as they come; it gives every complete line that is not blank.

    Lines end with LF or CRLF; what stands at the end without either is a line too. Raises ProviderError for a line over
    10 MiB.
    """

    __slots__ = ("_partial", "_partial_size")

    def __init__(self) -> None:
        self._partial: list[bytes] = []
        self._partial_size = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """The lines that `chunk` completes."""
        head, newline, rest = chunk.partition(b"\n")
        self._partial.append(head)
        self._partial_size += len(head)
        # Before the line is given out, or whether it is too long would depend on how the bytes were split.
        if self._partial_size > MAX_LINE_BYTES:
            raise _too_long()
        if not newline:
            if len(self._partial) * _CHUNK_OVERHEAD > MAX_LINE_BYTES:
                self._partial = [b"".join(self._partial)]
            return []
        lines = [b"".join(self._partial), *rest.split(b"\n")]
        last = lines.pop()
        self._partial = [last]
        self._partial_size = len(last)
        if self._partial_size > MAX_LINE_BYTES or any(len(line) > MAX_LINE_BYTES for line in lines):
            raise _too_long()
        return [stripped for line in lines if (stripped := line.strip())]

    def end(self) -> list[bytes]:
        """The bytes have ended: the line that lacks only its end, whole or cut."""
        line = b"".join(self._partial).strip()
        self._partial, self._partial_size = [], 0
        return [line] if line else []


def _too_long() -> ProviderError:
    return ProviderError(Reason.PROVIDER_BAD_RESPONSE, sent=True)


JSON_LINES = StreamFormat("application/x-ndjson", LineReader)
