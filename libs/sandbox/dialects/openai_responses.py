"""OpenAI Responses: requests in, answers, streams and errors out.

Source of the shapes: the types of the official `openai` package, which the contract tests use as the client.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import orjson

from libs.sandbox.dialect import Answer, Call, Dialect, Endpoint, Finish, Frame, Part, Question, Refusal, ToolCall
from libs.sandbox.dialects.openai_chat import OpenAIChat
from libs.sandbox.dialects.openai_responses_input import Json, sealed_reasoning
from libs.sandbox.dialects.openai_responses_request import ResponsesQuestion, read_question
from libs.sandbox.sealing import seal

_CREATED = 1_767_225_600  # 2026-01-01: the same for every answer, or answers would differ by their second
_FINISHES: Mapping[Finish, str] = {
    Finish.STOP: "completed",
    Finish.LENGTH: "max_output_tokens",
    Finish.TOOL_CALLS: "completed",
}
# Words that are a status; any other is why an answer is incomplete.
_STATUSES = frozenset({"completed", "failed", "cancelled"})
_REFUSAL = "refusal"
# As many tokens of thought are summed up in two parts rather than one.
_TWO_PARTS = 6
_CHAT = OpenAIChat()


class OpenAIResponses(Dialect):
    """The dialect; it has no state. Keys and errors are those of Chat Completions."""

    name = "openai_responses"
    prefix = "/v1"
    paths = MappingProxyType({"/v1/responses": ("POST", Endpoint.CHAT)})

    def read(self, call: Call) -> Question:
        """Understand a request. Raises Refusal (400) naming the parameter."""
        return read_question(call.body)

    def refusal(self, refusal: Refusal) -> bytes:
        """`{"error": {message, type, param, code}}`."""
        return _CHAT.refusal(refusal)

    def standard_refusal(self, status: int, code: str | None, model: str) -> Refusal:
        """OpenAI's words for `status`."""
        return _CHAT.standard_refusal(status, code, model)

    def no_key(self) -> Refusal:
        """OpenAI says how a key is sent."""
        return _CHAT.no_key()

    def whole(self, question: Question, answer: Answer) -> bytes:
        """A `response`."""
        output = [item.done for item in _items(question, answer)]
        return orjson.dumps(_response(question, answer, output, finished=True))

    def frames(self, question: Question, answer: Answer) -> Iterator[Frame]:
        """Events with their names and numbers. What only frames an item goes with the content next to it."""
        events = _Events()
        begun = _response(question, answer, [], finished=False)
        structure = events.of("response.created", response=begun) + events.of("response.in_progress", response=begun)
        hidden = 0 if answer.shown_reasoning else answer.reasoning_tokens
        items = _items(question, answer)
        part, tokens = Part.OPEN, hidden
        for index, item in enumerate(items):
            for content, data, content_tokens in item.events(events, index):
                if content:
                    if part is Part.OPEN:
                        yield Frame(Part.OPEN, structure, tokens)
                        part, structure = Part.CONTENT, b""
                    yield Frame(Part.CONTENT, structure + data, content_tokens)
                    structure = b""
                else:
                    structure += data
        if part is Part.OPEN:
            yield Frame(Part.OPEN, structure, tokens)
            structure = b""
        yield Frame(Part.FINISH, structure)
        if answer.finish is not None:
            response = _response(question, answer, [item.done for item in items], finished=True)
            yield Frame(Part.DONE, events.of(_last_event(response["status"]), response=response))

    def stream_error(self, refusal: Refusal) -> bytes:
        """An `error` event, and the response as failed."""
        events = _Events(after=10**6)
        error = {"code": refusal.code or "server_error", "message": refusal.message}
        response = {"id": "resp_failed", "object": "response", "status": "failed", "error": error, "output": []}
        return events.of("error", **error, param=None) + events.of("response.failed", response=response)

    def stream_garbage(self) -> bytes:
        """An event whose JSON never closes."""
        return b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","delta":"half a wo\n\n'


class _Events:
    """Makes events, each with the next number."""

    def __init__(self, after: int = 0) -> None:
        self._next = after

    def of(self, kind: str, **fields: object) -> bytes:
        event = {"type": kind, "sequence_number": self._next, **fields}
        self._next += 1
        return b"event: %s\ndata: %s\n\n" % (kind.encode(), orjson.dumps(event))


class _Item:
    """An item of the output: `begun` and `done` as it is shown at first and at last."""

    def __init__(self, done: Json, begun: Json) -> None:
        self.done = done
        self.begun = {**done, **begun, "status": "in_progress"}

    def events(self, events: _Events, index: int) -> Iterator[tuple[bool, bytes, int]]:
        """Whether it is content, the event, and the tokens of it."""
        yield False, events.of("response.output_item.added", output_index=index, item=self.begun), 0
        place = {"item_id": self.done["id"], "output_index": index}
        yield from self._content(events, place)
        yield False, events.of("response.output_item.done", output_index=index, item=self.done), 0

    def _content(self, events: _Events, place: Json) -> Iterator[tuple[bool, bytes, int]]:
        yield from ()


