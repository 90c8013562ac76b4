"""Texts to turn into vectors, in no provider's dialect."""

from __future__ import annotations

import enum
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from libs.core.money import TokenCounts
from services.router.domain import features


class EmbeddingPurpose(enum.Enum):
    """What vectors are for."""

    DOCUMENT = "document"
    QUERY = "query"
    SIMILARITY = "similarity"
    CLASSIFICATION = "classification"
    CLUSTERING = "clustering"


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedding:
    """A validated call. None and empty mean "not said"."""

    inputs: tuple[str, ...]
    provider: str = ""
    model: str = ""
    fallback: bool = False
    dimensions: int | None = None
    purpose: EmbeddingPurpose | None = None
    task: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    request_id: str = ""
    end_user: str = ""
    drop_unsupported: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Vectors:
    """One vector for each input, in their order: arrays of floats of 32 bits, all of one length.

    `usage` is None when the provider did not say.
    """

    vectors: tuple[array[float], ...]
    usage: TokenCounts | None


def needed_by(request: Embedding) -> int:
    """The features a call needs, as a mask of `features`."""
    return (
        features.EMBEDDINGS
        | (features.DIMENSIONS if request.dimensions is not None else 0)
        | (features.PURPOSE if request.purpose is not None else 0)
        | (features.END_USER if request.end_user else 0)
    )


def without(request: Embedding, missing: int) -> Embedding:
    """The call without the features of `missing` that can be left out."""
    if missing & features.DIMENSIONS:
        request = replace(request, dimensions=None)
    if missing & features.PURPOSE:
        request = replace(request, purpose=None)
    if missing & features.END_USER:
        request = replace(request, end_user="")
    return request
