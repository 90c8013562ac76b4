"""OpenAI's own client as the yardstick for vectors: it sends what we send and reads what we read."""

from base64 import b64decode
from collections.abc import Mapping
from typing import Any

import orjson
import pytest
from openai import APIStatusError, AsyncOpenAI
from openai.types import EmbeddingCreateParams

from libs.core.money import TokenCounts
from libs.sandbox import Sandbox
from services.router.domain.embedding import Embedding
from services.router.domain.errors import ProviderError
from tests.integration.router_providers.wire import (
    CANARY,
    Exchange,
    embedding_dispatch,
    open_session,
    serving,
    whole,
)

MODEL = "sandbox-embed"
# What the two types of provider ask for by themselves, and how the SDK is told the same.
WRITTEN: Mapping[str, dict[str, Any]] = {"openai": {"encoding_format": "base64"}, "openai_compatible": {}}

CALLS: Mapping[str, tuple[Embedding, EmbeddingCreateParams]] = {
    "one text": (Embedding(inputs=("Bread",)), {"model": MODEL, "input": ["Bread"]}),
    "several texts": (
        Embedding(inputs=("Bread", "«é€😀»", "Bread")),
        {"model": MODEL, "input": ["Bread", "«é€😀»", "Bread"]},
    ),
    "dimensions": (
        Embedding(inputs=("Bread",), dimensions=64),
        {"model": MODEL, "input": ["Bread"], "dimensions": 64},
    ),
    "an end user": (
        Embedding(inputs=("Bread",), end_user="u-7f3a"),
        {"model": MODEL, "input": ["Bread"], "user": "u-7f3a"},
    ),
}


@pytest.fixture(params=WRITTEN)
def dialect(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def sdk(base_url: str) -> AsyncOpenAI:
    return AsyncOpenAI(base_url=base_url, api_key=CANARY, max_retries=0)


async def one_number_each(exchange: Exchange) -> None:
    body = orjson.loads(exchange.body)
    vector = [0.5] * body.get("dimensions", 1)
    data = [{"object": "embedding", "index": place, "embedding": vector} for place in range(len(body["input"]))]
    usage = {"prompt_tokens": 1, "total_tokens": 1}
    await exchange.send(whole({"object": "list", "model": MODEL, "data": data, "usage": usage}))


@pytest.mark.parametrize("name", CALLS)
async def test_the_sdk_sends_the_same_body(dialect: str, name: str) -> None:
    request, params = CALLS[name]
    async with open_session() as session, serving(one_number_each) as server, sdk(server.base_url) as client:
        await session.embed(embedding_dispatch(server.base_url, request, dialect=dialect, model=MODEL))
        # Nobody who leaves the format to the SDK gets any other than base64.
        await client.embeddings.create(**params, **WRITTEN[dialect])
    ours, theirs = server.bodies()
    if not WRITTEN[dialect]:
        assert theirs.pop("encoding_format") == "base64"
    assert ours == theirs == {**params, **WRITTEN[dialect]}
    mine, other = server.exchanges
    assert (mine.method, mine.path) == (other.method, other.path)
    for header in ("authorization", "content-type"):
        assert mine.headers[header] == other.headers[header]


@pytest.mark.parametrize("written", ["float", "base64"])
@pytest.mark.parametrize("name", CALLS)
async def test_the_sdk_reads_the_same_vectors(dialect: str, name: str, written: Any) -> None:
    request, params = CALLS[name]
    async with Sandbox() as sandbox, open_session() as session, sdk(f"{sandbox.url}/v1") as client:
        ours = await session.embed(embedding_dispatch(f"{sandbox.url}/v1", request, dialect=dialect, model=MODEL))
        theirs = await client.embeddings.create(**{**params, "encoding_format": written})
    assert [each.index for each in theirs.data] == list(range(len(ours.vectors)))
    for mine, other in zip(ours.vectors, theirs.data, strict=True):
        # Asked for by name, base64 is handed on as it came.
        numbers: object = other.embedding
        if isinstance(numbers, str):
            assert mine.tobytes() == b64decode(numbers)
        else:
            assert mine.tolist() == pytest.approx(numbers, abs=1e-7)
    assert ours.usage == TokenCounts(input_tokens=theirs.usage.prompt_tokens)
    assert theirs.usage.total_tokens == theirs.usage.prompt_tokens


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422, 429, 500, 503])
async def test_the_sdk_sees_the_same_failure(dialect: str, status: int) -> None:
    text = f"Hi [[sandbox status={status} retry_after=2]]"
    async with Sandbox() as sandbox, open_session() as session, sdk(f"{sandbox.url}/v1") as client:
        with pytest.raises(APIStatusError) as theirs:
            await client.embeddings.create(model=MODEL, input=[text])
        with pytest.raises(ProviderError) as ours:
            call = embedding_dispatch(f"{sandbox.url}/v1", Embedding(inputs=(text,)), dialect=dialect, model=MODEL)
            await session.embed(call)
    assert ours.value.status == theirs.value.status_code
    assert ours.value.retry_after_s == float(theirs.value.response.headers["retry-after"])
