"""Answers of generateContent, whole and streamed."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import orjson

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
from services.router.providers.formats.gemini_content.errors import ERRORS
from services.router.providers.formats.gemini_content.signatures import mark, mark_on_text
from services.router.providers.formats.gemini_content.usage import read_usage
from services.router.providers.reading.json_values import MAX_FINISH_REASON, Json, malformed, text
from services.router.providers.reading.server_sent_events import SERVER_SENT_EVENTS

_FINISH_REASONS: Mapping[str, FinishReason] = MappingProxyType(
    {
        "STOP": FinishReason.STOP,
        "MAX_TOKENS": FinishReason.LENGTH,
        "SAFETY": FinishReason.CONTENT_FILTER,
        "BLOCKLIST": FinishReason.CONTENT_FILTER,
        "PROHIBITED_CONTENT": FinishReason.CONTENT_FILTER,
        "SPII": FinishReason.CONTENT_FILTER,
        "IMAGE_SAFETY": FinishReason.CONTENT_FILTER,
        "IMAGE_PROHIBITED_CONTENT": FinishReason.CONTENT_FILTER,
        "IMAGE_RECITATION": FinishReason.CONTENT_FILTER,
        "RECITATION": FinishReason.CONTENT_FILTER,
        "MODEL_ARMOR": FinishReason.CONTENT_FILTER,
        "ESCALATION": FinishReason.CONTENT_FILTER,
        "MALFORMED_FUNCTION_CALL": FinishReason.MALFORMED_TOOL_CALL,
        "OTHER": FinishReason.ERROR,
        "LANGUAGE": FinishReason.ERROR,
        "UNEXPECTED_TOOL_CALL": FinishReason.ERROR,
        "TOO_MANY_TOOL_CALLS": FinishReason.ERROR,
        "MISSING_THOUGHT_SIGNATURE": FinishReason.ERROR,
    }
)
_MADE: Mapping[str, str] = MappingProxyType({"image": "An image", "audio": "A sound", "video": "A video"})
_ODD = (KeyError, TypeError, AttributeError, ValueError)
NO_NAMES: Mapping[str, str] = MappingProxyType({})


class GeminiAnswers:
    """A `base.AnswerFormat`. `names` are the tools' own names by those they were sent with, where these differ."""

    __slots__ = ("_names",)

    stream_format = SERVER_SENT_EVENTS

    def __init__(self, names: Mapping[str, str] = NO_NAMES) -> None:
        self._names = names

    def decode(self, body: bytes) -> Answer:
        """A complete answer. Raises ProviderError."""
        reader = GeminiStreamDecoder(self._names)
        events = reader.feed(body)
        if not reader.answered:
            raise malformed()
        parts = _folded(events)
        end = reader.finished()
        return Answer(
            parts=parts,
            finish_reason=end.finish_reason,
            raw_finish_reason=end.raw_finish_reason,
            usage=end.usage,
        )

    def stream_decoder(self) -> StreamDecoder:
        """A decoder for one stream."""
        return GeminiStreamDecoder(self._names)


