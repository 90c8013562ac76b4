"""Ollama: `/api/chat`, `/api/embed` and `/api/tags`.

Source of the shapes: the types of the official `ollama` package, which the contract tests use as the client.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import orjson

from libs.sandbox.dialect import (
    Answer,
    Call,
    Dialect,
    EmbeddingAnswer,
    EmbeddingQuestion,
    Endpoint,
    Finish,
    Frame,
    Part,
    Question,
    Refusal,
    ToolCall,
)
from libs.sandbox.dialects.ollama_request import TOO_LONG, read_embedding, read_question

# The same for every answer, or answers would differ by their second.
_CREATED = "2026-01-01T00:00:00Z"
_NANOSECONDS_PER_TOKEN = 20_000_000
# There is no word for a call of tools.
_FINISHES = MappingProxyType({Finish.STOP: "stop", Finish.LENGTH: "length", Finish.TOOL_CALLS: "stop"})
_PLAIN = "plain"

_ERRORS: Mapping[int, str] = {
    400: "invalid request",
    401: "unauthorized",
    402: "payment required",
    403: "this model requires a subscription, upgrade for access",
    404: "model '{model}' not found",
    408: "request timed out",
    429: "too many concurrent requests",
    500: "llama runner process has terminated: exit status 2",
    503: "server busy, please try again.  maximum pending requests exceeded",
}
_ERRORS_BY_CODE: Mapping[str, str] = {
    "context_length_exceeded": TOO_LONG,
    "no_tools": '"{model}" does not support tools',
    "no_thinking": '"{model}" does not support thinking',
    "no_memory": "model requires more system memory (8.4 GiB) than is available (2.1 GiB)",
    "usage_limit": "you've reached your hourly usage limit, please upgrade to continue",
}


class Ollama(Dialect):
    """The dialect; it has no state. A key is not needed, but one that is sent has to be right."""

    name = "ollama"
    prefix = "/ollama"
    paths = MappingProxyType(
        {
            "/ollama/api/chat": ("POST", Endpoint.CHAT),
            "/ollama/api/embed": ("POST", Endpoint.EMBEDDINGS),
            "/ollama/api/tags": ("GET", Endpoint.MODELS),
        }
    )
    stream_content_type = "application/x-ndjson"
    requires_key = False
    request_id_header = None

    def read(self, call: Call) -> Question:
        """Understand a request. Raises Refusal (400)."""
        return read_question(call.body)

    def whole(self, question: Question, answer: Answer) -> bytes:
        """The line that says all."""
        if not question.prompt_tokens:
            return _loaded(question)
        message: dict[str, Any] = {"role": "assistant", "content": "".join(answer.pieces)}
        if answer.shown_reasoning:
            message["thinking"] = "".join(answer.shown_reasoning)
        if answer.calls:
            message["tool_calls"] = [_tool_call(call) for call in answer.calls]
        return _last(question, answer, message)

    def frames(self, question: Question, answer: Answer) -> Iterator[Frame]:
        """A line for each piece and each call; finish, usage and end are one line."""
        if not question.prompt_tokens:
            yield Frame(Part.FINISH, _loaded(question))
            return
        hidden = 0 if answer.shown_reasoning else answer.reasoning_tokens
        yield Frame(Part.OPEN, b"", hidden)
        for piece in answer.shown_reasoning:
            yield Frame(Part.CONTENT, _line(question, {"role": "assistant", "content": "", "thinking": piece}), 1)
        for piece in answer.pieces:
            yield Frame(Part.CONTENT, _line(question, {"role": "assistant", "content": piece}), 1)
        for call in answer.calls:
            message = {"role": "assistant", "content": "", "tool_calls": [_tool_call(call)]}
            yield Frame(Part.CONTENT, _line(question, message), call.tokens)
        yield Frame(Part.FINISH, b"")
        yield Frame(Part.DONE, _last(question, answer, {"role": "assistant", "content": ""}) + b"\n")

    def chunks(self, answer: Answer) -> int:
        """Calls come in one piece."""
        return len(answer.shown_reasoning) + len(answer.pieces) + len(answer.calls)

    def stream_error(self, refusal: Refusal) -> bytes:
        """A line that is an error."""
        return self.refusal(refusal) + b"\n"

    def stream_garbage(self) -> bytes:
        """A line whose JSON never closes."""
        return b'{"model":"broken","message":{"role":"assistant","content":"half a wo\n'

    def read_embedding(self, call: Call) -> EmbeddingQuestion:
        """Understand a request. Raises Refusal (400)."""
        return read_embedding(call.body)

    def embeddings(self, question: EmbeddingQuestion, answer: EmbeddingAnswer) -> bytes:
        """An `EmbedResponse`."""
        document: dict[str, Any] = {"model": question.model, "embeddings": answer.vectors, **_durations(1)}
        if answer.with_usage and answer.prompt_tokens:
            document["prompt_eval_count"] = answer.prompt_tokens
        return orjson.dumps(document)

    def models(self, names: tuple[str, ...], call: Call) -> bytes:
        """The models on this machine."""
        return orjson.dumps({"models": [_model(f"{name}:latest") for name in names]})

    def refusal(self, refusal: Refusal) -> bytes:
        """`{"error": message}`."""
        if refusal.code == _PLAIN:
            return refusal.message.encode()
        return orjson.dumps({"error": refusal.message})

    def standard_refusal(self, status: int, code: str | None, model: str) -> Refusal:
        """Ollama's words for `status`; its errors have no codes, so `code` picks a text."""
        message = _ERRORS_BY_CODE.get(code or "") or _ERRORS.get(status, "the sandbox was told to answer so")
        return Refusal(status, message.format(model=model))

    def unknown(self, method: str, path: str, status: int) -> Refusal:
        """Words of the web framework, no JSON."""
        message = "404 page not found" if status == 404 else "405 method not allowed"  # noqa: PLR2004 - HTTP's
        return Refusal(status, message, code=_PLAIN)


