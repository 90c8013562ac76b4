"""Texts to turn into vectors, in no provider's dialect."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from libs.core.money import TokenCounts


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
    """One vector for each input, in their order. `usage` is None when the provider did not say."""

    vectors: tuple[Sequence[float], ...]
    usage: TokenCounts | None
