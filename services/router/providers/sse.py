"""Server-sent events from any split of the bytes."""

from __future__ import annotations

from services.router.domain.errors import ProviderError, Reason

MAX_EVENT_BYTES = 10 * 1024 * 1024
"""No provider sends a longer event; whoever does is not one."""

# What a short line costs in memory beyond its text: a list entry and the head of a bytes object.
_LINE_OVERHEAD = 64
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_MARKED_DATA = _BYTE_ORDER_MARK + b"data:"


class EventReader:
    """Feed it chunks as they come; it gives the `data` of every complete event that has any.

    Lines end with LF or CRLF. Comments, ids, event names and retry hints are passed over: the dialects this serves
    put everything in `data`. Raises ProviderError for an event over 10 MiB.
    """

    __slots__ = ("_data", "_data_size", "_partial", "_partial_size")

    def __init__(self) -> None:
        self._partial: list[bytes] = []
        self._partial_size = 0
        self._data: list[bytes] = []
        self._data_size = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """The data of the events that `chunk` completes."""
        head, newline, rest = chunk.partition(b"\n")
        self._partial.append(head)
        self._partial_size += len(head)
        events: list[bytes] = []
        if newline:
            self._take(b"".join(self._partial), events)
            lines = rest.split(b"\n")
            last = lines.pop()
            for line in lines:
                self._take(line, events)
            self._partial = [last]
            self._partial_size = len(last)
        if self._partial_size + len(self._partial) * _LINE_OVERHEAD + self._data_size > MAX_EVENT_BYTES:
            raise ProviderError(Reason.PROVIDER_BAD_RESPONSE, sent=True)
        return events

    def end(self) -> list[bytes]:
        """The bytes have ended: the event that lacks only its empty line, whole or cut."""
        events: list[bytes] = []
        self._take(b"".join(self._partial), events)
        self._take(b"", events)
        self._partial, self._partial_size = [], 0
        return events

    def _take(self, line: bytes, events: list[bytes]) -> None:
        if line.startswith(b"data:"):
            data = line[5:].strip()
            self._data.append(data)
            self._data_size += len(data) + _LINE_OVERHEAD
        elif line in (b"", b"\r"):
            if self._data:
                event = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
                self._data, self._data_size = [], 0
                if event:
                    events.append(event)
        elif line.startswith(_MARKED_DATA):
            self._take(line.removeprefix(_BYTE_ORDER_MARK), events)
