"""Streamed answers of a Chat Completions server."""

from __future__ import annotations

from libs.core.money import TokenCounts
from services.router.domain.errors import ProviderError, Reason
from services.router.domain.generation import Finished, ProviderEvent, ReasoningDelta, Signature, TextDelta
from services.router.providers.formats.chat_completions.answer_rules import AnswerRules
from services.router.providers.formats.chat_completions.content import pieces_in, reasoning_in
from services.router.providers.formats.chat_completions.tool_calls import ToolCallAssembler, calls_in
from services.router.providers.formats.chat_completions.usage import usage_in
from services.router.providers.reading.json_values import MAX_FINISH_REASON, Json, load_object, malformed, text

_END = b"[DONE]"
_WRONG = (KeyError, TypeError, AttributeError, ValueError)


class ChatStreamDecoder:
    """The events of one streamed answer. The usage chunk comes after the finish reason, `[DONE]` after both."""

    __slots__ = ("_answer_id", "_calls", "_done", "_finish", "_keeper", "_refused", "_rules", "_usage")

    def __init__(self, rules: AnswerRules) -> None:
        self._rules = rules
        self._keeper = None if rules.keeping is None else rules.keeping.keeper()
        self._answer_id: object = None
        self._calls: ToolCallAssembler | None = None
        self._finish: str | None = None
        self._refused = False
        self._usage: TokenCounts | None = None
        self._done = False

    def feed(self, data: bytes) -> list[ProviderEvent]:
        """What one event means."""
        if self._done:
            return []
        if data == _END:
            return self.end()
        chunk = load_object(data)
        if chunk.get("error") or chunk.get("object") == "error":
            raise self._rules.errors.embedded(chunk.get("error") or chunk)
        events: list[ProviderEvent] = []
        try:
            if chunk.get("usage") or "x_groq" in chunk:
                self._count(usage_in(chunk))
                if error := _error_of_groq(chunk):
                    raise self._rules.errors.embedded(error)
            for choice in chunk.get("choices") or ():
                # One answer was asked for; whatever else comes would be mixed into it.
                if not choice.get("index"):
                    if not self._answer_id:
                        self._answer_id = chunk.get("id")
                    self._choice(choice, events)
        except _WRONG:
            raise malformed() from None
        return events

    def end(self) -> list[ProviderEvent]:
        """The bytes have ended; without a finish reason the answer has not."""
        if self._done:
            return []
        if self._finish is None:
            raise ProviderError(Reason.PROVIDER_UNREACHABLE, sent=True)
        self._done = True
        events: list[ProviderEvent] = []
        try:
            if self._calls is not None:
                self._calls.flush(self._answer_id, events)
            if self._keeper is not None and (mark := self._keeper.mark()):
                events.append(ReasoningDelta("", Signature(mark)))
        except _WRONG:
            raise malformed() from None
        reason = self._rules.finish_reason(self._finish, refused=self._refused, called=self._calls is not None)
        events.append(Finished(finish_reason=reason, raw_finish_reason=self._finish, usage=self._usage))
        return events

    def _count(self, usage: TokenCounts | None) -> None:
        # Some servers report a running total with every chunk; what was used once cannot become less.
        if usage is not None and (self._usage is None or usage.total >= self._usage.total):
            self._usage = usage

    def _choice(self, choice: Json, events: list[ProviderEvent]) -> None:
        delta = choice.get("delta") or {}
        reasoning = reasoning_in(delta)
        if reasoning:
            events.append(ReasoningDelta(reasoning))
        if self._keeper is not None:
            self._keeper.feed(delta, reasoning)
        if content := delta.get("content"):
            for is_reasoning, piece in pieces_in(content):
                events.append(ReasoningDelta(piece) if is_reasoning else TextDelta(piece))
        if refusal := delta.get("refusal"):
            self._refused = True
            events.append(TextDelta(text(refusal)))
        if calls := calls_in(delta):
            if self._calls is None:
                self._calls = ToolCallAssembler()
            for call in calls:
                self._calls.feed(call, self._answer_id, events)
        if finish := choice.get("finish_reason"):
            if choice.get("error"):
                raise self._rules.errors.embedded(choice["error"])
            self._finish = text(finish)[:MAX_FINISH_REASON]


def _error_of_groq(chunk: Json) -> object:
    """Why Groq stopped a stream before its end: it says so beside the usage; nothing for other chunks."""
    groq = chunk.get("x_groq")
    return groq.get("error") if isinstance(groq, dict) else None
