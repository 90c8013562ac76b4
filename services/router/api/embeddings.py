"""Embed on the wire: texts checked, vectors passed on without looking at their numbers."""

from __future__ import annotations

import sys
from array import array

from gatehouse.router.v1 import generation_pb2
from gatehouse.router.v1 import generation_service_pb2 as pb

from libs.core.validation import FieldChecks
from services.router.api.call_fields import check_call_fields
from services.router.api.outcomes import write_outcome
from services.router.domain.embedding import Embedding, EmbeddingPurpose, Vectors
from services.router.domain.outcome import Outcome

MAX_INPUTS = 2048
MAX_INPUT = 4_000_000
MAX_DIMENSIONS = 65_536
MAX_NUMBERS = 15 * 1024 * 1024
"""In one answer: 60 MiB of the 64 MiB that the router sends at most by default."""

_PURPOSES = {
    pb.EMBEDDING_PURPOSE_UNSPECIFIED: None,
    pb.EMBEDDING_PURPOSE_DOCUMENT: EmbeddingPurpose.DOCUMENT,
    pb.EMBEDDING_PURPOSE_QUERY: EmbeddingPurpose.QUERY,
    pb.EMBEDDING_PURPOSE_SIMILARITY: EmbeddingPurpose.SIMILARITY,
    pb.EMBEDDING_PURPOSE_CLASSIFICATION: EmbeddingPurpose.CLASSIFICATION,
    pb.EMBEDDING_PURPOSE_CLUSTERING: EmbeddingPurpose.CLUSTERING,
}
# Vector.values is field 1, length-delimited: packed floats are its bytes as they are in memory.
_VALUES_TAG = b"\x0a"
_BIG_ENDIAN = sys.byteorder == "big"


def embedding(message: pb.Embedding) -> Embedding:
    """A validated call. Raises InvalidArgument naming every wrong field."""
    with FieldChecks() as check:
        check.count("embedding.inputs", message.inputs, most=MAX_INPUTS, least=1)
        for index, text in enumerate(message.inputs[:MAX_INPUTS]):
            if not 1 <= len(text) <= MAX_INPUT:
                check.fail(f"embedding.inputs[{index}]", f"must have 1 to {MAX_INPUT} characters, has {len(text)}")
        check_call_fields(check, "embedding", message)
        if message.HasField("dimensions"):
            in_range = 1 <= message.dimensions <= MAX_DIMENSIONS
            check.that(in_range, "embedding.dimensions", f"must be 1 to {MAX_DIMENSIONS}")
            _check_size(check, len(message.inputs), message.dimensions)
        check.that(message.purpose in _PURPOSES, "embedding.purpose", "is not a purpose: see EmbeddingPurpose")
    return Embedding(
        inputs=tuple(message.inputs),
        provider=message.provider,
        model=message.model,
        fallback=message.fallback == generation_pb2.FALLBACK_POLICY_ANY,
        dimensions=message.dimensions if message.HasField("dimensions") else None,
        purpose=_PURPOSES[message.purpose],
        task=message.task,
        labels=dict(message.labels),
        request_id=message.request_id,
        end_user=message.end_user,
        drop_unsupported=message.compatibility == generation_pb2.COMPATIBILITY_DROP,
    )


def vectors_to_pb(vectors: Vectors, outcome: Outcome) -> pb.EmbedResponse:
    """The vectors, in the order of their texts. Raises InvalidArgument when they are too many for one answer."""
    with FieldChecks() as check:
        _check_size(check, len(vectors.vectors), len(vectors.vectors[0]))
    response = pb.EmbedResponse()
    add = response.vectors.add
    for values in vectors.vectors:
        # Read from its encoding, which copies the numbers in one piece; one by one they would be a million objects.
        add().MergeFromString(_encoded(values))
    write_outcome(response.outcome, outcome)
    return response


def _check_size(check: FieldChecks, inputs: int, dimensions: int) -> None:
    most = MAX_NUMBERS // max(dimensions, 1)
    text = f"must be at most {most} where each vector has {dimensions} numbers: ask for fewer at once"
    check.that(inputs <= most or dimensions > MAX_DIMENSIONS, "embedding.inputs", text)


def _encoded(values: array[float]) -> bytes:
    if _BIG_ENDIAN:
        values = values[:]
        values.byteswap()
    return b"".join((_VALUES_TAG, _varint(len(values) * values.itemsize), values.tobytes()))


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:  # noqa: PLR2004 - seven bits a byte
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
