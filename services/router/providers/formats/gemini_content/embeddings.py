"""Texts as vectors: `batchEmbedContents`, and `predict` for the older models of Vertex AI."""

from __future__ import annotations

from typing import Any

import orjson

from libs.core.money import TokenCounts
from services.router.domain.embedding import Embedding, EmbeddingPurpose, Vectors
from services.router.providers.base import NO_OPTIONS, EncodedEmbedding, Options
from services.router.providers.formats.gemini_content.errors import ERRORS
from services.router.providers.formats.gemini_content.model_names import model_id, model_path, resource_name
from services.router.providers.formats.gemini_content.usage import read_usage
from services.router.providers.reading.json_values import Json, load_object, token_count
from services.router.providers.reading.vectors import read_vectors

_TASK_TYPES = {
    EmbeddingPurpose.DOCUMENT: "RETRIEVAL_DOCUMENT",
    EmbeddingPurpose.QUERY: "RETRIEVAL_QUERY",
    EmbeddingPurpose.SIMILARITY: "SEMANTIC_SIMILARITY",
    EmbeddingPurpose.CLASSIFICATION: "CLASSIFICATION",
    EmbeddingPurpose.CLUSTERING: "CLUSTERING",
}


class GeminiEmbedder:
    """A `base.Embedder`. Each input is a request of its own in the batch: in one request they would be one vector.

    Vertex AI, which the option `auth: service_account` tells, wants the settings elsewhere.
    """

    def encode(self, request: Embedding, *, provider_model_id: str, options: Options = NO_OPTIONS) -> EncodedEmbedding:
        """`POST {base_url}/models/{model}:batchEmbedContents`, or `:predict`."""
        path = model_path(provider_model_id)
        settings: Json = {}
        if request.purpose is not None:
            settings["taskType"] = _TASK_TYPES[request.purpose]
        if request.dimensions is not None:
            settings["outputDimensionality"] = request.dimensions
        if options.get("auth") != "service_account":
            common = {"model": resource_name(provider_model_id), **settings}
        elif "gemini" in model_id(provider_model_id):
            common = {"embedContentConfig": settings} if settings else {}
        else:
            return EncodedEmbedding(f"{path}:predict", _prediction(request, settings))
        requests = [{**common, "content": {"role": "user", "parts": [{"text": each}]}} for each in request.inputs]
        return EncodedEmbedding(f"{path}:batchEmbedContents", orjson.dumps({"requests": requests}))

    def decode(self, body: bytes, count: int) -> Vectors:
        """The vectors, in the order of the requests. Only newer models say what they used. Raises ProviderError."""
        answer = load_object(body)
        if answer.get("error"):
            raise ERRORS.embedded(answer["error"])
        embeddings = answer.get("embeddings")
        if embeddings is None:
            embeddings = [_entry(each).get("embeddings") for each in _list(answer.get("predictions"))]
        embeddings = _list(embeddings)
        vectors = read_vectors((_entry(each).get("values") for each in embeddings), count)
        return Vectors(vectors=vectors, usage=_usage(answer, embeddings))


def _prediction(request: Embedding, settings: Json) -> bytes:
    task = {"task_type": settings["taskType"]} if "taskType" in settings else {}
    body: dict[str, Any] = {"instances": [{"content": each, **task} for each in request.inputs]}
    if "outputDimensionality" in settings:
        body["parameters"] = {"outputDimensionality": settings["outputDimensionality"]}
    return orjson.dumps(body)


def _usage(answer: Json, embeddings: list[object]) -> TokenCounts | None:
    usage = read_usage(answer.get("usageMetadata"))
    if usage is not None:
        return usage
    counts = [_count(each) for each in embeddings]
    return TokenCounts(input_tokens=sum(filter(None, counts))) if counts and None not in counts else None


def _count(embedding: object) -> int | None:
    return token_count(_entry(_entry(embedding).get("statistics")), "token_count")


def _entry(value: object) -> Json:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
