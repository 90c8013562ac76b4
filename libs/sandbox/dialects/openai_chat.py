"""OpenAI Chat Completions: requests in, answers, streams and errors out.

Source of the shapes: the types of the official `openai` package, which the contract tests use as the client.
"""

from __future__ import annotations

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
    Frame,
    Part,
    Question,
    Refusal,
)
from libs.sandbox.dialects.openai_embeddings import read_embedding, write_embeddings
from libs.sandbox.dialects.openai_request import read_question

_CREATED = 1_767_225_600  # 2026-01-01: the same for every answer, or answers would differ by their second
_FINGERPRINT = "fp_sandbox"
_DONE = b"data: [DONE]\n\n"

# What OpenAI says with a status: type, code, message. Anything else is told by its class (4xx or 5xx).
_ERRORS: Mapping[int, tuple[str, str | None, str]] = {
    400: ("invalid_request_error", None, "The request could not be processed."),
    401: ("invalid_request_error", "invalid_api_key", "Incorrect API key provided."),
    402: ("billing_error", "billing_not_active", "Your account is not active, please check your billing details."),
    403: ("request_forbidden", "permission_denied", "You do not have permission to use this model."),
    404: ("invalid_request_error", "model_not_found", "The model `{model}` does not exist or you do not have access."),
    408: ("timeout", "request_timeout", "The request took too long."),
    429: ("requests", "rate_limit_exceeded", "Rate limit reached for {model}. Please try again later."),
    500: ("server_error", None, "The server had an error while processing your request. Sorry about that!"),
    502: ("server_error", None, "Bad gateway."),
    503: ("server_error", None, "The engine is currently overloaded, please try again later."),
    529: ("server_error", "overloaded", "The engine is currently overloaded, please try again later."),
}
_MESSAGES_BY_CODE: Mapping[str, str] = {
    "insufficient_quota": "You exceeded your current quota, please check your plan and billing details.",
    "context_length_exceeded": "This model's maximum context length is exceeded. Please reduce the length of the"
    " messages.",
    "content_filter": "The response was filtered due to the prompt triggering the content management policy.",
}


class OpenAIChat(Dialect):
    """The dialect; it has no state."""

    name = "openai"
    prefix = "/v1"
    paths = MappingProxyType(
        {
            "/v1/chat/completions": ("POST", Endpoint.CHAT),
            "/v1/embeddings": ("POST", Endpoint.EMBEDDINGS),
            "/v1/models": ("GET", Endpoint.MODELS),
        }
    )

    def read(self, call: Call) -> Question:
        """Understand a request. Raises Refusal (400) naming the parameter."""
        return read_question(call.body)

    def read_embedding(self, call: Call) -> EmbeddingQuestion:
        """Understand a request for vectors. Raises Refusal (400) naming the parameter."""
        return read_embedding(call.body)

    def embeddings(self, question: EmbeddingQuestion, answer: EmbeddingAnswer) -> bytes:
        """A list of vectors."""
        return write_embeddings(question, answer)

    def models(self, names: tuple[str, ...], call: Call) -> bytes:
        """The list of models."""
        entries = [{"id": name, "object": "model", "created": _CREATED, "owned_by": "sandbox"} for name in names]
        return orjson.dumps({"object": "list", "data": entries})

    def refusal(self, refusal: Refusal) -> bytes:
        """`{"error": {message, type, param, code}}`."""
        return orjson.dumps({"error": _error(refusal)})

    def standard_refusal(self, status: int, code: str | None, model: str) -> Refusal:
        """OpenAI's words for `status`; for 429 `insufficient_quota` is the other variant."""
        _, usual_code, message = _ERRORS.get(status, ("", None, "The sandbox was told to answer with this status."))
        message = _MESSAGES_BY_CODE.get(code or "", message)
        return Refusal(status, message.format(model=model), code=code or usual_code)

    def no_key(self) -> Refusal:
        """OpenAI says how a key is sent."""
        return Refusal(
            401, "You didn't provide an API key. Send it as `Authorization: Bearer KEY`.", code="invalid_api_key"
        )

    def whole(self, question: Question, answer: Answer) -> bytes:
        """A `chat.completion`."""
        message: dict[str, Any] = {"role": "assistant", "content": "".join(answer.pieces), "refusal": None}
        if answer.calls:
            message["content"] = message["content"] or None
            message["tool_calls"] = [
                {
                    "id": f"call_{call.call_id}",
                    "type": "function",
                    "function": {"name": call.name, "arguments": "".join(call.pieces)},
                }
                for call in answer.calls
            ]
        if answer.shown_reasoning:
            message["reasoning_content"] = "".join(answer.shown_reasoning)
        document = {
            "id": f"chatcmpl-{answer.answer_id}",
            "object": "chat.completion",
            "created": _CREATED,
            "model": question.model,
            "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": answer.finish}],
            "system_fingerprint": _FINGERPRINT,
        }
        if answer.with_usage:
            document["usage"] = _usage(answer)
        return orjson.dumps(document)

    def frames(self, question: Question, answer: Answer) -> Iterator[Frame]:
        """`chat.completion.chunk` events, the usage (if asked for) last, and `[DONE]`."""
        before, after, opening, finish = _envelope(question, answer)
        hidden = 0 if answer.shown_reasoning else answer.reasoning_tokens
        yield Frame(Part.OPEN, before + opening + after, hidden)
        for delta, tokens in _deltas(answer):
            yield Frame(Part.CONTENT, before + delta + after, tokens)
        yield Frame(Part.FINISH, finish)
        if question.include_usage and answer.with_usage:
            yield Frame(Part.USAGE, _usage_chunk(question, answer))
        yield Frame(Part.DONE, _DONE)

    def stream_at_once(self, question: Question, answer: Answer) -> bytes:
        """All frames in one piece, for a third of the work."""
        before, after, opening, finish = _envelope(question, answer)
        deltas = [opening, *(delta for delta, _ in _deltas(answer))]
        usage = _usage_chunk(question, answer) if question.include_usage and answer.with_usage else b""
        return b"".join((before, (after + before).join(deltas), after, finish, usage, _DONE))

    def stream_error(self, refusal: Refusal) -> bytes:
        """An `error` object where a chunk should be."""
        return b"data: " + self.refusal(refusal) + b"\n\n"

    def stream_garbage(self) -> bytes:
        """An event whose JSON never closes."""
        return b'data: {"id":"chatcmpl-broken","choices":[{"index":0,"delta":{"content":"half a wo\n\n'


