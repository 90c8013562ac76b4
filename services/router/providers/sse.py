"""Server-sent events from any split of the bytes."""

from __future__ import annotations

from services.router.domain.errors import ProviderError, Reason

MAX_EVENT_BYTES = 10 * 1024 * 1024
"""No provider sends a longer line; whoever does is not one."""


class EventReader:
    """Feed it chunks as they come; it gives the `data` of every complete event.

    Comments, ids, event names and retry hints are passed over: the dialects this serves put everything in `data`.
    Raises ProviderError for an event over 10 MiB.
    """

    __slots__ = ("_data", "_partial", "_partial_size")

    def __init__(self) -> None:
        self._partial: list[bytes] = []
        self._partial_size = 0
        self._data: list[bytes] = []

    def feed(self, chunk: bytes) -> list[bytes]:
        """The data of the events that `chunk` completes."""
        head, newline, rest = chunk.partition(b"\n")
        self._partial.append(head)
        self._partial_size += len(head)
        if self._partial_size > MAX_EVENT_BYTES:
            raise ProviderError(Reason.PROVIDER_BAD_RESPONSE, sent=True)
        if not newline:
            return []
        first = b"".join(self._partial)
        lines = rest.split(b"\n")
        last = lines.pop()
        self._partial = [last]
        self._partial_size = len(last) + sum(map(len, self._data))
        events: list[bytes] = []
        self._take(first, events)
        for line in lines:
            self._take(line, events)
        return events

    def _take(self, line: bytes, events: list[bytes]) -> None:
        if line.startswith(b"data:"):
            self._data.append(line[5:].strip())
        elif self._data and line in (b"", b"\r"):
            events.append(self._data[0] if len(self._data) == 1 else b"\n".join(self._data))
            self._data = []
