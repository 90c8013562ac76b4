"""Anthropic's Messages: requests in, answers, streams and errors out.

Source of the shapes: the types of the official `anthropic` package, which the contract tests use as the client.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import orjson

from libs.sandbox.dialect import Answer, Call, Dialect, Endpoint, Finish, Frame, Part, Question, Refusal
from libs.sandbox.dialects.anthropic_request import MessagesQuestion, read_question, version_of
from libs.sandbox.dialects.anthropic_rules import whole_number
from libs.sandbox.sealing import seal

Json = dict[str, Any]

_RELEASED = "2026-01-01T00:00:00Z"
_PAGE, _LARGEST_PAGE = 20, 1000
_WORDS: Mapping[Finish, str] = {
    Finish.STOP: "end_turn",
    Finish.LENGTH: "max_tokens",
    Finish.TOOL_CALLS: "tool_use",
}

# What Anthropic says with a status: type, message. Anything else is told by its class (4xx or 5xx).
_ERRORS: Mapping[int, tuple[str, str]] = {
    400: ("invalid_request_error", "The request could not be processed."),
    401: ("authentication_error", "invalid x-api-key"),
    402: ("billing_error", "There is an issue with your organization's billing."),
    403: ("permission_error", "Your API key does not have permission to use the specified resource."),
    404: ("not_found_error", "model: {model}"),
    413: ("request_too_large", "Request exceeds the maximum size"),
    429: ("rate_limit_error", "This request would exceed your organization's rate limit. Please try again later."),
    500: ("api_error", "Internal server error"),
    504: ("timeout_error", "The request timed out while processing."),
    529: ("overloaded_error", "Overloaded"),
}
# What it says with a status besides, by a code that only directives name.
_VARIANTS: Mapping[str, tuple[str, str]] = {
    "insufficient_quota": ("billing_error", "Your credit balance is too low to access the Anthropic API."),
    "credit_balance": (
        "invalid_request_error",
        "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to buy credits.",
    ),
    "context_length_exceeded": ("invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum"),
    "content_filter": ("invalid_request_error", "Output blocked by content filtering policy"),
}


class AnthropicMessages(Dialect):
    """The dialect; it has no state."""

    name = "anthropic"
    prefix = "/anthropic"
    paths: ClassVar[Mapping[str, tuple[str, Endpoint]]] = {
        "/anthropic/v1/messages": ("POST", Endpoint.CHAT),
        "/anthropic/v1/models": ("GET", Endpoint.MODELS),
    }
    request_id_header = "request-id"

    def key(self, headers: Mapping[str, str]) -> str:
        """`x-api-key`, or the bearer token; empty when there is neither."""
        return headers.get("x-api-key", "").strip() or super().key(headers)

    def read(self, call: Call) -> Question:
        """Understand a request. Raises Refusal (400) naming the field."""
        return read_question(call)

    def models(self, names: tuple[str, ...], call: Call) -> bytes:
        """A page of models, twenty unless more are asked for."""
        version_of(call)
        limit = call.query.get("limit", str(_PAGE))
        size = whole_number(int(limit) if limit.isascii() and limit.isdigit() else limit, "limit", 1)
        shown = names[: min(size, _LARGEST_PAGE)]
        entries = [
            {"type": "model", "id": name, "display_name": name, "created_at": _RELEASED, "lifecycle": "active"}
            for name in shown
        ]
        ends = {"first_id": shown[0] if shown else None, "last_id": shown[-1] if shown else None}
        return orjson.dumps({"data": entries, "has_more": len(shown) < len(names), **ends})

    def refusal(self, refusal: Refusal) -> bytes:
        """`{"type": "error", "error": {type, message}}`."""
        usual = "api_error" if refusal.status >= 500 else "invalid_request_error"  # noqa: PLR2004 - HTTP's classes
        kind = _VARIANTS.get(refusal.code or "", _ERRORS.get(refusal.status, (usual, "")))[0]
        return orjson.dumps({"type": "error", "error": {"type": kind, "message": refusal.message}})

    def standard_refusal(self, status: int, code: str | None, model: str) -> Refusal:
        """Anthropic's words for `status`, or for `code` where it has more to say."""
        usual = ("", "The sandbox was told to answer with this status.")
        _, message = _VARIANTS.get(code or "", _ERRORS.get(status, usual))
        return Refusal(status, message.format(model=model), code=code)

    def no_key(self) -> Refusal:
        """Anthropic says how a key is sent."""
        return Refusal(401, "x-api-key header is required")

    def unknown(self, method: str, path: str, status: int) -> Refusal:
        """A path or method that it does not know."""
        return Refusal(status, "Not Found" if status == 404 else "Method Not Allowed")  # noqa: PLR2004 - HTTP's

    def whole(self, question: Question, answer: Answer) -> bytes:
        """A message."""
        blocks = [*_thoughts(question, answer)]
        if answer.pieces:
            blocks.append({"type": "text", "text": "".join(answer.pieces), "citations": None})
        for call in answer.calls:
            given = "".join(call.pieces)
            blocks.append({**_tool_use(call.call_id, call.name), "input": _parsed(given)})
        message = {**_message(question, answer), "content": blocks, **_end(answer)}
        if answer.with_usage:
            message["usage"] = _usage(question, answer, answer.completion_tokens)
        return orjson.dumps(message)

    def frames(self, question: Question, answer: Answer) -> Iterator[Frame]:
        """Blocks begin, grow and stop, one after the other."""
        message = {**_message(question, answer), "content": [], "stop_reason": None, "stop_sequence": None}
        if answer.with_usage:
            message["usage"] = _usage(question, answer, min(1, answer.completion_tokens), thinking=0)
        opening = _event("message_start", message=message) + _event("ping")
        blocks = _Blocks()
        hidden = 0
        if not answer.shown_reasoning:
            # Nothing of them to be seen, but for the mark.
            hidden = answer.reasoning_tokens
            for thought in _thoughts(question, answer):
                opening += blocks.sealed(thought)
        yield Frame(Part.OPEN, opening, hidden)
        yield from self._content(answer, blocks)
        delta: Json = {"delta": _end(answer)}
        if answer.with_usage:
            delta["usage"] = _usage(question, answer, answer.completion_tokens)
        yield Frame(Part.FINISH, blocks.stop() + _event("message_delta", **delta))
        yield Frame(Part.DONE, _event("message_stop"))

    def _content(self, answer: Answer, blocks: _Blocks) -> Iterator[Frame]:
        for at, piece in enumerate(answer.shown_reasoning, 1):
            data = blocks.begin({"type": "thinking", "thinking": "", "signature": ""}) if at == 1 else b""
            data += blocks.delta({"type": "thinking_delta", "thinking": piece})
            if at == len(answer.shown_reasoning):
                data += blocks.delta({"type": "signature_delta", "signature": seal(answer.reasoning_text)})
            yield Frame(Part.CONTENT, data, 1)
        for at, piece in enumerate(answer.pieces):
            data = blocks.begin({"type": "text", "text": "", "citations": None}) if at == 0 else b""
            yield Frame(Part.CONTENT, data + blocks.delta({"type": "text_delta", "text": piece}), 1)
        for call in answer.calls:
            data = blocks.begin({**_tool_use(call.call_id, call.name), "input": {}})
            data += blocks.delta({"type": "input_json_delta", "partial_json": ""})
            yield Frame(Part.CONTENT, data, call.name_tokens)
            # No arguments are no deltas.
            for piece in call.pieces:
                yield Frame(Part.CONTENT, blocks.delta({"type": "input_json_delta", "partial_json": piece}), 1)

    def stream_error(self, refusal: Refusal) -> bytes:
        """An `error` event."""
        return b"event: error\ndata: " + self.refusal(refusal) + b"\n\n"

    def stream_garbage(self) -> bytes:
        """An event whose JSON never closes."""
        return b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_de\n\n'


