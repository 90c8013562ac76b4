"""Answers of `/api/chat`, whole and streamed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import orjson

from services.router.domain.errors import ProviderError, Reason
from services.router.domain.generation import (
    Answer,
    AnswerPart,
    Finished,
    FinishReason,
    Message,
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
from services.router.providers.formats.ollama_chat.errors import ERRORS
from services.router.providers.formats.ollama_chat.usage import read_usage
from services.router.providers.reading.json_lines import JSON_LINES
from services.router.providers.reading.json_values import MAX_FINISH_REASON, Json, load_object, malformed, text

_FINISH_REASONS: Mapping[str, FinishReason] = {"stop": FinishReason.STOP, "length": FinishReason.LENGTH}
_MADE_ID = "call_"
_LONGEST_NUMBER = 6


class OllamaAnswers:
    """A `base.AnswerFormat`.

    `hide_reasoning`: thoughts are left out. `first_call`: the number in the first id that is made for a tool call.
    """

    __slots__ = ("_first_call", "_hide_reasoning")

    stream_format = JSON_LINES

    def __init__(self, *, hide_reasoning: bool = False, first_call: int = 0) -> None:
        self._hide_reasoning = hide_reasoning
        self._first_call = first_call

    def decode(self, body: bytes) -> Answer:
        """A complete answer. Raises ProviderError when the body is none, or is an error sent with HTTP 200."""
        answer = load_object(body)
        if answer.get("error"):
            raise ERRORS.embedded(answer["error"])
        if answer.get("done") is not True:
            raise malformed()
        try:
            parts = self._parts(answer.get("message") or {})
            raw = _raw_finish_reason(answer)
        except (KeyError, TypeError, AttributeError, ValueError):
            raise malformed() from None
        called = any(isinstance(part, ToolCall) for part in parts)
        return Answer(
            parts=parts,
            finish_reason=_finish_reason(raw, called=called),
            raw_finish_reason=raw,
            usage=read_usage(answer),
        )

    def stream_decoder(self) -> StreamDecoder:
        """A decoder for one stream."""
        return OllamaStreamDecoder(hide_reasoning=self._hide_reasoning, first_call=self._first_call)

    def _parts(self, message: Json) -> tuple[AnswerPart, ...]:
        thinking = "" if self._hide_reasoning else text(message.get("thinking") or "")
        said = text(message.get("content") or "")
        return (
            *((Reasoning(thinking),) if thinking else ()),
            *((Text(said),) if said else ()),
            *(
                ToolCall(
                    id=_call_id(call, self._first_call + index),
                    name=text(call["function"]["name"]),
                    arguments_json=_arguments(call),
                )
                for index, call in enumerate(message.get("tool_calls") or ())
            ),
        )


class OllamaStreamDecoder:
    """The lines of one streamed answer. Each is like a whole answer with a piece of the message; the last is `done`."""

    __slots__ = ("_calls", "_done", "_first_call", "_hide_reasoning")

    def __init__(self, *, hide_reasoning: bool, first_call: int) -> None:
        self._hide_reasoning = hide_reasoning
        self._first_call = first_call
        self._calls = 0
        self._done = False

    def feed(self, data: bytes) -> list[ProviderEvent]:
        """What one line means."""
        if self._done:
            return []
        line = load_object(data)
        if line.get("error"):
            raise ERRORS.embedded(line["error"])
        events: list[ProviderEvent] = []
        try:
            message = line.get("message")
            if message:
                self._take(message, events)
            if line.get("done") is True:
                raw = _raw_finish_reason(line)
                reason = _finish_reason(raw, called=self._calls > 0)
                events.append(Finished(finish_reason=reason, raw_finish_reason=raw, usage=read_usage(line)))
                self._done = True
        except (KeyError, TypeError, AttributeError, ValueError):
            raise malformed() from None
        return events

    def end(self) -> list[ProviderEvent]:
        """The bytes have ended; without the last line the answer has not."""
        if not self._done:
            raise ProviderError(Reason.PROVIDER_UNREACHABLE, sent=True)
        return []

    def _take(self, message: Json, events: list[ProviderEvent]) -> None:
        thinking = message.get("thinking")
        if thinking and not self._hide_reasoning:
            events.append(ReasoningDelta(text(thinking)))
        said = message.get("content")
        if said:
            events.append(TextDelta(text(said)))
        for call in message.get("tool_calls") or ():
            index = self._calls
            self._calls += 1
            call_id = _call_id(call, self._first_call + index)
            events.append(ToolCallStarted(index, call_id, text(call["function"]["name"])))
            arguments = _arguments(call)
            if arguments:
                events.append(ToolArgumentsDelta(index, arguments))


def next_call_number(messages: Iterable[Message]) -> int:
    """A number that no id made earlier in this conversation has."""
    return max(
        (
            int(number) + 1
            for message in messages
            for part in message.parts
            if isinstance(part, ToolCall)
            and part.id.startswith(_MADE_ID)
            and (number := part.id.removeprefix(_MADE_ID)).isascii()
            and number.isdigit()
            and len(number) <= _LONGEST_NUMBER
        ),
        default=0,
    )


def _call_id(call: Json, number: int) -> str:
    # Newer versions give ids, older ones none; the caller needs one to answer the call.
    return text(call.get("id") or f"{_MADE_ID}{number}")


def _arguments(call: Json) -> str:
    arguments = call["function"].get("arguments")
    if isinstance(arguments, str):
        return arguments
    return orjson.dumps({} if arguments is None else arguments).decode()


def _raw_finish_reason(answer: Json) -> str:
    return text(answer.get("done_reason") or "")[:MAX_FINISH_REASON]


def _finish_reason(raw: str, *, called: bool) -> FinishReason:
    # There is no word for it.
    return FinishReason.TOOL_CALLS if called else _FINISH_REASONS.get(raw, FinishReason.UNKNOWN)
