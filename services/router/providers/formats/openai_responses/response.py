"""Complete answers of a Responses server."""

from __future__ import annotations

from collections.abc import Mapping

from services.router.domain.generation import Answer, AnswerPart, FinishReason, Reasoning, Text, ToolCall
from services.router.providers.formats.openai_responses.errors import ERRORS
from services.router.providers.formats.openai_responses.marks import (
    SEPARATOR,
    message_mark,
    reasoning_mark,
    reasoning_text,
)
from services.router.providers.formats.openai_responses.usage import read_usage
from services.router.providers.reading.json_values import MAX_FINISH_REASON, Json, load_object, malformed, text

_INCOMPLETE: Mapping[str, FinishReason] = {
    "max_output_tokens": FinishReason.LENGTH,
    "content_filter": FinishReason.CONTENT_FILTER,
}


def decode_answer(body: bytes) -> Answer:
    """A complete answer. Raises ProviderError when the body is none, or is an error sent with HTTP 200."""
    response = load_object(body)
    raise_error_of(response)
    try:
        status = _final(text(response.get("status") or ""))
        parts: list[AnswerPart] = []
        refused = False
        for item in response["output"]:
            refused = _add_item(item, parts) or refused
        finish, raw = finish_of(
            response, status, called=any(isinstance(part, ToolCall) for part in parts), refused=refused
        )
        return Answer(
            parts=tuple(parts), finish_reason=finish, raw_finish_reason=raw, usage=read_usage(response.get("usage"))
        )
    except (KeyError, TypeError, AttributeError, ValueError):
        raise malformed() from None


def _final(status: str) -> str:
    if status in ("queued", "in_progress"):
        raise ValueError("no answer yet, which nobody asked for")
    return status


def raise_error_of(response: Json) -> None:
    """Raises ProviderError for a response that failed and says why."""
    if response.get("error"):
        raise ERRORS.embedded(response["error"])


def finish_of(response: Json, status: str, *, called: bool, refused: bool) -> tuple[FinishReason, str]:
    """Why the model stopped, in our word and the provider's."""
    match status:
        case "completed":
            done = FinishReason.TOOL_CALLS if called else FinishReason.STOP
            return (FinishReason.REFUSAL if refused else done), status
        case "incomplete":
            details = response.get("incomplete_details")
            reason = text(details.get("reason") or "") if isinstance(details, dict) else ""
            return _INCOMPLETE.get(reason, FinishReason.UNKNOWN), (reason or status)[:MAX_FINISH_REASON]
        case "failed":
            return FinishReason.ERROR, status
        case _:
            return FinishReason.UNKNOWN, status[:MAX_FINISH_REASON]


def message_text(item: Json) -> tuple[str, bool]:
    """What a message says, and whether it is a refusal."""
    said, refused = "", False
    for part in item.get("content") or ():
        match part.get("type"):
            case "output_text":
                said += text(part.get("text") or "")
            case "refusal":
                said += text(part["refusal"])
                refused = True
    return said, refused


def call_id_of(item: Json, index: int) -> str:
    """The id that links a call and its result; servers that give none get one made."""
    return text(item.get("call_id") or item.get("id") or f"call_{index}")


def _add_item(item: Json, parts: list[AnswerPart]) -> bool:
    """Items of other kinds are the provider's own affair. Whether it is a refusal."""
    refused = False
    match item.get("type"):
        case "message":
            said, refused = message_text(item)
            _add_text(said, parts)
            phase = message_mark(item)
            if phase is not None:
                _add_reasoning(Reasoning("", phase), parts)
        case "reasoning":
            _add_reasoning(Reasoning(reasoning_text(item)[1], reasoning_mark(item)), parts)
        case "function_call":
            index = sum(isinstance(part, ToolCall) for part in parts)
            parts.append(
                ToolCall(
                    id=call_id_of(item, index),
                    name=text(item["name"]),
                    arguments_json=text(item.get("arguments") or ""),
                )
            )
    return refused


def _add_text(said: str, parts: list[AnswerPart]) -> None:
    last = parts[-1] if parts else None
    if isinstance(last, Text):
        parts[-1] = Text(last.text + said)
    elif said:
        parts.append(Text(said))


def _add_reasoning(reasoning: Reasoning, parts: list[AnswerPart]) -> None:
    """Reasoning without a signature goes on in the next one, as it does in a stream."""
    last = parts[-1] if parts else None
    if isinstance(last, Reasoning) and last.signature is None:
        joined = f"{last.text}{SEPARATOR}{reasoning.text}" if reasoning.text else last.text
        parts[-1] = Reasoning(joined, reasoning.signature)
    elif reasoning.text or reasoning.signature is not None:
        parts.append(reasoning)