class _Blocks:
    """The events of content blocks, which have numbers."""

    def __init__(self) -> None:
        self._next = 0
        self._is_open = False

    def begin(self, block: Json) -> bytes:
        """The block before ends."""
        ended = self.stop()
        self._is_open = True
        self._next += 1
        return ended + _event("content_block_start", index=self._next - 1, content_block=block)

    def delta(self, delta: Json) -> bytes:
        """More of the block."""
        return _event("content_block_delta", index=self._next - 1, delta=delta)

    def stop(self) -> bytes:
        """Nothing when none is open."""
        if not self._is_open:
            return b""
        self._is_open = False
        return _event("content_block_stop", index=self._next - 1)

    def sealed(self, block: Json) -> bytes:
        """A block of thoughts that nobody reads."""
        if block["type"] == "redacted_thinking":
            return self.begin(block) + self.stop()
        start = self.begin({**block, "signature": ""})
        return start + self.delta({"type": "signature_delta", "signature": block["signature"]}) + self.stop()


def _thoughts(question: Question, answer: Answer) -> Iterator[Json]:
    """The block of what was thought, if there is one: readable, hidden or sealed."""
    thinks = isinstance(question, MessagesQuestion) and question.thinks
    if not answer.reasoning_tokens or not (thinks or answer.shown_reasoning or answer.redacted):
        return
    mark = seal(answer.reasoning_text)
    if answer.redacted:
        yield {"type": "redacted_thinking", "data": mark}
    else:
        yield {"type": "thinking", "thinking": "".join(answer.shown_reasoning), "signature": mark}


def _tool_use(call_id: str, name: str) -> Json:
    return {"type": "tool_use", "id": f"toolu_{call_id}", "name": name, "caller": {"type": "direct"}}


def _parsed(given: str) -> object:
    """Arguments that were cut are none."""
    try:
        return orjson.loads(given)
    except orjson.JSONDecodeError:
        return {}


def _message(question: Question, answer: Answer) -> Json:
    return {
        "id": f"msg_{answer.answer_id}",
        "type": "message",
        "role": "assistant",
        "model": question.model,
        "container": None,
        "stop_details": None,
    }


def _end(answer: Answer) -> Json:
    if answer.stop_sequence is not None and answer.finish is Finish.STOP:
        return {"stop_reason": "stop_sequence", "stop_sequence": answer.stop_sequence}
    return {"stop_reason": answer.finish_word(_WORDS), "stop_sequence": None}


def _usage(question: Question, answer: Answer, output: int, *, thinking: int | None = None) -> Json:
    """What lies before the last breakpoint and was not in the cache is written to it."""
    until = question.written if isinstance(question, MessagesQuestion) else 0
    written = max(0, until - answer.cached_tokens)
    return {
        "input_tokens": answer.prompt_tokens - answer.cached_tokens - written,
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": answer.cached_tokens,
        "cache_creation": {"ephemeral_5m_input_tokens": written, "ephemeral_1h_input_tokens": 0},
        "output_tokens": output,
        "output_tokens_details": {"thinking_tokens": answer.reasoning_tokens if thinking is None else thinking},
        "service_tier": "standard",
    }


def _event(kind: str, **fields: object) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (kind.encode(), orjson.dumps({"type": kind, **fields}))
