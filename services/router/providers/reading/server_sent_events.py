"""Server-sent events from any split of the bytes."""

from __future__ import annotations

from services.router.domain.errors import ProviderError, Reason
from services.router.providers.base import StreamFormat

MAX_EVENT_BYTES = 10 * 1024 * 1024
"""No provider sends a longer event; whoever does is not one."""

# What a short line costs in memory beyond its text: a list entry and the head of a bytes object.
_LINE_OVERHEAD = 64
# A byte order mark may stand before the first line.
_MARKED_DATA = b"\xef\xbb\xbfdata:"


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
            lines = [b"".join(self._partial), *rest.split(b"\n")]
            last = lines.pop()
            self._take(lines, events)
            self._partial = [last]
            self._partial_size = len(last)
        if self._partial_size + len(self._partial) * _LINE_OVERHEAD + self._data_size > MAX_EVENT_BYTES:
            raise ProviderError(Reason.PROVIDER_BAD_RESPONSE, sent=True)
        return events

    def end(self) -> list[bytes]:
        """The bytes have ended: the event that lacks only its empty line, whole or cut."""
        events: list[bytes] = []
        self._take([b"".join(self._partial), b""], events)
        self._partial, self._partial_size = [], 0
        return events

    def _take(self, lines: list[bytes], events: list[bytes]) -> None:
        data, size = self._data, self._data_size
        for line in lines:
            if line.startswith((b"data:", _MARKED_DATA)):
                value = line[line.index(b":") + 1 :].strip()
                data.append(value)
                size += len(value) + _LINE_OVERHEAD
            elif data and line in (b"", b"\r"):
                event = data[0] if len(data) == 1 else b"\n".join(data)
                data.clear()
                size = 0
                if event:
                    events.append(event)
        self._data_size = size


SERVER_SENT_EVENTS = StreamFormat("text/event-stream", EventReader)
