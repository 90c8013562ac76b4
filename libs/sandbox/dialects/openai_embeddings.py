"""OpenAI's embeddings: `POST /embeddings` in, vectors as numbers or in base64 out.

Source of the shapes: the types of the official `openai` package, which the contract tests use as the client.
"""

from __future__ import annotations

import struct
from base64 import b64encode
from typing import Any

import orjson

from libs.sandbox.dialect import EmbeddingAnswer, EmbeddingQuestion, Refusal
from libs.sandbox.tokens import count_tokens
from libs.sandbox.vectors import MAX_DIMENSIONS, MIN_DIMENSIONS

_FIELDS = frozenset({"input", "model", "dimensions", "encoding_format", "user"})
_MAX_INPUTS = 2048


def read_embedding(body: bytes, *, model: str = "") -> EmbeddingQuestion:
    """The question in `body`; `model` is the one of the path, if any. Raises Refusal (400) naming the parameter."""
    try:
        request = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise Refusal(400, "We could not parse the JSON body of your request.") from None
    if not isinstance(request, dict):
        raise Refusal(400, "The body of your request must be a JSON object.")
    unknown = sorted(set(request) - _FIELDS)
    if unknown:
        raise Refusal(400, f"Unrecognized request argument supplied: {unknown[0][:80]}")
    model = model or request.get("model", "")
    if not isinstance(model, str) or not model:
        raise Refusal(400, "you must provide a model parameter", param="model")
    inputs = _inputs(request.get("input"))
    written = request.get("encoding_format", "float")
    if written not in ("float", "base64"):
        raise _wrong("encoding_format", "expected one of 'float' or 'base64'")
    if not isinstance(request.get("user", ""), str):
        raise _wrong("user", "expected a string")
    return EmbeddingQuestion(
        model=model,
        inputs=inputs,
        prompt_tokens=sum(count_tokens(text) for text in inputs),
        dimensions=_dimensions(request.get("dimensions")),
        details={"encoding_format": written},
    )


def write_embeddings(question: EmbeddingQuestion, answer: EmbeddingAnswer) -> bytes:
    """The list of vectors."""
    as_bytes = question.details["encoding_format"] == "base64"
    document: dict[str, Any] = {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": _in_base64(vector) if as_bytes else vector}
            for index, vector in enumerate(answer.vectors)
        ],
        "model": question.model,
    }
    if answer.with_usage:
        document["usage"] = {"prompt_tokens": answer.prompt_tokens, "total_tokens": answer.prompt_tokens}
    return orjson.dumps(document)


def _inputs(value: object) -> tuple[str, ...]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not 1 <= len(texts) <= _MAX_INPUTS:
        raise _wrong("input", f"expected a string or an array of 1 to {_MAX_INPUTS} strings")
    for text in texts:
        if not isinstance(text, str) or not text:
            raise _wrong("input", "no entry may be empty or anything but a string")
    return tuple(texts)


def _dimensions(value: object) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not MIN_DIMENSIONS <= value <= MAX_DIMENSIONS:
        raise _wrong("dimensions", f"expected an integer from {MIN_DIMENSIONS} to {MAX_DIMENSIONS}")
    return value


def _in_base64(vector: tuple[float, ...]) -> str:
    return b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def _wrong(param: str, expected: str) -> Refusal:
    return Refusal(400, f"Invalid '{param}': {expected}.", param=param)
