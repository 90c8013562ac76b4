"""Embed message by message: what is refused, and vectors as they came."""

from __future__ import annotations

from array import array
from typing import Any

import pytest
from gatehouse.router.v1 import generation_pb2
from gatehouse.router.v1 import generation_service_pb2 as pb

from libs.core.errors import InvalidArgument
from services.router.api.embeddings import MAX_NUMBERS, embedding, vectors_to_pb
from services.router.domain.configuration import Capabilities
from services.router.domain.embedding import Embedding, EmbeddingPurpose, Vectors
from services.router.domain.outcome import Outcome
from tests.unit.router.fakes import EMBED_USAGE, context, model, provider, world_of


def message(**fields: Any) -> pb.Embedding:
    return pb.Embedding(**{"inputs": ["Bread"], **fields})


def wrong(**fields: Any) -> list[str]:
    with pytest.raises(InvalidArgument) as caught:
        embedding(message(**fields))
    return [each.field for each in caught.value.field_violations]


def test_every_field_comes_through() -> None:
    assert embedding(message()) == Embedding(inputs=("Bread",))
    whole = message(
        inputs=["a", "«é€😀»"],
        provider="openai",
        model="embed",
        fallback=generation_pb2.FALLBACK_POLICY_ANY,
        dimensions=256,
        purpose=pb.EMBEDDING_PURPOSE_CLUSTERING,
        task="search",
        labels={"team": "one"},
        request_id="8a1f0e3c-6c1e-4f43-9f37-0c8a2f7d2f10",
        end_user="u-7",
        compatibility=generation_pb2.COMPATIBILITY_DROP,
    )
    assert embedding(whole) == Embedding(
        inputs=("a", "«é€😀»"),
        provider="openai",
        model="embed",
        fallback=True,
        dimensions=256,
        purpose=EmbeddingPurpose.CLUSTERING,
        task="search",
        labels={"team": "one"},
        request_id="8a1f0e3c-6c1e-4f43-9f37-0c8a2f7d2f10",
        end_user="u-7",
        drop_unsupported=True,
    )


def test_every_purpose_has_its_meaning() -> None:
    words = [value.name.removeprefix("EMBEDDING_PURPOSE_") for value in pb.EmbeddingPurpose.DESCRIPTOR.values][1:]
    found = [embedding(message(purpose=f"EMBEDDING_PURPOSE_{word}")).purpose for word in words]
    assert found == [EmbeddingPurpose[word] for word in words] == list(EmbeddingPurpose)


def test_no_fallback_unless_it_is_asked_for() -> None:
    assert not embedding(message()).fallback
    assert not embedding(message(fallback=generation_pb2.FALLBACK_POLICY_NONE)).fallback


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"inputs": []}, ["embedding.inputs"]),
        ({"inputs": ["x"] * 2049}, ["embedding.inputs"]),
        ({"inputs": ["x", "", "y" * 4_000_001]}, ["embedding.inputs[1]", "embedding.inputs[2]"]),
        ({"provider": "x" * 600}, ["embedding.provider"]),
        ({"model": "x" * 600}, ["embedding.model"]),
        ({"fallback": 9}, ["embedding.fallback"]),
        ({"dimensions": 0}, ["embedding.dimensions"]),
        ({"dimensions": 65_537}, ["embedding.dimensions"]),
        ({"dimensions": -1}, ["embedding.dimensions"]),
        ({"purpose": 9}, ["embedding.purpose"]),
        ({"task": "No id"}, ["embedding.task"]),
        ({"labels": {"Bad key": ""}}, ["embedding.labels['Bad key']"]),
        ({"labels": {f"k{number}": "" for number in range(17)}}, ["embedding.labels"]),
        ({"request_id": "7"}, ["embedding.request_id"]),
        ({"end_user": "x" * 65}, ["embedding.end_user"]),
        ({"end_user": "a\nb"}, ["embedding.end_user"]),
        ({"compatibility": 9}, ["embedding.compatibility"]),
        ({"inputs": ["x"] * 241, "dimensions": 65_536}, ["embedding.inputs"]),
        ({"inputs": [], "task": "No id"}, ["embedding.inputs", "embedding.task"]),
    ],
)
def test_what_is_wrong_is_named(fields: dict[str, Any], expected: list[str]) -> None:
    assert wrong(**fields) == expected


def test_as_many_as_fit_an_answer_may_be_asked_for() -> None:
    assert embedding(message(inputs=["x"] * 240, dimensions=65_536)).dimensions == 65_536
    assert embedding(message(inputs=["x"] * 2048, dimensions=7_680)).dimensions == 7_680
    assert MAX_NUMBERS == 2048 * 7_680


async def outcome_of() -> Outcome:
    world = world_of(provider(models=[model("embed", capabilities=Capabilities(embeddings=True))]))
    return (await world.embeddings().embed(Embedding(inputs=("Bread",)), context()))[1]


async def test_vectors_come_through_bit_by_bit() -> None:
    odd = array("f", (0.0, -0.0, 1.0, -1.5, 3.4028234663852886e38, 1e-45, 0.1))
    outcome = await outcome_of()
    for count, length in ((1, 1), (3, 31), (2, 32), (2, 5000)):
        given = tuple(array("f", (odd[(place + start) % 7] for place in range(length))) for start in range(count))
        response = vectors_to_pb(Vectors(vectors=given, usage=EMBED_USAGE), outcome)
        read = pb.EmbedResponse.FromString(response.SerializeToString())
        assert [array("f", each.values).tobytes() for each in read.vectors] == [each.tobytes() for each in given]


async def test_the_outcome_says_stop_and_what_it_took() -> None:
    response = vectors_to_pb(Vectors(vectors=(array("f", (1.0,)),), usage=EMBED_USAGE), await outcome_of())
    outcome = response.outcome
    assert outcome.finish_reason == generation_pb2.FINISH_REASON_STOP
    assert (outcome.usage.input_tokens, outcome.usage.output_tokens) == (10, 0)
    assert outcome.served_by.model == "embed"
    assert outcome.trace.targets[0].model == "embed"


async def test_more_numbers_than_an_answer_holds_are_refused_with_advice() -> None:
    much = (array("f", bytes(4 * 65_536)),) * 241
    with pytest.raises(InvalidArgument) as caught:
        vectors_to_pb(Vectors(vectors=much, usage=None), await outcome_of())
    assert "at most 240" in str(caught.value)
