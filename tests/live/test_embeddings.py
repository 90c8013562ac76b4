"""Texts turned into vectors."""

from __future__ import annotations

import math
from array import array

import pytest

from services.router.domain.embedding import Embedding
from tests.live.asking import Asker
from tests.live.target import EMBEDDING_MODEL, LiveTarget

_TEXTS = (
    "A cat sleeps on the sofa.",
    "A kitten naps on the couch.",
    "Central banks raised their interest rates by half a point.",
)
_SAME = 0.99
_REFUSALS = ("embedding", "dimension", "output_dimension", "matryoshka")


@pytest.fixture
def embedder(lone_asker: Asker, target: LiveTarget) -> Asker:
    if target.dialect.embedder is None:
        pytest.skip(f"the dialect does not carry it: {target.type} has no embeddings")
    if not target.embedding_model:
        pytest.skip(f"{EMBEDDING_MODEL} is not set")
    return lone_asker


def _likeness(one: array[float], other: array[float]) -> float:
    """The cosine of the angle between two vectors."""
    return sum(a * b for a, b in zip(one, other, strict=True)) / (math.hypot(*one) * math.hypot(*other))


@pytest.mark.live("embeddings", *_REFUSALS)
async def test_each_text_has_its_vector(embedder: Asker) -> None:
    answer = await embedder.embed(Embedding(inputs=_TEXTS))
    assert len(answer.vectors) == len(_TEXTS)
    assert all(math.isfinite(math.hypot(*vector)) and math.hypot(*vector) > 0 for vector in answer.vectors)
    near, far = (_likeness(answer.vectors[0], other) for other in answer.vectors[1:])
    if near <= far:
        pytest.xfail(f"not as told: texts that are alike are not nearer ({near:.2f}) than others ({far:.2f})")


@pytest.mark.live("embeddings-order", *_REFUSALS)
async def test_vectors_come_in_the_order_of_the_texts(embedder: Asker) -> None:
    alone = [(await embedder.embed(Embedding(inputs=(text,)))).vectors[0] for text in _TEXTS]
    together = (await embedder.embed(Embedding(inputs=_TEXTS))).vectors
    found = [[_likeness(vector, other) > _SAME for other in alone] for vector in together]
    mixed_up = [place for place, row in enumerate(found) if not row[place] and any(row)]
    assert mixed_up == [], "the vector of one text stands at another's place"
    if not all(map(any, found)):
        pytest.xfail("not as told: a text has another vector in company than alone")


@pytest.mark.live("embeddings-usage", *_REFUSALS)
async def test_usage_of_vectors_is_told(embedder: Asker) -> None:
    usage = (await embedder.embed(Embedding(inputs=_TEXTS))).usage
    if usage is None:
        pytest.xfail("not as told: no usage is told")
    assert 3 <= usage.input_tokens < 1000
    assert usage.total == usage.input_tokens


@pytest.mark.live("dimensions", *_REFUSALS)
async def test_vectors_have_as_many_dimensions_as_asked_for(embedder: Asker) -> None:
    natural = len((await embedder.embed(Embedding(inputs=_TEXTS[:1]))).vectors[0])
    wanted = 256 if natural > 256 else natural // 2
    answer = await embedder.embed(Embedding(inputs=_TEXTS[:1], dimensions=wanted))
    assert len(answer.vectors[0]) == wanted
