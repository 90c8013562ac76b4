"""OpenAI's embeddings: what is sent, and what is read of any answer."""

from __future__ import annotations

import struct
from array import array
from base64 import b64encode
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.core.money import TokenCounts
from services.router.domain import features
from services.router.domain.embedding import Embedding
from services.router.domain.errors import ProviderError, Reason
from services.router.providers.dialects.openai import OPENAI
from services.router.providers.dialects.openai_compatible import OPENAI_COMPATIBLE
from services.router.providers.formats.openai_embeddings import OpenAIEmbedder
from services.router.providers.reading.vectors import read_vectors

PLAIN = OpenAIEmbedder()
FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)


def body_of(embedder: OpenAIEmbedder, request: Embedding, **options: object) -> dict[str, Any]:
    encoded = embedder.encode(request, provider_model_id="m", options=options)
    assert encoded.path == "/embeddings"
    body: dict[str, Any] = orjson.loads(encoded.body)
    return body


def answer(*vectors: object, usage: object = None, indices: list[object] | None = None) -> bytes:
    places = range(len(vectors)) if indices is None else indices
    data = [
        {"object": "embedding", "embedding": vector, **({"index": place} if place is not None else {})}
        for place, vector in zip(places, vectors, strict=True)
    ]
    return orjson.dumps({"object": "list", "data": data, "usage": usage})


def lists(body: bytes, count: int) -> list[list[float]]:
    return [vector.tolist() for vector in PLAIN.decode(body, count).vectors]


def refused(body: bytes, count: int) -> Reason:
    with pytest.raises(ProviderError) as caught:
        PLAIN.decode(body, count)
    return caught.value.reason


def test_only_what_is_asked_for_is_sent() -> None:
    assert body_of(PLAIN, Embedding(inputs=("a", "b"))) == {"input": ["a", "b"], "model": "m"}
    whole = Embedding(inputs=("a",), dimensions=64, end_user="u-7")
    assert body_of(PLAIN, whole) == {"input": ["a"], "model": "m", "dimensions": 64, "user": "u-7"}
    assert body_of(OpenAIEmbedder(base64=True), whole)["encoding_format"] == "base64"


def test_types_ask_in_the_way_their_servers_know() -> None:
    openai, compatible = OPENAI.embedder, OPENAI_COMPATIBLE.embedder
    assert isinstance(openai, OpenAIEmbedder)
    assert isinstance(compatible, OpenAIEmbedder)
    wide = Embedding(inputs=("a",), dimensions=64)
    assert body_of(openai, wide)["encoding_format"] == "base64"
    assert "encoding_format" not in body_of(compatible, wide)
    assert body_of(compatible, wide)["dimensions"] == 64
    mistral = body_of(compatible, wide, server="mistral")
    assert (mistral["output_dimension"], "dimensions" in mistral) == (64, False)


@pytest.mark.parametrize(
    ("server", "vectors", "dimensions"),
    [
        ("other", True, True),
        ("vllm", True, True),
        ("mistral", True, True),
        ("llama_cpp", True, False),
        ("groq", False, False),
    ],
)
def test_servers_promise_what_they_have(server: str, vectors: bool, dimensions: bool) -> None:
    mask = OPENAI_COMPATIBLE.features({"server": server}, "m")
    assert (bool(mask & features.EMBEDDINGS), bool(mask & features.DIMENSIONS)) == (vectors, dimensions)
    assert not mask & features.PURPOSE


@pytest.mark.parametrize("api", ["auto", "responses", "chat_completions"])
def test_openai_has_vectors_whichever_api_answers(api: str) -> None:
    mask = OPENAI.features({"api": api}, "gpt-5-pro")
    wanted = features.EMBEDDINGS | features.DIMENSIONS | features.END_USER
    assert mask & wanted == wanted


@given(st.lists(st.lists(FLOATS, min_size=3, max_size=3), min_size=1, max_size=4))
def test_numbers_and_bytes_say_the_same(vectors: list[list[float]]) -> None:
    written = [b64encode(struct.pack("<3f", *each)).decode() for each in vectors]
    assert lists(answer(*vectors), len(vectors)) == lists(answer(*written), len(vectors)) == vectors


def test_the_index_tells_the_order() -> None:
    assert lists(answer([1.0], [2.0], [3.0], indices=[2, 0, 1]), 3) == [[2.0], [3.0], [1.0]]
    assert lists(answer([1.0], [2.0], indices=[None, None]), 2) == [[1.0], [2.0]]


@pytest.mark.parametrize("indices", [[0, 0], [1, 2], [0, None], ["0", "1"], [0, -1], [0.5, 1], [[0], {}]])
def test_an_order_that_cannot_be_told_is_refused(indices: list[object]) -> None:
    assert refused(answer([1.0], [2.0], indices=indices), 2) is Reason.PROVIDER_BAD_RESPONSE


@pytest.mark.parametrize(
    "vectors",
    [
        [[1.0]],
        [[1.0], [2.0], [3.0]],
        [[1.0], [1.0, 2.0]],
        [[], []],
        [[1.0], "not base64!"],
        [[1.0], "AAA="],
        [[1.0], [None]],
        [[1.0], ["1"]],
        [[1.0], [[1.0]]],
        [[1.0], [1e39]],
        [[1.0], None],
        [[1.0], 1.0],
        [[1.0], "AADAfw=="],
        [[1.0], "AACA/w=="],
        [[1.0], "AA!CAPw=="],
    ],
)
def test_what_is_no_vector_for_each_text_is_refused(vectors: list[object]) -> None:
    assert refused(answer(*vectors), 2) is Reason.PROVIDER_BAD_RESPONSE


def test_large_numbers_that_are_finite_are_taken() -> None:
    largest = struct.unpack("<f", b"\xff\xff\x7f\x7f")[0]
    assert lists(answer([largest, -largest, 1.0]), 1) == [[largest, -largest, 1.0]]


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        ({"prompt_tokens": 5, "total_tokens": 5}, 5),
        ({"prompt_tokens": 5}, 5),
        ({"total_tokens": 7}, 7),
        ({"prompt_tokens": 5, "total_tokens": 7}, 7),
        ({"prompt_tokens": 5.0, "total_tokens": 5}, 5),
        ({"prompt_tokens": 0, "total_tokens": 0}, None),
        ({"prompt_tokens": -1, "total_tokens": 5}, None),
        ({"prompt_tokens": "5"}, None),
        ({}, None),
        (None, None),
        ([5], None),
    ],
)
def test_usage_is_input_or_unknown(usage: object, tokens: int | None) -> None:
    found = PLAIN.decode(answer([1.0], usage=usage), 1).usage
    assert found == (None if tokens is None else TokenCounts(input_tokens=tokens))


def test_an_error_inside_is_told_by_its_code() -> None:
    assert refused(b'{"error":{"code":"insufficient_quota","message":"x"}}', 1) is Reason.PROVIDER_BILLING
    assert refused(b'{"error":{"message":"x"}}', 1) is Reason.PROVIDER_ERROR


NAMES = st.sampled_from(["data", "embedding", "index", "usage"])
RUBBISH = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner),
    max_leaves=12,
)


@given(st.binary(max_size=64) | st.builds(orjson.dumps, RUBBISH))
def test_rubbish_raises_nothing_else(body: bytes) -> None:
    try:
        vectors = PLAIN.decode(body, 1).vectors
    except ProviderError:
        return
    assert len(vectors) == 1


def test_vectors_are_floats_of_32_bits() -> None:
    (vector,) = read_vectors([[0.1, 1]], 1)
    assert vector == array("f", (0.1, 1.0))
    assert vector.itemsize == 4
