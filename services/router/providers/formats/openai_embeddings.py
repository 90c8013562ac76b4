"""OpenAI's embeddings, `POST /embeddings`: also those of Azure and of the servers that speak as OpenAI does."""

from __future__ import annotations

import binascii
import math
import sys
from array import array
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

PathOf = Callable[[Options, str], str]
"""The path for a provider's options and its own id of the model."""

_ERRORS = ErrorTable(codes=OPENAI_CODES, words=OPENAI_WORDS)
_BIG_ENDIAN = sys.byteorder == "big"


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
        if len(data) != count:
            raise malformed()
        try:
            vectors = tuple(_vector(entry["embedding"]) for entry in _in_order(data))
        except (TypeError, KeyError, ValueError, OverflowError):
            raise malformed() from None
        length = len(vectors[0]) if vectors else 0
        if not length or any(len(vector) != length for vector in vectors):
            raise malformed()
        return Vectors(vectors=vectors, usage=_usage(answer.get("usage")))


def _in_order(data: list[Any]) -> list[Any]:
    """The entries by their index; as they come where none has one. Raises TypeError, KeyError or ValueError."""
    places = [entry.get("index") if isinstance(entry, dict) else None for entry in data]
    if places == list(range(len(data))) or not any(place is not None for place in places):
        return data
    by_place = {place: entry for place, entry in zip(places, data, strict=True) if isinstance(place, int)}
    return [by_place[place] for place in range(len(data))]


def _vector(values: object) -> array[float]:
    """A vector given as numbers, or as the bytes of little-endian floats in base64. Raises TypeError or ValueError."""
    vector = array("f")
    if isinstance(values, str):
        vector.frombytes(binascii.a2b_base64(values, strict_mode=True))
        if _BIG_ENDIAN:
            vector.byteswap()
    elif isinstance(values, list):
        vector.fromlist(values)
    else:
        raise TypeError("a vector is numbers or text")
    if not _is_finite(vector):
        raise ValueError("a vector has finite numbers")
    return vector


def _is_finite(vector: array[float]) -> bool:
    # Exponents as large as those of infinity and NaN begin at 1.7e38, which no model gives: looking at the bytes that
    # hold them takes a tenth of the time that looking at the numbers does.
    highest = vector.tobytes()[0 if _BIG_ENDIAN else 3 :: vector.itemsize]
    return not (b"\x7f" in highest or b"\xff" in highest) or all(map(math.isfinite, vector))


def _usage(usage: object) -> TokenCounts | None:
    """Input only. Servers that do not count say 0, which is as good as nothing."""
    if not isinstance(usage, dict):
        return None
    prompt, total = token_count(usage, "prompt_tokens", absent=0), token_count(usage, "total_tokens", absent=0)
    if prompt is None or total is None:
        return None
    tokens = max(prompt, total)
    return TokenCounts(input_tokens=tokens) if tokens else None
