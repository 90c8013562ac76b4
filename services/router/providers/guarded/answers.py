"""The answers of a plugin's provider, behind its guard."""

from __future__ import annotations

from typing import Any

from services.router.domain.embedding import Embedding, Vectors
from services.router.domain.generation import (
    Answer,
    Finished,
    ProviderEvent,
    ToolArgumentsDelta,
    ToolCallStarted,
)
from services.router.providers.base import (
    NO_OPTIONS,
    AnswerFormat,
    ByteReader,
    Embedder,
    EncodedEmbedding,
    Options,
    StreamDecoder,
    StreamFormat,
)
from services.router.providers.guarded.guard import Guard
from services.router.providers.guarded.values import (
    WrongValueError,
    checked_answer,
    checked_body,
    checked_chunks,
    checked_events,
    checked_headers,
    checked_path,
    checked_vectors,
    copied_options,
)


class GuardedAnswers:
    """A `base.AnswerFormat`."""

    __slots__ = ("_answers", "_guard")

    def __init__(self, answers: AnswerFormat, guard: Guard) -> None:
        self._answers = answers
        self._guard = guard

    @property
    def stream_format(self) -> StreamFormat:
        """As the plugin's, its reader guarded too."""
        found = self._guard("stream_format", self._stream_format, sent=False)
        return StreamFormat(found.content_type, lambda: _GuardedReader(found, self._guard))

    def decode(self, body: bytes) -> Answer:
        """As the plugin's."""
        return self._guard("decode", lambda: checked_answer(self._answers.decode(body)), sent=True)

    def stream_decoder(self) -> StreamDecoder:
        """As the plugin's."""
        return _GuardedDecoder(self._guard("stream_decoder", self._answers_decoder, sent=True), self._guard)

    def _answers_decoder(self) -> StreamDecoder:
        return self._answers.stream_decoder()

    def _stream_format(self) -> StreamFormat:
        found: Any = self._answers.stream_format
        if not isinstance(found, StreamFormat) or not isinstance(found.content_type, str):
            raise WrongValueError(f"a {type(found).__name__}, no StreamFormat")
        return found


class _GuardedReader:
    """A `base.ByteReader`."""

    __slots__ = ("_guard", "_reader")

    def __init__(self, stream_format: StreamFormat, guard: Guard) -> None:
        self._guard = guard
        self._reader: ByteReader = guard("reader", stream_format.reader, sent=True)

    def feed(self, chunk: bytes) -> list[bytes]:
        return self._guard("reader", lambda: checked_chunks(self._reader.feed(chunk)), sent=True)

    def end(self) -> list[bytes]:
        return self._guard("reader", lambda: checked_chunks(self._reader.end()), sent=True)


class _GuardedDecoder:
    """A `base.StreamDecoder`; what its events mean together is right too."""

    __slots__ = ("_calls", "_decoder", "_finished", "_guard")

    def __init__(self, decoder: StreamDecoder, guard: Guard) -> None:
        self._decoder = decoder
        self._guard = guard
        self._calls = 0
        self._finished = False

    def feed(self, data: bytes) -> list[ProviderEvent]:
        return self._guard("feed", lambda: self._checked(self._decoder.feed(data)), sent=True)

    def end(self) -> list[ProviderEvent]:
        return self._guard("end", self._end, sent=True)

    def _end(self) -> list[ProviderEvent]:
        events = self._checked(self._decoder.end())
        if not self._finished:
            # Whoever reads the stream would wait for the end for ever.
            raise WrongValueError("no end, though the bytes have ended, and no error")
        return events

    def _checked(self, value: object) -> list[ProviderEvent]:
        events = checked_events(value)
        for event in events:
            if self._finished:
                raise WrongValueError("something after the end")
            if isinstance(event, Finished):
                self._finished = True
            elif isinstance(event, ToolCallStarted):
                if event.index != self._calls:
                    raise WrongValueError("a tool call whose index is not the next one")
                self._calls += 1
            elif isinstance(event, ToolArgumentsDelta) and event.index >= self._calls:
                raise WrongValueError("arguments of a tool call that has not begun")
        return events


class GuardedEmbedder:
    """A `base.Embedder`."""

    __slots__ = ("_embedder", "_guard")

    def __init__(self, embedder: Embedder, guard: Guard) -> None:
        self._embedder = embedder
        self._guard = guard

    def encode(self, request: Embedding, *, provider_model_id: str, options: Options = NO_OPTIONS) -> EncodedEmbedding:
        """As the plugin's."""

        def encode() -> EncodedEmbedding:
            found: Any = self._embedder.encode(
                request, provider_model_id=provider_model_id, options=copied_options(options)
            )
            if not isinstance(found, EncodedEmbedding):
                raise WrongValueError(f"a {type(found).__name__}, no EncodedEmbedding")
            return EncodedEmbedding(checked_path(found.path), checked_body(found.body), checked_headers(found.headers))

        return self._guard("embedder.encode", encode, sent=False)

    def decode(self, body: bytes, count: int) -> Vectors:
        """As the plugin's."""
        return self._guard(
            "embedder.decode", lambda: checked_vectors(self._embedder.decode(body, count), count), sent=True
        )
