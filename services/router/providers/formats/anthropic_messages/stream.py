"""Streamed answers of the Messages API."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import orjson

from services.router.domain.errors import ProviderError, Reason
from services.router.domain.generation import (
    Finished,
    FinishReason,
    ProviderEvent,
    ReasoningDelta,
    TextDelta,
    ToolArgumentsDelta,
    ToolCallStarted,
)
from services.router.providers.formats.anthropic_messages import signatures
from services.router.providers.formats.anthropic_messages.errors import ERRORS
from services.router.providers.formats.anthropic_messages.usage import Usage, read_usage
from services.router.providers.reading.json_values import MAX_FINISH_REASON, Json, load_object, malformed, text

_FINISH_REASONS: Mapping[str, FinishReason] = MappingProxyType(
    {
        "end_turn": FinishReason.STOP,
        "stop_sequence": FinishReason.STOP,
        "max_tokens": FinishReason.LENGTH,
        "tool_use": FinishReason.TOOL_CALLS,
        "refusal": FinishReason.REFUSAL,
        "pause_turn": FinishReason.PAUSED,
        "model_context_window_exceeded": FinishReason.CONTEXT_EXCEEDED,
    }
)


def finish_reason(raw: str, *, called: bool, answered_by_tool: bool) -> FinishReason:
    """What a stop reason means; an answer by way of a tool is no call of one."""
    reason = _FINISH_REASONS.get(raw, FinishReason.UNKNOWN)
    return FinishReason.STOP if reason is FinishReason.TOOL_CALLS and answered_by_tool and not called else reason


def input_text(value: object) -> str:
    """A tool's input as JSON text, the way the provider writes it in streams. Raises TypeError when it is no object."""
    if value is None:
        return "{}"
    if not isinstance(value, dict):
        raise TypeError("object expected")
    return orjson.dumps(value).decode()


class _Block:
    """A content block that has begun. `tool` counts the tool calls of the answer; None for other blocks."""

    __slots__ = ("given", "kind", "signature", "started_input", "tool")

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.tool: int | None = None
        self.given = False
        self.started_input: object = None
        self.signature = ""


class MessagesStreamDecoder:
    """The events of one streamed answer. It has ended with `message_stop`, not before."""

    __slots__ = (
        "_answer_tool",
        "_answered_by_tool",
        "_blocks",
        "_done",
        "_finish",
        "_model",
        "_told",
        "_tools",
        "_usage",
    )

    def __init__(self, answer_tool: str = "", model: str = "") -> None:
        self._answer_tool = answer_tool
        self._model = model
        self._answered_by_tool = False
        self._blocks: dict[int, _Block] = {}
        self._tools = 0
        self._finish = ""
        self._usage: Usage | None = None
        # Whether the provider has told what the answer took, and not only what it began with.
        self._told = False
        self._done = False

    def feed(self, data: bytes) -> list[ProviderEvent]:
        """What one event means."""
        if self._done:
            return []
        event = load_object(data)
        events: list[ProviderEvent] = []
        try:
            match event.get("type"):
                case "content_block_delta":
                    self._delta(event["index"], event["delta"], events)
                case "content_block_start":
                    self._start(event["index"], event["content_block"], events)
                case "content_block_stop":
                    self._stop(event["index"], events)
                case "message_start":
                    self._count(event["message"].get("usage"), whole=False)
                case "message_delta":
                    self._finish = text(event["delta"].get("stop_reason") or self._finish)[:MAX_FINISH_REASON]
                    self._count(event.get("usage"), whole=True)
                case "message_stop":
                    self._finished(events)
                case "error":
                    raise ERRORS.embedded(event.get("error"))
                case _ if event.get("error"):
                    raise ERRORS.embedded(event["error"])
        except (KeyError, TypeError, AttributeError, ValueError, RecursionError):
            raise malformed() from None
        return events

    def end(self) -> list[ProviderEvent]:
        """The bytes have ended; before `message_stop` the answer has not."""
        if not self._done:
            raise ProviderError(Reason.PROVIDER_UNREACHABLE, sent=True)
        return []

    def _start(self, index: int, block: Json, events: list[ProviderEvent]) -> None:
        for left in tuple(self._blocks):
            # Blocks come one after the other; one whose end was not told has ended all the same.
            self._stop(left, events)
        kind = text(block["type"])
        begun = self._blocks[index] = _Block(kind)
        match kind:
            case "text":
                if block.get("text"):
                    events.append(TextDelta(text(block["text"])))
            case "thinking":
                begun.signature = text(block.get("signature") or "")
                if block.get("thinking"):
                    events.append(ReasoningDelta(text(block["thinking"])))
            case "redacted_thinking":
                if block.get("data"):
                    events.append(ReasoningDelta("", signatures.of_redacted(text(block["data"]), self._model)))
            case "tool_use":
                begun.started_input = block.get("input")
                name = text(block["name"])
                if name and name == self._answer_tool:
                    self._answered_by_tool = True
                else:
                    begun.tool = self._tools
                    self._tools += 1
                    events.append(ToolCallStarted(begun.tool, text(block["id"]), name))

    def _delta(self, index: int, delta: Json, events: list[ProviderEvent]) -> None:
        match delta.get("type"):
            case "text_delta":
                if delta["text"]:
                    events.append(TextDelta(text(delta["text"])))
            case "input_json_delta":
                if delta["partial_json"]:
                    self._input(self._blocks[index], text(delta["partial_json"]), events)
            case "thinking_delta":
                if delta["thinking"]:
                    events.append(ReasoningDelta(text(delta["thinking"])))
            case "signature_delta":
                signature, block = text(delta["signature"]), self._blocks.get(index)
                # llama.cpp closes every block at the end only, and signs thoughts with nothing.
                if block is not None:
                    block.signature = signature

    def _input(self, block: _Block, piece: str, events: list[ProviderEvent]) -> None:
        # The tools that run at the provider have inputs too.
        if block.kind != "tool_use":
            return
        block.given = True
        events.append(TextDelta(piece) if block.tool is None else ToolArgumentsDelta(block.tool, piece))

    def _stop(self, index: int, events: list[ProviderEvent]) -> None:
        block = self._blocks.pop(index, None)
        if block is None:
            return
        if block.signature:
            events.append(ReasoningDelta("", signatures.of_thinking(block.signature, self._model)))
        if block.kind == "tool_use" and not block.given:
            # No arguments, or all of them at the start.
            self._input(block, input_text(block.started_input), events)

    def _count(self, given: object, *, whole: bool) -> None:
        usage = read_usage(given)
        if usage is not None:
            self._usage = usage if self._usage is None else self._usage.larger(usage)
            self._told = self._told or whole

    def _finished(self, events: list[ProviderEvent]) -> None:
        for index in tuple(self._blocks):
            self._stop(index, events)
        self._done = True
        reason = finish_reason(self._finish, called=self._tools > 0, answered_by_tool=self._answered_by_tool)
        usage = self._usage.counts() if self._usage is not None and self._told else None
        events.append(Finished(finish_reason=reason, raw_finish_reason=self._finish, usage=usage))
