"""Answers of a Chat Completions server, whole and streamed."""

from __future__ import annotations

from collections.abc import Mapping

from libs.core.money import TokenCounts
from services.router.domain.errors import ProviderError, Reason
from services.router.domain.generation import (
    Answer,
    AnswerPart,
    Finished,
    FinishReason,
    ProviderEvent,
    Reasoning,
    ReasoningDelta,
    Text,
    TextDelta,
    ToolArgumentsDelta,
    ToolCall,
    ToolCallStarted,
)
from services.router.providers.base import StreamDecoder
from services.router.providers.formats.chat_completions.errors import ERRORS
from services.router.providers.formats.chat_completions.usage import read_usage
from services.router.providers.reading.json_values import MAX_FINISH_REASON, Json, load_object, malformed, text
from services.router.providers.reading.server_sent_events import SERVER_SENT_EVENTS

_FINISH_REASONS: Mapping[str, FinishReason] = {
    "stop": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "tool_calls": FinishReason.TOOL_CALLS,
    "function_call": FinishReason.TOOL_CALLS,
    "content_filter": FinishReason.CONTENT_FILTER,
}


class ChatAnswers:
    """A `base.AnswerFormat`."""

    stream_format = SERVER_SENT_EVENTS

    def decode(self, body: bytes) -> Answer:
        """A complete answer. Raises ProviderError."""
        return decode_answer(body)

    def stream_decoder(self) -> StreamDecoder:
        """A decoder for one stream."""
        return ChatStreamDecoder()


def decode_answer(body: bytes) -> Answer:
    """A complete answer. Raises ProviderError when the body is none, or is an error sent with HTTP 200."""
    answer = load_object(body)
    if answer.get("error"):
        raise ERRORS.embedded(answer["error"])
    try:
        choice = answer["choices"][0]
        message = choice["message"]
        finish = text(choice.get("finish_reason") or "")[:MAX_FINISH_REASON]
        refusal = text(message.get("refusal") or "")
        return Answer(
            parts=_parts(message, refusal),
            finish_reason=FinishReason.REFUSAL if refusal else _finish_reason(finish),
            raw_finish_reason=finish,
            usage=read_usage(answer.get("usage")),
        )
    except (KeyError, IndexError, TypeError, AttributeError, ValueError):
        raise malformed() from None


def _parts(message: Json, refusal: str) -> tuple[AnswerPart, ...]:
    reasoning = text(message.get("reasoning_content") or "")
    said = text(message.get("content") or "") + refusal
    return (
        *((Reasoning(reasoning),) if reasoning else ()),
        *((Text(said),) if said else ()),
        *(_tool_call(index, each) for index, each in enumerate(message.get("tool_calls") or ())),
    )


def _tool_call(index: int, call: Json) -> ToolCall:
    function = call["function"]
    return ToolCall(
        id=text(call.get("id") or _made_id(index)),
        name=text(function["name"]),
        arguments_json=text(function.get("arguments") or ""),
    )


class ChatStreamDecoder:
    """The events of one streamed answer. The usage chunk comes after the finish reason, `[DONE]` after both."""

    __slots__ = ("_done", "_finish", "_ids", "_places", "_refused", "_usage")

    def __init__(self) -> None:
        self._finish: str | None = None
        self._refused = False
        self._usage: TokenCounts | None = None
        self._places: dict[int | None, int] = {}
        self._ids: list[str] = []
        self._done = False

    def feed(self, data: bytes) -> list[ProviderEvent]:
        """What one event means."""
        if self._done:
            return []
        if data == b"[DONE]":
            return self.end()
        chunk = load_object(data)
        if chunk.get("error"):
            raise ERRORS.embedded(chunk["error"])
        events: list[ProviderEvent] = []
        try:
            if chunk.get("usage"):
                self._count(read_usage(chunk["usage"]))
            for choice in chunk.get("choices") or ():
                # One answer was asked for; whatever else comes would be mixed into it.
                if not choice.get("index"):
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

    def _count(self, usage: TokenCounts | None) -> None:
        # Some servers report a running total with every chunk; what was used once cannot become less.
        if usage is not None and (self._usage is None or usage.total >= self._usage.total):
            self._usage = usage

    def _choice(self, choice: Json, events: list[ProviderEvent]) -> None:
        delta = choice.get("delta") or {}
        if delta.get("reasoning_content"):
            events.append(ReasoningDelta(text(delta["reasoning_content"])))
        if delta.get("content"):
            events.append(TextDelta(text(delta["content"])))
        if delta.get("refusal"):
            self._refused = True
            events.append(TextDelta(text(delta["refusal"])))
        for call in delta.get("tool_calls") or ():
            self._tool_call(call, events)
        if choice.get("finish_reason"):
            self._finish = text(choice["finish_reason"])[:MAX_FINISH_REASON]

    def _tool_call(self, call: Json, events: list[ProviderEvent]) -> None:
        """Parallel calls are told apart by the provider's index; ours counts from 0 without gaps."""
        function = call.get("function") or {}
        theirs, call_id, name = call.get("index"), call.get("id"), function.get("name")
        index = self._places.get(theirs)
        # Some servers give all calls the same index, or none: there a name with another id begins a call.
        if index is None or (name and (theirs is None or (call_id and call_id != self._ids[index]))):
            index = self._places[theirs] = len(self._ids)
            self._ids.append(text(call_id or _made_id(index)))
            events.append(ToolCallStarted(index, self._ids[index], text(name)))
        if function.get("arguments"):
            events.append(ToolArgumentsDelta(index, text(function["arguments"])))


def _made_id(index: int) -> str:
    # For servers that give none; the caller needs one to answer the call.
    return f"call_{index}"


def _finish_reason(raw: str) -> FinishReason:
    return _FINISH_REASONS.get(raw, FinishReason.UNKNOWN)
