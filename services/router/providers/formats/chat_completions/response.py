"""Answers of a Chat Completions server."""

from __future__ import annotations

from dataclasses import dataclass, field

from services.router.domain.generation import Answer, AnswerPart, Reasoning, Signature, Text, ToolCall
from services.router.providers.base import StreamDecoder
from services.router.providers.formats.chat_completions.answer_rules import AnswerRules
from services.router.providers.formats.chat_completions.content import pieces_in, reasoning_in
from services.router.providers.formats.chat_completions.stream import ChatStreamDecoder
from services.router.providers.formats.chat_completions.tool_calls import arguments_text, calls_in, made_id
from services.router.providers.formats.chat_completions.usage import usage_in
from services.router.providers.reading.json_values import MAX_FINISH_REASON, Json, load_object, malformed, text
from services.router.providers.reading.server_sent_events import SERVER_SENT_EVENTS

OPENAI_RULES = AnswerRules()


@dataclass(frozen=True, slots=True)
class ChatAnswers:
    """A `base.AnswerFormat`."""

    rules: AnswerRules = field(default_factory=lambda: OPENAI_RULES)

    stream_format = SERVER_SENT_EVENTS

    def decode(self, body: bytes) -> Answer:
        """A complete answer. Raises ProviderError."""
        return decode_answer(body, self.rules)

    def stream_decoder(self) -> StreamDecoder:
        """A decoder for one stream."""
        return ChatStreamDecoder(self.rules)


def decode_answer(body: bytes, rules: AnswerRules = OPENAI_RULES) -> Answer:
    """A complete answer. Raises ProviderError when the body is none, or is an error sent with HTTP 200."""
    answer = load_object(body)
    if answer.get("error") or answer.get("object") == "error":
        raise rules.errors.embedded(answer.get("error") or answer)
    try:
        choice = answer["choices"][0]
        if choice.get("error"):
            raise rules.errors.embedded(choice["error"])
        message = choice["message"]
        finish = text(choice.get("finish_reason") or "")[:MAX_FINISH_REASON]
        refusal = text(message.get("refusal") or "")
        parts = _parts(message, refusal, answer.get("id"), rules)
        called = any(isinstance(part, ToolCall) for part in parts)
        return Answer(
            parts=parts,
            finish_reason=rules.finish_reason(finish, refused=bool(refusal), called=called),
            raw_finish_reason=finish,
            usage=usage_in(answer),
        )
    except (KeyError, IndexError, TypeError, AttributeError, ValueError):
        raise malformed() from None


def _parts(message: Json, refusal: str, answer_id: object, rules: AnswerRules) -> tuple[AnswerPart, ...]:
    parts: list[AnswerPart] = []
    reasoning = reasoning_in(message)
    if reasoning:
        parts.append(Reasoning(reasoning))
    for is_reasoning, piece in pieces_in(message.get("content")):
        _add(parts, Reasoning(piece) if is_reasoning else Text(piece))
    if refusal:
        _add(parts, Text(refusal))
    parts += (_tool_call(index, each, answer_id) for index, each in enumerate(calls_in(message)))
    if rules.keeping is not None:
        keeper = rules.keeping.keeper()
        keeper.feed(message, reasoning)
        if mark := keeper.mark():
            _add(parts, Reasoning("", Signature(mark)))
    return tuple(parts)


def _add(parts: list[AnswerPart], part: Text | Reasoning) -> None:
    """Join it with the part before, as the deltas of a stream are."""
    last = parts[-1] if parts else None
    if isinstance(last, Text) and isinstance(part, Text):
        parts[-1] = Text(last.text + part.text)
    elif isinstance(last, Reasoning) and isinstance(part, Reasoning):
        parts[-1] = Reasoning(last.text + part.text, part.signature)
    else:
        parts.append(part)


def _tool_call(index: int, call: Json, answer_id: object) -> ToolCall:
    function = call["function"]
    return ToolCall(
        id=text(call.get("id") or made_id(answer_id, index)),
        name=text(function["name"]),
        arguments_json=arguments_text(function.get("arguments")),
    )