class GeminiStreamDecoder:
    """The events of one streamed answer: chunks, each of which is an answer in itself.

    There is no end marker. The finish reason comes with the last content, but chunks may follow it.
    """

    __slots__ = ("_answer_id", "_blocked", "_calls", "_done", "_finish", "_names", "_usage", "answered")

    def __init__(self, names: Mapping[str, str] = NO_NAMES) -> None:
        self.answered = False
        self._names = names
        self._answer_id = ""
        self._finish: str | None = None
        self._blocked = False
        self._calls = 0
        self._usage: TokenCounts | None = None
        self._done = False

    def feed(self, data: bytes) -> list[ProviderEvent]:
        """What one chunk means."""
        chunk = _load(data)
        events: list[ProviderEvent] = []
        try:
            if "responseId" in chunk:
                self._answer_id = text(chunk["responseId"] or "")
            for candidate in chunk.get("candidates") or ():
                # One answer was asked for; whatever else comes would be mixed into it.
                if not candidate.get("index"):
                    self._candidate(candidate, events)
            feedback = chunk.get("promptFeedback")
            if feedback and feedback.get("blockReason") and self._finish is None:
                self.answered = self._blocked = True
                self._finish = text(feedback["blockReason"])[:MAX_FINISH_REASON]
            if chunk.get("usageMetadata"):
                self._count(read_usage(chunk["usageMetadata"]))
        except _ODD:
            raise malformed() from None
        return events

    def end(self) -> list[ProviderEvent]:
        """The bytes have ended; without a finish reason the answer has not."""
        if self._done:
            return []
        if self._finish is None:
            raise ProviderError(Reason.PROVIDER_UNREACHABLE, sent=True)
        self._done = True
        return [self.finished()]

    def finished(self) -> Finished:
        """The end of the answer, as it stands."""
        raw = self._finish or ""
        if self._calls:
            reason = FinishReason.TOOL_CALLS
        elif self._blocked:
            # Nothing comes, or nothing more.
            reason = FinishReason.CONTENT_FILTER
        else:
            reason = _FINISH_REASONS.get(raw, FinishReason.UNKNOWN)
        return Finished(finish_reason=reason, raw_finish_reason=raw, usage=self._usage)

    def _count(self, usage: TokenCounts | None) -> None:
        # A running total comes with every chunk; what was used once cannot become less.
        if usage is not None and (self._usage is None or usage.total >= self._usage.total):
            self._usage = usage

    def _candidate(self, candidate: Json, events: list[ProviderEvent]) -> None:
        self.answered = True
        content = candidate.get("content")
        for part in (content.get("parts") or ()) if content else ():
            self._part(part, events)
        if candidate.get("finishReason"):
            self._finish = text(candidate["finishReason"])[:MAX_FINISH_REASON]

    def _part(self, part: Json, events: list[ProviderEvent]) -> None:
        signature = text(part.get("thoughtSignature") or "")
        if part.get("functionCall"):
            self._function_call(part["functionCall"], signature, events)
            return
        said = text(part.get("text") or "")
        if part.get("thought"):
            if said or signature:
                events.append(ReasoningDelta(said, mark(signature) if signature else None))
            return
        if said:
            events.append(TextDelta(said))
        made = part.get("inlineData") or part.get("fileData")
        if made:
            events.append(TextDelta(_note_of(made)))
        # Also where it stands beside something that is not read here: what follows may need it.
        if signature:
            events.append(ReasoningDelta("", mark_on_text(signature, len(said))))

    def _function_call(self, call: Json, signature: str, events: list[ProviderEvent]) -> None:
        index = self._calls
        self._calls += 1
        name = text(call["name"])
        arguments = call.get("args")
        if not isinstance(arguments, dict | None):
            raise TypeError("arguments that are no object")
        # Often there is no id, and the caller needs one: with the answer's own in it, no other turn has the same.
        call_id = text(call.get("id") or "") or "_".join(filter(None, ("call", self._answer_id, str(index))))
        events.append(
            ToolCallStarted(index, call_id, self._names.get(name, name), mark(signature) if signature else None)
        )
        events.append(ToolArgumentsDelta(index, orjson.dumps(arguments or {}).decode()))


def _note_of(made: Json) -> str:
    """What stands for something that the model made and answers have no place for."""
    what = _MADE.get(text(made.get("mimeType") or "").partition("/")[0], "A file")
    return f"[{what} that the model made was left out here.]"


def _folded(events: list[ProviderEvent]) -> tuple[AnswerPart, ...]:
    """The parts of a whole answer, from the events that it would be as a stream."""
    parts: list[AnswerPart] = []
    started: ToolCallStarted | None = None
    for event in events:
        last = parts[-1] if parts else None
        match event:
            case TextDelta(said):
                if isinstance(last, Text):
                    parts[-1] = Text(last.text + said)
                else:
                    parts.append(Text(said))
            case ReasoningDelta(thought, signature):
                if isinstance(last, Reasoning) and last.signature is None:
                    parts[-1] = Reasoning(last.text + thought, signature)
                else:
                    parts.append(Reasoning(thought, signature))
            case ToolCallStarted():
                started = event
            case ToolArgumentsDelta(_, arguments) if started is not None:
                parts.append(
                    ToolCall(id=started.id, name=started.name, arguments_json=arguments, signature=started.signature)
                )
            case _:
                pass
    return tuple(parts)


def _load(data: bytes) -> Json:
    """One answer. Raises ProviderError for what is none, and for an error that came in its place."""
    try:
        chunk = orjson.loads(data)
    except orjson.JSONDecodeError:
        raise malformed() from None
    if isinstance(chunk, list) and len(chunk) == 1:
        # Some errors come in an array.
        chunk = chunk[0]
    if not isinstance(chunk, dict):
        raise malformed()
    if chunk.get("error"):
        raise ERRORS.embedded(chunk["error"])
    return chunk
