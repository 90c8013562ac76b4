import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.sandbox.answers import make_embeddings
from libs.sandbox.dialect import EmbeddingQuestion
from libs.sandbox.directives import Directives
from libs.sandbox.vectors import MAX_DIMENSIONS, MIN_DIMENSIONS, vector_for


def near(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


@given(st.text(), st.integers(MIN_DIMENSIONS, MAX_DIMENSIONS))
def test_every_text_has_one_vector_of_unit_length(text: str, dimensions: int) -> None:
    vector = vector_for(text, dimensions)
    assert len(vector) == dimensions
    assert math.isclose(sum(value * value for value in vector), 1.0)
    assert vector == vector_for(text, dimensions)


def test_texts_that_share_words_are_near() -> None:
    asked = vector_for("Why is the sky blue?")
    assert near(asked, vector_for("The sky is blue")) > 0.6 > near(asked, vector_for("Bring me two coffees, please"))
    assert asked != vector_for("blue the sky is Why?")


@pytest.mark.parametrize(("wanted", "count"), [(None, 2), (0, 0), (1, 1), (5, 5)])
def test_a_directive_changes_how_many_vectors_come(wanted: int | None, count: int) -> None:
    question = EmbeddingQuestion(model="sandbox-embed", inputs=("a", "b"), prompt_tokens=2, dimensions=8)
    answer = make_embeddings(question, Directives(vectors=wanted, no_usage=True))
    assert (len(answer.vectors), answer.with_usage) == (count, False)
