"""Answers of the Messages API in one piece, and how both kinds are read."""

from __future__ import annotations

from dataclasses import dataclass

from services.router.domain.generation import Answer, AnswerPart, Reasoning, Text, ToolCall
from services.router.providers.base import StreamDecoder, StreamFormat
from services.router.providers.formats.anthropic_messages import signatures
from services.router.providers.formats.anthropic_messages.errors import ERRORS
from services.router.providers.formats.anthropic_messages.stream import (
    MessagesStreamDecoder,
    finish_reason,
    input_text,
)
from services.router.providers.formats.anthropic_messages.usage import read_usage
from services.router.providers.reading.json_values import MAX_FINISH_REASON, Json, load_object, malformed, text
from services.router.providers.reading.server_sent_events import SERVER_SENT_EVENTS


@dataclass(frozen=True, slots=True)
class MessagesAnswers:
    """A `base.AnswerFormat`. `model` is who was asked, as its thoughts are signed for it.

    What the model gives to `answer_tool`, where there is one, is its answer as text.
    """

    answer_tool: str = ""
    model: str = ""

    @property
    def stream_format(self) -> StreamFormat:
        """Server-sent events."""
        return SERVER_SENT_EVENTS

    def decode(self, body: bytes) -> Answer:
        """A complete answer. Raises ProviderError."""
        return decode_answer(body, self.answer_tool, self.model)

    def stream_decoder(self) -> StreamDecoder:
        """A decoder for one stream."""
        return MessagesStreamDecoder(self.answer_tool, self.model)


def decode_answer(body: bytes, answer_tool: str = "", model: str = "") -> Answer:
    """A complete answer. Raises ProviderError when the body is none, or is an error sent with HTTP 200."""
    answer = load_object(body)
    if answer.get("error"):
        raise ERRORS.embedded(answer["error"])
    try:
        blocks = answer["content"]
        if not isinstance(blocks, list):
            raise malformed()
        raw = text(answer.get("stop_reason") or "")[:MAX_FINISH_REASON]
        usage = read_usage(answer.get("usage"))
        parts = _parts(blocks, answer_tool, model)
        used = [block["name"] for block in blocks if block["type"] == "tool_use"]
        return Answer(
            parts=parts,
            finish_reason=finish_reason(
                raw,
                called=any(isinstance(part, ToolCall) for part in parts),
                answered_by_tool=bool(answer_tool) and answer_tool in used,
            ),
            raw_finish_reason=raw,
            usage=None if usage is None else usage.counts(),
        )
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError):
        raise malformed() from None


def _parts(blocks: list[Json], answer_tool: str, model: str) -> tuple[AnswerPart, ...]:
    parts: list[AnswerPart] = []
    for block in blocks:
        part = _part(block, answer_tool, model)
        last = parts[-1] if parts else None
        if isinstance(part, Text) and isinstance(last, Text):
            # What stood between them ran at the provider.
            parts[-1] = Text(last.text + part.text)
        elif isinstance(part, Reasoning) and isinstance(last, Reasoning) and last.signature is None:
            parts[-1] = Reasoning(last.text + part.text, part.signature)
        elif part is not None:
            parts.append(part)
    return tuple(parts)


def _part(block: Json, answer_tool: str, model: str) -> AnswerPart | None:
    """What one block means; None for empty ones and those of tools that run at the provider."""
    match text(block["type"]):
        case "text":
            said = text(block["text"])
            return Text(said) if said else None
        case "thinking":
            thought, mark = text(block.get("thinking") or ""), text(block.get("signature") or "")
            signature = signatures.of_thinking(mark, model) if mark else None
            return Reasoning(thought, signature) if thought or mark else None
        case "redacted_thinking":
            data = text(block.get("data") or "")
            return Reasoning("", signatures.of_redacted(data, model)) if data else None
        case "tool_use":
            arguments = input_text(block.get("input"))
            name = text(block["name"])
            if name and name == answer_tool:
                return Text(arguments)
            return ToolCall(id=text(block["id"]), name=name, arguments_json=arguments)
        case _:
            return None
