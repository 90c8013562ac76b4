"""Calls for vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, TypedDict, Unpack

from gatehouse.answers import Embeddings
from gatehouse.operations.enum_words import named
from gatehouse.operations.generation import DEFAULT_TIMEOUT_S, compatibility_of, fallback_policy
from gatehouse.operations.operation import Operation, operation
from gatehouse.router.v1.generation_service_pb2 import Embedding, EmbeddingPurpose, EmbedRequest, EmbedResponse

Purpose = Literal["document", "query", "similarity", "classification", "clustering"]
"""What vectors are for."""


class EmbeddingOptions(TypedDict, total=False):
    """Everything a call for vectors can say beside its texts; see GenerationOptions for what both can.

    - `model`: left out, the provider's default model if it makes vectors, else its first that does.
    - `fallback`: whether another model may serve when that one cannot. Left out it may not: vectors of different
      models cannot be compared.
    - `dimensions`: how many numbers a vector has. `purpose`: what it is for, where the model makes a difference:
      `document`, `query`, `similarity`, `classification` or `clustering`.
    """

    provider: str
    model: str
    fallback: bool
    dimensions: int
    purpose: Purpose
    compatibility: Literal["strict", "drop"]
    end_user: str
    task: str
    labels: Mapping[str, str]
    request_id: str
    timeout: float
    revision: int


def embed(texts: str | Sequence[str], /, **options: Unpack[EmbeddingOptions]) -> Operation[Embeddings]:
    """Turn texts into vectors."""
    return operation(
        "router",
        "/gatehouse.router.v1.GenerationService/Embed",
        EmbedRequest(embedding=_embedding(texts, options)),
        EmbedResponse,
        lambda response: Embeddings(
            vectors=tuple(vector.values for vector in response.vectors), outcome=response.outcome
        ),
        timeout=options.get("timeout", DEFAULT_TIMEOUT_S),
        revision=options.get("revision"),
    )


def _embedding(texts: str | Sequence[str], options: EmbeddingOptions) -> Embedding:
    return Embedding(
        inputs=[texts] if isinstance(texts, str) else texts,
        provider=options.get("provider", ""),
        model=options.get("model", ""),
        fallback=fallback_policy(options.get("fallback")),
        dimensions=options.get("dimensions"),
        purpose=named(EmbeddingPurpose, "purpose", options.get("purpose")),
        task=options.get("task", ""),
        labels=options.get("labels", {}),
        request_id=options.get("request_id", ""),
        end_user=options.get("end_user", ""),
        compatibility=compatibility_of(options.get("compatibility")),
    )
