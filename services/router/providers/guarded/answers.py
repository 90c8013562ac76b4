"""The answers of a plugin's provider, behind its guard."""

from __future__ import annotations

from typing import Any

from services.router.domain.embedding import Embedding, Vectors
from services.router.domain.generation import Answer, ProviderEvent
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
        with self._guard("stream_format", sent=False):
            found: Any = self._answers.stream_format
            if not isinstance(found, StreamFormat) or not isinstance(found.content_type, str):
                raise WrongValueError(f"a {type(found).__name__}, no StreamFormat")
        return StreamFormat(found.content_type, lambda: _GuardedReader(found, self._guard))

    def decode(self, body: bytes) -> Answer:
        """As the plugin's."""
        with self._guard("decode", sent=True):
            return checked_answer(self._answers.decode(body))

    def stream_decoder(self) -> StreamDecoder:
        """As the plugin's."""
        with self._guard("stream_decoder", sent=True):
            return _GuardedDecoder(self._answers.stream_decoder(), self._guard)


class _GuardedReader:
    """A `base.ByteReader`."""

    __slots__ = ("_guard", "_reader")

    def __init__(self, stream_format: StreamFormat, guard: Guard) -> None:
        self._guard = guard
        with guard("reader", sent=True):
            self._reader: ByteReader = stream_format.reader()

    def feed(self, chunk: bytes) -> list[bytes]:
        with self._guard("reader", sent=True):
            return checked_chunks(self._reader.feed(chunk))

    def end(self) -> list[bytes]:
        with self._guard("reader", sent=True):
            return checked_chunks(self._reader.end())


class _GuardedDecoder:
    """A `base.StreamDecoder`."""

    __slots__ = ("_decoder", "_guard")

    def __init__(self, decoder: StreamDecoder, guard: Guard) -> None:
        self._decoder = decoder
        self._guard = guard

    def feed(self, data: bytes) -> list[ProviderEvent]:
        with self._guard("feed", sent=True):
            return checked_events(self._decoder.feed(data))

    def end(self) -> list[ProviderEvent]:
        with self._guard("end", sent=True):
            return checked_events(self._decoder.end())


class GuardedEmbedder:
    """A `base.Embedder`."""

    __slots__ = ("_embedder", "_guard")

    def __init__(self, embedder: Embedder, guard: Guard) -> None:
        self._embedder = embedder
        self._guard = guard

    def encode(self, request: Embedding, *, provider_model_id: str, options: Options = NO_OPTIONS) -> EncodedEmbedding:
        """As the plugin's."""
        with self._guard("embedder.encode", sent=False):
            found = self._embedder.encode(request, provider_model_id=provider_model_id, options=options)
            if not isinstance(found, EncodedEmbedding):
                raise WrongValueError(f"a {type(found).__name__}, no EncodedEmbedding")
            return EncodedEmbedding(checked_path(found.path), checked_body(found.body), checked_headers(found.headers))

    def decode(self, body: bytes, count: int) -> Vectors:
        """As the plugin's."""
        with self._guard("embedder.decode", sent=True):
            return checked_vectors(self._embedder.decode(body, count), count)