def _head(question: Question, answer: Answer) -> bytes:
    return (
        b'data: {"id":"chatcmpl-%s","object":"chat.completion.chunk","created":%d,"model":%s,"system_fingerprint":"%s"'
        % (answer.answer_id.encode(), _CREATED, orjson.dumps(question.model), _FINGERPRINT.encode())
    )


def _envelope(question: Question, answer: Answer) -> tuple[bytes, bytes, bytes, bytes]:
    """What stands before and after every delta, the opening delta, and the whole finishing chunk."""
    before = _head(question, answer) + b',"choices":[{"index":0,"delta":'
    # Whoever asked for the usage gets the field in every chunk, null until the last.
    tail = b',"usage":null}\n\n' if question.include_usage and answer.with_usage else b"}\n\n"
    opening = b'{"role":"assistant","content":%s,"refusal":null}' % (
        b"null" if answer.calls and not answer.pieces else b'""'
    )
    finish = b""
    if answer.finish is not None:
        finish = before + b'{},"logprobs":null,"finish_reason":%s}]' % orjson.dumps(answer.finish) + tail
    return before, b',"logprobs":null,"finish_reason":null}]' + tail, opening, finish


def _deltas(answer: Answer) -> Iterator[tuple[bytes, int]]:
    """The content, delta by delta, each with its tokens."""
    for piece in answer.shown_reasoning:
        yield b'{"reasoning_content":' + orjson.dumps(piece) + b"}", 1
    for piece in answer.pieces:
        yield b'{"content":' + orjson.dumps(piece) + b"}", 1
    for index, call in enumerate(answer.calls):
        start = {"id": f"call_{call.call_id}", "type": "function", "function": {"name": call.name, "arguments": ""}}
        yield _tool_delta(index, start), call.name_tokens
        for piece in call.pieces:
            yield _tool_delta(index, {"function": {"arguments": piece}}), 1


def _usage_chunk(question: Question, answer: Answer) -> bytes:
    return _head(question, answer) + b',"choices":[],"usage":' + orjson.dumps(_usage(answer)) + b"}\n\n"


def _tool_delta(index: int, entry: Mapping[str, object]) -> bytes:
    return orjson.dumps({"tool_calls": [{"index": index, **entry}]})


def _usage(answer: Answer) -> dict[str, Any]:
    return {
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": answer.completion_tokens,
        "total_tokens": answer.prompt_tokens + answer.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": answer.cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": answer.reasoning_tokens,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _error(refusal: Refusal) -> dict[str, Any]:
    usual = "server_error" if refusal.status >= 500 else "invalid_request_error"  # noqa: PLR2004 - HTTP's classes
    kind = _ERRORS.get(refusal.status, (usual, None, ""))[0]
    if refusal.code == "insufficient_quota":
        kind = "insufficient_quota"
    return {"message": refusal.message, "type": kind, "param": refusal.param, "code": refusal.code}