def _head(question: Question) -> bytes:
    return b'{"model":%s,"created_at":"%s","message":' % (orjson.dumps(question.model), _CREATED.encode())


def _line(question: Question, message: Mapping[str, object]) -> bytes:
    return _head(question) + orjson.dumps(message) + b',"done":false}\n'


def _last(question: Question, answer: Answer, message: Mapping[str, object]) -> bytes:
    tail: dict[str, Any] = {"done": True}
    reason = answer.finish_word(_FINISHES)
    if reason is not None:
        tail["done_reason"] = reason
    tail |= _durations(answer.completion_tokens)
    if answer.with_usage:
        # As Go does it: a count of zero is left out.
        counts = {
            "prompt_eval_count": answer.prompt_tokens,
            "prompt_eval_cached_count": answer.cached_tokens,
            "eval_count": answer.completion_tokens,
        }
        tail |= {name: count for name, count in counts.items() if count}
    return _head(question) + orjson.dumps(message) + b"," + orjson.dumps(tail)[1:]


def _loaded(question: Question) -> bytes:
    return _head(question) + b'{"role":"assistant","content":""},"done_reason":"load","done":true}\n'


def _durations(tokens: int) -> dict[str, int]:
    return {"total_duration": (tokens + 1) * _NANOSECONDS_PER_TOKEN, "load_duration": _NANOSECONDS_PER_TOKEN}


def _tool_call(call: ToolCall) -> dict[str, object]:
    arguments = "".join(call.pieces)
    # A call that was cut by the limit on tokens still has an object.
    return {"function": {"name": call.name, "arguments": _object_of(arguments)}}


def _object_of(arguments: str) -> object:
    try:
        return orjson.loads(arguments)
    except orjson.JSONDecodeError:
        return {}


def _model(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "model": name,
        "modified_at": _CREATED,
        "size": 1_000_000,
        "digest": hashlib.sha256(name.encode()).hexdigest(),
        "details": {
            "parent_model": "",
            "format": "gguf",
            "family": "sandbox",
            "families": ["sandbox"],
            "parameter_size": "1M",
            "quantization_level": "Q4_0",
        },
    }
