"""Vectors from `POST /api/embed`."""

from __future__ import annotations

import orjson

from libs.core.money import TokenCounts
from services.router.domain.embedding import Embedding, Vectors
from services.router.providers.base import NO_OPTIONS, EncodedEmbedding, Options
from services.router.providers.formats.ollama_chat.errors import ERRORS
from services.router.providers.formats.ollama_chat.request import kept_alive, load_settings
from services.router.providers.reading.json_values import Json, load_object, token_count
from services.router.providers.reading.vectors import read_vectors


class OllamaEmbedder:
    """A `base.Embedder`."""

    def encode(self, request: Embedding, *, provider_model_id: str, options: Options = NO_OPTIONS) -> EncodedEmbedding:
        """`POST {base_url}/api/embed`."""
        body: Json = {
            "model": provider_model_id,
            "input": list(request.inputs),
            # By default what does not fit the context is cut off without a word.
            "truncate": False,
        }
        if request.dimensions is not None:
            body["dimensions"] = request.dimensions
        settings = load_settings(options)
        if settings:
            body["options"] = settings
        body |= kept_alive(options)
        return EncodedEmbedding("/api/embed", orjson.dumps(body))

    def decode(self, body: bytes, count: int) -> Vectors:
        """The vectors of `count` inputs. Raises ProviderError."""
        answer = load_object(body)
        if answer.get("error"):
            raise ERRORS.embedded(answer["error"])
        given = answer.get("embeddings")
        vectors = read_vectors(given if isinstance(given, list) else (), count)
        # Zero is left out, but no input is that short.
        prompt = token_count(answer, "prompt_eval_count")
        return Vectors(vectors=vectors, usage=TokenCounts(input_tokens=prompt) if prompt else None)
