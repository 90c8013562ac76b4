"""What holds for the vectors of every provider that has any, seen over the wire against the sandbox."""

import math
from collections.abc import Mapping
from typing import Any

import aiohttp
import pytest

from libs.core.money import TokenCounts
from libs.sandbox import Sandbox
from libs.sandbox.vectors import vector_for
from services.router.domain.embedding import Embedding, EmbeddingPurpose, Vectors
from services.router.domain.errors import ProviderError, Reason
from services.router.domain.ports import Dispatch
from services.router.providers.http.session import HttpProviderSession
from tests.contract.dialects.variants import VARIANTS, Variant
from tests.integration.router_providers.wire import Exchange, embedding_dispatch, serving

EMBEDDERS = sorted(name for name, variant in VARIANTS.items() if variant.can("embeddings"))
TEXTS = ("The sky is blue.", "The sky, it is blue!", "«é€😀» ungrateful", "Bread")

pytestmark = pytest.mark.parametrize("variant", EMBEDDERS, indirect=True)


def sent(variant: Variant, base_url: str, request: Embedding, **fields: Any) -> Dispatch[Embedding]:
    fields = {"model": "sandbox-embed", "dialect": variant.type, "options": variant.options, **fields}
    return embedding_dispatch(base_url, request, **fields)


async def failed(session: HttpProviderSession, call: Dispatch[Embedding]) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await session.embed(call)
    return caught.value


def near(vectors: Vectors) -> list[float]:
    """How near the first is to each."""
    first = vectors.vectors[0]
    return [sum(a * b for a, b in zip(first, each, strict=True)) for each in vectors.vectors]


def test_some_provider_has_embeddings(variant: Variant) -> None:
    assert variant.dialect.embedder is not None


async def test_each_text_has_its_vector_in_the_order_they_were_given(
    session: HttpProviderSession, base_url: str, variant: Variant
) -> None:
    vectors = await session.embed(sent(variant, base_url, Embedding(inputs=TEXTS)))
    assert len(vectors.vectors) == len(TEXTS)
    for text, vector in zip(TEXTS, vectors.vectors, strict=True):
        assert vector.itemsize == 4
        assert vector.tolist() == pytest.approx(vector_for(text, len(vector)), abs=1e-6)
    nearness = near(vectors)
    assert nearness[0] == pytest.approx(1.0, abs=1e-5)
    assert nearness[1] > 0.5 > nearness[3]


async def test_one_text_has_one_vector(session: HttpProviderSession, base_url: str, variant: Variant) -> None:
    (vector,) = (await session.embed(sent(variant, base_url, Embedding(inputs=("Bread",))))).vectors
    assert math.isclose(sum(value * value for value in vector), 1.0, abs_tol=1e-5)


async def test_a_large_batch_comes_whole(session: HttpProviderSession, base_url: str, variant: Variant) -> None:
    inputs = tuple(f"text number {number}" for number in range(100))
    vectors = await session.embed(sent(variant, base_url, Embedding(inputs=inputs)))
    assert len(set(map(tuple, vectors.vectors))) == 100


async def test_vectors_have_the_dimensions_asked_for(
    session: HttpProviderSession, base_url: str, variant: Variant
) -> None:
    if not variant.can("dimensions"):
        pytest.skip("the provider gives vectors of one length only")
    vectors = await session.embed(sent(variant, base_url, Embedding(inputs=TEXTS, dimensions=24)))
    assert [len(each) for each in vectors.vectors] == [24] * len(TEXTS)


async def test_every_purpose_can_be_said_where_the_provider_has_any(
    session: HttpProviderSession, base_url: str, variant: Variant
) -> None:
    if not variant.can("purpose"):
        pytest.skip("the provider makes no difference")
    for purpose in EmbeddingPurpose:
        vectors = await session.embed(sent(variant, base_url, Embedding(inputs=("Bread",), purpose=purpose)))
        assert len(vectors.vectors) == 1


async def test_an_end_user_can_be_named_where_the_provider_has_any(
    session: HttpProviderSession, sandbox: Sandbox, base_url: str, variant: Variant
) -> None:
    if not variant.can("end_user"):
        pytest.skip("the provider has no place for it")
    await session.embed(sent(variant, base_url, Embedding(inputs=("Bread",), end_user="u-7f3a")))
    assert b"u-7f3a" in sandbox.requests[-1].body


async def test_usage_is_what_the_bill_says(
    session: HttpProviderSession, sandbox: Sandbox, base_url: str, variant: Variant
) -> None:
    vectors = await session.embed(sent(variant, base_url, Embedding(inputs=TEXTS)))
    (record,) = [each for each in sandbox.bill.records() if each.event == "finished"]
    assert (record.outcome, record.operation, record.completion_tokens) == ("completed", "embeddings", 0)
    assert record.call == "operation/1"
    # Those that count nothing of embeddings say nothing.
    assert vectors.usage in (TokenCounts(input_tokens=record.prompt_tokens), None)


async def test_a_provider_that_says_nothing_of_usage_is_taken_at_its_word(
    session: HttpProviderSession, base_url: str, variant: Variant
) -> None:
    vectors = await session.embed(sent(variant, base_url, Embedding(inputs=("Bread [[sandbox no_usage]]",))))
    assert vectors.usage is None


