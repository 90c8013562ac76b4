"""Answers of a Chat Completions server, whole and streamed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from libs.core.money import TokenCounts
from services.router.domain.errors import ProviderError, Reason
from services.router.domain.generation import (
    Answer,
    Finished,
    FinishReason,
    ProviderEvent,
    TextDelta,
    ToolArgumentsDelta,
    ToolCall,
    ToolCallStarted,
)
from services.router.providers.chat_completions.errors import embedded_error, malformed

_Json = dict[str, Any]

_FINISH_REASONS: Mapping[str, FinishReason] = {
    "stop": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "tool_calls": FinishReason.TOOL_CALLS,
    "function_call": FinishReason.TOOL_CALLS,
    "content_filter": FinishReason.CONTENT_FILTER,
}


def decode_answer(body: bytes) -> Answer:
    """A complete answer. Raises ProviderError when the body is none, or is an error sent with HTTP 200."""
    answer = _loads(body)
    if answer.get("error"):
        raise embedded_error(answer["error"])
    try:
        choice = answer["choices"][0]
        message = choice["message"]
        finish = choice.get("finish_reason") or ""
        refusal = message.get("refusal")
        return Answer(
            text=message.get("content") or refusal or "",
            tool_calls=tuple(
                ToolCall(id=each["id"], name=each["function"]["name"], arguments_json=each["function"]["arguments"])
                for each in message.get("tool_calls") or ()
            ),
            finish_reason=FinishReason.REFUSAL if refusal else _finish_reason(finish),
            raw_finish_reason=finish,
            usage=_usage(answer.get("usage")),
        )
    except (KeyError, IndexError, TypeError, AttributeError, ValueError):
        raise malformed() from None


class ChatStreamDecoder:
    """The events of one streamed answer. The usage chunk comes after the finish reason, `[DONE]` after both."""

    __slots__ = ("_done", "_finish", "_refused", "_tools", "_usage")

    def __init__(self) -> None:
        self._finish: str | None = None
        self._refused = False
        self._usage: TokenCounts | None = None
        self._tools: dict[int, int] = {}
        self._done = False

    def feed(self, data: bytes) -> list[ProviderEvent]:
        """What one event means."""
        if self._done:
            return []
        if data == b"[DONE]":
            return self.end()
        chunk = _loads(data)
        if chunk.get("error"):
            raise embedded_error(chunk["error"])
        try:
            if chunk.get("usage"):
                self._usage = _usage(chunk["usage"])
            events: list[ProviderEvent] = []
            for choice in chunk.get("choices") or ():
                self._choice(choice, events)
        except (KeyError, TypeError, AttributeError, ValueError):
            raise malformed() from None
        return events

    def end(self) -> list[ProviderEvent]:
        """The bytes have ended; without a finish reason the answer has not."""
        if self._done:
            return []
        if self._finish is None:
            raise ProviderError(Reason.PROVIDER_UNREACHABLE, sent=True)
        self._done = True
        reason = FinishReason.REFUSAL if self._refused else _finish_reason(self._finish)
        return [Finished(finish_reason=reason, raw_finish_reason=self._finish, usage=self._usage)]

    def _choice(self, choice: _Json, events: list[ProviderEvent]) -> None:
        delta = choice.get("delta") or {}
        text = delta.get("content")
        if text:
            events.append(TextDelta(_text(text)))
        elif delta.get("refusal"):
            self._refused = True
            events.append(TextDelta(_text(delta["refusal"])))
        for call in delta.get("tool_calls") or ():
            self._tool_call(call, events)
        if choice.get("finish_reason"):
            self._finish = _text(choice["finish_reason"])

    def _tool_call(self, call: _Json, events: list[ProviderEvent]) -> None:
        # Parallel calls are told apart by the provider's index alone; ours counts from 0 without gaps.
        function = call.get("function") or {}
        theirs = call.get("index", len(self._tools))
        index = self._tools.get(theirs)
        if index is None:
            index = self._tools[theirs] = len(self._tools)
            name = _text(function["name"])
            events.append(ToolCallStarted(index, _text(call.get("id") or f"call_{index}"), name))
        if function.get("arguments"):
            events.append(ToolArgumentsDelta(index, _text(function["arguments"])))


def _usage(usage: _Json | None) -> TokenCounts | None:
    """Disjoint buckets: cached tokens are part of `prompt_tokens`, reasoning tokens of `completion_tokens`."""
    if not usage:
        return None
    prompt, completion = int(usage["prompt_tokens"]), int(usage.get("completion_tokens") or 0)
    cached = int((usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0)
    reasoning = int((usage.get("completion_tokens_details") or {}).get("reasoning_tokens") or 0)
    if min(prompt, completion, cached, reasoning) < 0 or cached > prompt or reasoning > completion:
        raise ValueError("usage does not add up")
    return TokenCounts(
        input_tokens=prompt - cached,
        cache_read_tokens=cached,
        output_tokens=completion - reasoning,
        reasoning_tokens=reasoning,
    )


def _finish_reason(raw: str) -> FinishReason:
    return _FINISH_REASONS.get(raw, FinishReason.UNKNOWN)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("text expected")
    return value


def _loads(data: bytes) -> _Json:
    try:
        parsed = orjson.loads(data)
    except orjson.JSONDecodeError:
        raise malformed() from None
    if not isinstance(parsed, dict):
        raise malformed()
    return parsed
