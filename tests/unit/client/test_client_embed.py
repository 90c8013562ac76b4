from __future__ import annotations

import pytest
from gatehouse import AsyncClient, Client
from gatehouse.router.v1.generation_pb2 import COMPATIBILITY_DROP, FALLBACK_POLICY_ANY, Outcome, TokenUsage
from gatehouse.router.v1.generation_service_pb2 import EMBEDDING_PURPOSE_QUERY, Embedding, EmbedResponse, Vector

from tests.unit.client.fake_gatehouse import FakeGatehouse

ANSWER = EmbedResponse(
    vectors=[Vector(values=[0.5, -1.0]), Vector(values=[2.0, 0.25])],
    outcome=Outcome(operation_id="op", usage=TokenUsage(input_tokens=4)),
)


def sent(fake: FakeGatehouse) -> Embedding:
    embedding: Embedding = fake.last("Embed").request.embedding
    return embedding


def test_vectors_come_in_their_order(fake: FakeGatehouse, client: Client) -> None:
    fake.answers["Embed"] = lambda _: ANSWER
    answer = client.embed(["a", "b"])
    assert [list(vector) for vector in answer.vectors] == [[0.5, -1.0], [2.0, 0.25]]
    assert answer.outcome == ANSWER.outcome
    assert (answer.cost_nano_usd, answer.trace.revision) == (None, 0)
    assert sent(fake) == Embedding(inputs=["a", "b"])


def test_one_text_may_be_given_as_it_is(fake: FakeGatehouse, client: Client) -> None:
    client.embed("bread")
    assert sent(fake) == Embedding(inputs=["bread"])


def test_every_option_reaches_its_field(fake: FakeGatehouse, client: Client) -> None:
    client.embed(
        ("a",),
        provider="openai",
        model="embed",
        fallback=True,
        dimensions=64,
        purpose="query",
        compatibility="drop",
        end_user="u-7",
        task="search",
        labels={"a": "b"},
        request_id="id",
        timeout=20,
        revision=7,
    )
    assert sent(fake) == Embedding(
        inputs=["a"],
        provider="openai",
        model="embed",
        fallback=FALLBACK_POLICY_ANY,
        dimensions=64,
        purpose=EMBEDDING_PURPOSE_QUERY,
        compatibility=COMPATIBILITY_DROP,
        end_user="u-7",
        task="search",
        labels={"a": "b"},
        request_id="id",
    )
    call = fake.last("Embed")
    assert call.metadata["gatehouse-revision"] == "7"
    assert call.seconds_left == pytest.approx(20, abs=5)


def test_words_are_checked_before_the_call(fake: FakeGatehouse, client: Client) -> None:
    with pytest.raises(ValueError, match="purpose is one of document, query, similarity, classification, clustering"):
        client.embed("a", purpose="poetry")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="compatibility is one of strict, drop"):
        client.embed("a", compatibility="loose")  # type: ignore[arg-type]
    assert fake.received == []


async def test_the_async_client_does_the_same(fake: FakeGatehouse) -> None:
    fake.answers["Embed"] = lambda _: ANSWER
    async with AsyncClient(endpoints=fake.target, ca=fake.ca, token="t0ken") as client:
        answer = await client.embed(["a", "b"], dimensions=2)
    assert [list(vector) for vector in answer.vectors] == [[0.5, -1.0], [2.0, 0.25]]
    assert sent(fake).dimensions == 2


def test_a_large_answer_fits(fake: FakeGatehouse, client: Client) -> None:
    """60 MiB: the most numbers that Gatehouse gives at once."""
    vector = Vector(values=[0.5] * 7680)
    whole = EmbedResponse(vectors=[vector] * 2048)
    fake.answers["Embed"] = lambda _: whole
    answer = client.embed(["x"] * 2048)
    assert (len(answer.vectors), len(answer.vectors[-1])) == (2048, 7680)