FAILURES: Mapping[str, tuple[Reason, int]] = {
    "status=400": (Reason.PROVIDER_INVALID_REQUEST, 400),
    "status=401": (Reason.PROVIDER_KEY_REJECTED, 401),
    "status=403": (Reason.PROVIDER_PERMISSION_DENIED, 403),
    "status=404": (Reason.PROVIDER_MODEL_NOT_FOUND, 404),
    "status=429 retry_after=1.5": (Reason.PROVIDER_RATE_LIMITED, 429),
    "status=500": (Reason.PROVIDER_ERROR, 500),
    "status=503": (Reason.PROVIDER_OVERLOADED, 503),
    "status=302 location=/elsewhere": (Reason.PROVIDER_BAD_RESPONSE, 302),
    "error_after=0": (Reason.PROVIDER_ERROR, 200),
    "garbage": (Reason.PROVIDER_BAD_RESPONSE, 200),
    "html": (Reason.PROVIDER_BAD_RESPONSE, 200),
    "reset": (Reason.PROVIDER_UNREACHABLE, 0),
    "cut_after=0": (Reason.PROVIDER_UNREACHABLE, 0),
    # One vector too few, one too many, none.
    "vectors=2": (Reason.PROVIDER_BAD_RESPONSE, 200),
    "vectors=4": (Reason.PROVIDER_BAD_RESPONSE, 200),
    "vectors=0": (Reason.PROVIDER_BAD_RESPONSE, 200),
}


@pytest.mark.parametrize("words", FAILURES)
async def test_every_failure_has_its_class(
    session: HttpProviderSession, base_url: str, variant: Variant, words: str
) -> None:
    if words in variant.unworded:
        pytest.skip("the provider has no words for it")
    inputs = ("Bread", f"Salt [[sandbox {words}]]", "Butter")
    error = await failed(session, sent(variant, base_url, Embedding(inputs=inputs)))
    assert (error.reason, error.status) == FAILURES[words]
    assert error.retry_after_s == (1.5 if "retry_after" in words else None)


async def test_a_wrong_key_and_an_unknown_model_are_told_apart(
    session: HttpProviderSession, base_url: str, variant: Variant
) -> None:
    request = Embedding(inputs=("Bread",))
    no_model = await failed(session, sent(variant, base_url, request, model="gpt-0"))
    assert no_model.reason is Reason.PROVIDER_MODEL_NOT_FOUND
    wrong_key = await failed(session, sent(variant, base_url, request, key="sk-other"))
    assert wrong_key.reason is Reason.PROVIDER_KEY_REJECTED


async def test_vectors_of_another_length_than_asked_for_are_refused(
    session: HttpProviderSession, sandbox: Sandbox, base_url: str, variant: Variant
) -> None:
    """A server that takes no notice of `dimensions` is not believed."""

    async def answer(exchange: Exchange) -> None:
        await exchange.send(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
        )

    # What the provider says without being asked for dimensions.
    await session.embed(sent(variant, base_url, Embedding(inputs=("Bread",))))
    body = await _last_answer(sandbox, base_url)
    async with serving(answer) as server:
        other = server.base_url.removesuffix("/v1") + base_url.removeprefix(sandbox.url)
        call = sent(variant, other, Embedding(inputs=("Bread",), dimensions=24))
        assert (await failed(session, call)).reason is Reason.PROVIDER_BAD_RESPONSE


async def _last_answer(sandbox: Sandbox, base_url: str) -> bytes:
    """The sandbox's answer to the request it saw last, asked for once more."""
    seen = sandbox.requests[-1]
    headers = {"authorization": "Bearer sk-sandbox-again", "content-type": "application/json"}
    headers |= {"x-goog-api-key": "sk-sandbox-again", "api-key": "sk-sandbox-again"}
    async with (
        aiohttp.ClientSession() as client,
        client.post(sandbox.url + seen.path, params=seen.query, data=seen.body, headers=headers) as response,
    ):
        assert response.status == 200
        return await response.read()


@pytest.mark.parametrize(
    "body",
    [
        b"", b"\xff", b"null", b"[]", b"{}", b'"x"', b'{"data":null,"embeddings":null}', b'{"data":[],"embeddings":[]}',
        b'{"data":[null],"embeddings":[null]}', b'{"data":[{}],"embeddings":[{}]}', b"[" * 100_000,
        b'{"data":[{"embedding":[]}],"embeddings":[[]]}',
        b'{"data":[{"embedding":[1,null]}],"embeddings":[[1,null]]}',
        b'{"data":[{"embedding":["1"]}],"embeddings":[["1"]]}',
        b'{"data":[{"embedding":[1e300]}],"embeddings":[[1e300]]}',
        b'{"data":[{"embedding":[[1]]}],"embeddings":[[[1]]]}',
        b'{"embeddings":[{"values":[1e300]}]}', b'{"embeddings":[{"values":"x"}]}', b'{"embeddings":[{"values":null}]}',
    ],
)  # fmt: skip
def test_rubbish_is_a_bad_response(variant: Variant, body: bytes) -> None:
    embedder = variant.dialect.embedder
    assert embedder is not None
    with pytest.raises(ProviderError) as caught:
        embedder.decode(body, 1)
    assert caught.value.reason in (Reason.PROVIDER_BAD_RESPONSE, Reason.PROVIDER_ERROR)
