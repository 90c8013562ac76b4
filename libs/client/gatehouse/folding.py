"""A streamed answer put together, as if it had come in one piece."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable

from gatehouse.answers import Answer, Event
from gatehouse.router.v1.generation_pb2 import Outcome
from gatehouse.router.v1.generation_service_pb2 import ReasoningDelta
from gatehouse.router.v1.message_pb2 import ROLE_ASSISTANT, Message, Part, ToolCall


class AnswerBuilder:
    """Takes events as they come and has the answer so far.

    answer = AnswerBuilder()
    for event in client.stream("Why is the sky blue?"):
        answer.add(event)
        print(event.text, end="")
    messages.append(answer.message)

    `message` can be sent back like that of a whole answer: with the model's thoughts, their signatures and its tool
    calls. Of a stream that broke off it has what came; tool calls may then be without the end of their arguments.
    """

    def __init__(self) -> None:
        self.outcome: Outcome | None = None
        """How the answer ended and what it took; None before its end."""
        # Pieces are joined when the message is asked for: adding to a text again and again would copy all of it.
        self._texts: list[list[str]] = []
        self._parts: list[Part] = []
        self._calls: dict[int, int] = {}

    def add(self, event: Event) -> None:
        """Take the next event."""
        raw = event.raw
        match event.kind:
            case "text_delta":
                if not self._parts or not self._parts[-1].HasField("text"):
                    self._begin(Part(text=""))
                self._texts[-1].append(raw.text_delta)
            case "reasoning_delta":
                self._think(raw.reasoning_delta)
            case "tool_call_started":
                begun = raw.tool_call_started
                call = ToolCall(id=begun.id, name=begun.name)
                if begun.HasField("signature"):
                    call.signature.CopyFrom(begun.signature)
                self._calls[begun.index] = len(self._parts)
                self._begin(Part(tool_call=call))
            case "tool_arguments_delta":
                place = self._calls.get(raw.tool_arguments_delta.index)
                if place is not None:
                    self._texts[place].append(raw.tool_arguments_delta.arguments_json)
            case "completed":
                self.outcome = raw.completed.outcome
            case _:
                # Who serves is in the outcome too; what this version does not know is skipped.
                pass

    @property
    def message(self) -> Message:
        """What came so far, to be sent back."""
        message = Message(role=ROLE_ASSISTANT, parts=self._parts)
        for part, pieces in zip(message.parts, self._texts, strict=True):
            joined = "".join(pieces)
            match part.WhichOneof("content"):
                case "tool_call":
                    part.tool_call.arguments_json = joined
                case "reasoning":
                    part.reasoning.text = joined
                case _:
                    part.text = joined
        return message

    def answer(self) -> Answer:
        """The whole answer. Raises ValueError before its end."""
        if self.outcome is None:
            raise ValueError("the answer has not come to its end")
        return Answer(message=self.message, outcome=self.outcome)

    def _think(self, delta: ReasoningDelta) -> None:
        last = self._parts[-1] if self._parts else None
        if last is None or not last.HasField("reasoning") or last.reasoning.HasField("signature"):
            last = Part()
            last.reasoning.SetInParent()
            self._begin(last)
        self._texts[-1].append(delta.text)
        if delta.HasField("signature"):
            last.reasoning.signature.CopyFrom(delta.signature)

    def _begin(self, part: Part) -> None:
        self._parts.append(part)
        self._texts.append([])


def fold(events: Iterable[Event]) -> Answer:
    """Read a stream to its end: `fold(client.stream("Why?"))` gives what `client.generate("Why?")` would."""
    builder = AnswerBuilder()
    for event in events:
        builder.add(event)
    return builder.answer()


async def fold_async(events: AsyncIterable[Event]) -> Answer:
    """The same for a stream of AsyncClient."""
    builder = AnswerBuilder()
    async for event in events:
        builder.add(event)
    return builder.answer()