class _ReasoningItem(_Item):
    def __init__(self, question: Question, answer: Answer) -> None:
        item_id = f"rs_{answer.answer_id}"
        self._parts = _summary(answer.shown_reasoning)
        texts = ["".join(part) for part in self._parts]
        done: Json = {
            "id": item_id,
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": text} for text in texts],
            "status": "completed",
        }
        begun: Json = {"summary": []}
        if isinstance(question, ResponsesQuestion) and question.sealed:
            done["encrypted_content"] = sealed_reasoning(item_id, texts)
            # It is whole at the end only.
            begun["encrypted_content"] = seal(item_id)
        super().__init__(done, begun)

    def _content(self, events: _Events, place: Json) -> Iterator[tuple[bool, bytes, int]]:
        for index, pieces in enumerate(self._parts):
            where = {**place, "summary_index": index}
            empty, full = ({"type": "summary_text", "text": text} for text in ("", "".join(pieces)))
            yield False, events.of("response.reasoning_summary_part.added", **where, part=empty), 0
            for piece in pieces:
                yield True, events.of("response.reasoning_summary_text.delta", **where, delta=piece), 1
            yield False, events.of("response.reasoning_summary_text.done", **where, text=full["text"]), 0
            yield False, events.of("response.reasoning_summary_part.done", **where, part=full), 0


class _MessageItem(_Item):
    def __init__(self, answer: Answer, *, cut: bool) -> None:
        self._pieces = answer.pieces
        self._refuses = answer.finish == _REFUSAL
        done = {
            "id": f"msg_{answer.answer_id}",
            "type": "message",
            "role": "assistant",
            "content": [self._part("".join(answer.pieces))],
            "status": "incomplete" if cut else "completed",
        }
        super().__init__(done, {"content": []})

    def _part(self, text: str) -> Json:
        if self._refuses:
            return {"type": "refusal", "refusal": text}
        return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}

    def _content(self, events: _Events, place: Json) -> Iterator[tuple[bool, bytes, int]]:
        where = {**place, "content_index": 0}
        kind, field = ("refusal", "refusal") if self._refuses else ("output_text", "text")
        extra: Json = {} if self._refuses else {"logprobs": []}
        yield False, events.of("response.content_part.added", **where, part=self._part("")), 0
        for piece in self._pieces:
            yield True, events.of(f"response.{kind}.delta", **where, delta=piece, **extra), 1
        text = "".join(self._pieces)
        yield False, events.of(f"response.{kind}.done", **where, **{field: text}, **extra), 0
        yield False, events.of("response.content_part.done", **where, part=self._part(text)), 0


class _CallItem(_Item):
    def __init__(self, call: ToolCall, *, cut: bool) -> None:
        self._call = call
        done = {
            "id": f"fc_{call.call_id}",
            "type": "function_call",
            "call_id": f"call_{call.call_id}",
            "name": call.name,
            "arguments": "".join(call.pieces),
            "status": "incomplete" if cut else "completed",
        }
        super().__init__(done, {"arguments": ""})

    def events(self, events: _Events, index: int) -> Iterator[tuple[bool, bytes, int]]:
        """A call begins with its name, which costs tokens."""
        frames = super().events(events, index)
        _, added, _ = next(frames)
        yield True, added, self._call.name_tokens
        yield from frames

    def _content(self, events: _Events, place: Json) -> Iterator[tuple[bool, bytes, int]]:
        for piece in self._call.pieces:
            yield True, events.of("response.function_call_arguments.delta", **place, delta=piece), 1
        arguments = self.done["arguments"]
        yield False, events.of("response.function_call_arguments.done", **place, arguments=arguments), 0


def _items(question: Question, answer: Answer) -> list[_Item]:
    items: list[_Item] = []
    cut = answer.finish == Finish.LENGTH
    if answer.reasoning_tokens:
        items.append(_ReasoningItem(question, answer))
    if answer.pieces:
        items.append(_MessageItem(answer, cut=cut and not answer.calls))
    last = answer.calls[-1] if answer.calls else None
    items += [_CallItem(call, cut=cut and call is last) for call in answer.calls]
    return items


def _summary(pieces: tuple[str, ...]) -> list[tuple[str, ...]]:
    middle = len(pieces) // 2
    return [pieces[:middle], pieces[middle:]] if len(pieces) >= _TWO_PARTS else [pieces] if pieces else []


def _response(question: Question, answer: Answer, output: list[Json], *, finished: bool) -> Json:
    status, reason = _status(answer) if finished else ("in_progress", None)
    echo: Mapping[str, Any] = question.echo if isinstance(question, ResponsesQuestion) else {}
    return {
        "id": f"resp_{answer.answer_id}",
        "object": "response",
        "created_at": _CREATED,
        "status": status,
        "background": False,
        "error": {"code": "server_error", "message": "The model failed."} if status == "failed" else None,
        "incomplete_details": None if reason is None else {"reason": reason},
        "model": question.model,
        "output": output,
        "previous_response_id": None,
        "service_tier": "default",
        "top_logprobs": 0,
        "usage": _usage(answer) if finished and answer.with_usage else None,
        "user": None,
        **echo,
    }


def _status(answer: Answer) -> tuple[str | None, str | None]:
    """The status, and why it is incomplete if it is."""
    word = answer.finish_word(_FINISHES)
    if word is None or word in _STATUSES:
        return word, None
    return ("completed", None) if word == _REFUSAL else ("incomplete", word)


def _last_event(status: str) -> str:
    return f"response.{status}" if status in {"completed", "incomplete", "failed"} else "response.completed"


def _usage(answer: Answer) -> Json:
    return {
        "input_tokens": answer.prompt_tokens,
        "input_tokens_details": {"cached_tokens": answer.cached_tokens, "cache_write_tokens": 0},
        "output_tokens": answer.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": answer.reasoning_tokens},
        "total_tokens": answer.prompt_tokens + answer.completion_tokens,
    }
