"""One streamed answer: from the bytes of a response to events."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import aiohttp

from services.router.domain.errors import ProviderError, Reason
from services.router.domain.generation import Finished, ProviderEvent
from services.router.providers.base import AnswerFormat
from services.router.providers.http.timers import Deadlines
from services.router.providers.http.transport import translated, within

_LINGER_S = 1.0
_MAX_LINGERING = 1_000


class HttpProviderStream:
    """A `ports.ProviderStream` over one HTTP response."""

    def __init__(
        self,
        response: aiohttp.ClientResponse,
        answers: AnswerFormat,
        *,
        deadlines: Deadlines,
        lingering: set[asyncio.Task[None]],
        warnings: tuple[str, ...] = (),
    ) -> None:
        self.warnings = warnings
        self._response = response
        self._decoder = answers.stream_decoder()
        self._reader = answers.stream_format.reader()
        self._deadlines = deadlines
        self._begun = False
        self._lingering = lingering
        self._failure: ProviderError | None = None
        self._finished = False
        self._closed = False

    async def read(self) -> list[ProviderEvent]:
        """The next events. Raises ProviderError."""
        events: list[ProviderEvent] = []
        while not events and not self._finished:
            if self._failure is not None:
                # The frames it was found in hold what the provider sent.
                raise self._failure.with_traceback(None)
            try:
                await self._receive(events)
            except ProviderError as failure:
                # What came before it is delivered first, or it would depend on how the bytes were split.
                self._failure = failure
            self._finished = bool(events) and isinstance(events[-1], Finished)
        return events

    def close(self) -> None:
        """Close the connection, or give it back when the answer was read to its end."""
        if self._closed:
            return
        self._closed = True
        if not self._finished:
            self._response.close()
        elif self._response.content.at_eof() or len(self._lingering) >= _MAX_LINGERING:
            # Gives the connection back, or closes it when there is more to come.
            self._response.release()
        else:
            # The provider has said all, only the end of the body is still under way: worth keeping the connection.
            task = asyncio.create_task(_read_end(self._response))
            self._lingering.add(task)
            task.add_done_callback(self._end_of_lingering)

    def _end_of_lingering(self, task: asyncio.Task[None]) -> None:
        # Here and not in the task itself: one that is cancelled before it began runs no line.
        self._lingering.discard(task)
        self._response.release()

    async def _receive(self, events: list[ProviderEvent]) -> None:
        """Read once and append what it means to `events`, also when it raises."""
        try:
            chunk = await self._chunk()
        except ProviderError as failure:
            try:
                # An answer of which only the usage or the end marker was lost is an answer.
                events.extend(self._decoder.end())
            except ProviderError:
                raise failure from None
            return
        if chunk:
            for data in self._reader.feed(chunk):
                events.extend(self._decoder.feed(data))
            return
        for data in self._reader.end():
            try:
                events.extend(self._decoder.feed(data))
            except ProviderError as failure:
                # Half an event is where the stream was cut; whether that matters the decoder knows.
                if failure.reason is not Reason.PROVIDER_BAD_RESPONSE:
                    raise
        events.extend(self._decoder.end())

    async def _chunk(self) -> bytes:
        """Some bytes, none at the end."""
        content = self._response.content
        timer, deadline = self._deadlines.for_next_event() if self._begun else self._deadlines.for_first_event()
        try:
            chunk = await within(timer, deadline, translated(content.readany(), sent=True))
        except ProviderError:
            # Of a broken connection aiohttp's reader keeps back what arrived before, and that will be billed.
            chunk = content._read_nowait(-1)  # noqa: SLF001 - there is no public way
            if not chunk:
                raise
        self._begun = True
        return chunk


async def _read_end(response: aiohttp.ClientResponse) -> None:
    with suppress(aiohttp.ClientError, OSError, TimeoutError):
        async with asyncio.timeout(_LINGER_S):
            # More than the end is not waited for.
            await response.content.readany()
