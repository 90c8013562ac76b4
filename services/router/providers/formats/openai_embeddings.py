"""OpenAI's embeddings, `POST /embeddings`: also those of Azure and of the servers that speak as OpenAI does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from libs.core.money import TokenCounts
from services.router.domain.embedding import Embedding, Vectors
from services.router.providers.base import NO_OPTIONS, EncodedEmbedding, Options
from services.router.providers.formats.openai_errors import OPENAI_CODES, OPENAI_WORDS
from services.router.providers.reading.error_table import ErrorTable
from services.router.providers.reading.json_values import Json, load_object, malformed, token_count
from services.router.providers.reading.vectors import read_vectors

PathOf = Callable[[Options, str], str]
"""The path for a provider's options and its own id of the model."""

_ERRORS = ErrorTable(codes=OPENAI_CODES, words=OPENAI_WORDS)


def _usual_path(options: Options, provider_model_id: str) -> str:  # noqa: ARG001 - the same for all
    return "/embeddings"


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAIEmbedder:
    """A `base.Embedder`; see there for the methods.

    `base64`: vectors are asked for as bytes, which take a fourth of the room and of the time; both ways are read,
    whatever was asked for. `dimensions_fields`: the name of that field for a server, by the option `server`.
    """

    base64: bool = False
    dimensions_fields: Mapping[str, str] = field(default_factory=dict)
    path: PathOf = _usual_path

    def encode(self, request: Embedding, *, provider_model_id: str, options: Options = NO_OPTIONS) -> EncodedEmbedding:
        """All inputs at once."""
        body: Json = {"input": request.inputs, "model": provider_model_id}
        if self.base64:
            body["encoding_format"] = "base64"
        if request.dimensions is not None:
            body[self.dimensions_fields.get(str(options.get("server")), "dimensions")] = request.dimensions
        if request.end_user:
            body["user"] = request.end_user
        return EncodedEmbedding(self.path(options, provider_model_id), orjson.dumps(body))

    def decode(self, body: bytes, count: int) -> Vectors:
        """The vectors by their `index`."""
        answer = load_object(body)
        data = answer.get("data")
        if not isinstance(data, list):
            raise _ERRORS.embedded(error) if (error := answer.get("error")) else malformed()
        vectors = read_vectors((entry.get("embedding") for entry in _in_order(data)), count)
        return Vectors(vectors=vectors, usage=_usage(answer.get("usage")))


def _in_order(data: list[Any]) -> list[Json]:
    """The entries by their index; as they come where none has one. What is missing is empty."""
    entries: list[Json] = [entry if isinstance(entry, dict) else {} for entry in data]
    places = [entry.get("index") for entry in entries]
    if places == list(range(len(data))) or not any(place is not None for place in places):
        return entries
    by_place = {place: entry for place, entry in zip(places, entries, strict=True) if isinstance(place, int)}
    return [by_place.get(place, {}) for place in range(len(data))]


def _usage(usage: object) -> TokenCounts | None:
    """Input only. Servers that do not count say 0, which is as good as nothing."""
    if not isinstance(usage, dict):
        return None
    prompt, total = token_count(usage, "prompt_tokens", absent=0), token_count(usage, "total_tokens", absent=0)
    if prompt is None or total is None:
        return None
    tokens = max(prompt, total)
    return TokenCounts(input_tokens=tokens) if tokens else None
