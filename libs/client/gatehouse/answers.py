"""What a model gives back: a whole answer, or the events of a streamed one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gatehouse.money import nano_usd
from gatehouse.router.v1.generation_pb2 import Outcome, RouteTrace
from gatehouse.router.v1.generation_service_pb2 import (
    Started,
    StreamGenerateResponse,
    ToolArgumentsDelta,
    ToolCallStarted,
)
from gatehouse.router.v1.message_pb2 import Message, ToolCall

EventKind = Literal["started", "text_delta", "tool_call_started", "tool_arguments_delta", "completed"]


def cost_nano_usd(outcome: Outcome) -> int | None:
    """What the attempt that served cost, in nano-USD; None when it is not known."""
    return nano_usd(outcome.cost) if outcome.HasField("cost") else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A whole answer. `message` can go into the next call's `messages`; `outcome` says who served and what it took."""

    message: Message
    outcome: Outcome

    @property
    def text(self) -> str:
        """The text, empty when the model only called tools."""
        return "".join(part.text for part in self.message.parts)

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The tools the model wants called; answer each with `gatehouse.tool_result`."""
        return tuple(part.tool_call for part in self.message.parts if part.HasField("tool_call"))

    @property
    def trace(self) -> RouteTrace:
        """How the targets were chosen: which were tried in what order, and why the others were left out.

        Empty when the server is too old to say.
        """
        return self.outcome.trace

    @property
    def cost_nano_usd(self) -> int | None:
        """What it cost, in nano-USD ($1 is 1,000,000,000); None when no price or usage is known."""
        return cost_nano_usd(self.outcome)

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a streamed answer: first `started`, then deltas, last `completed`. `raw` is the message itself."""

    raw: StreamGenerateResponse

    @property
    def kind(self) -> EventKind | None:
        """Which event it is; None for one that this version does not know: skip it."""
        return self.raw.WhichOneof("event")

    @property
    def text(self) -> str:
        """The next piece of text; empty for every other event."""
        return self.raw.text_delta

    @property
    def started(self) -> Started | None:
        """Who began to answer."""
        return self.raw.started if self.raw.HasField("started") else None

    @property
    def tool_call_started(self) -> ToolCallStarted | None:
        """A tool call began."""
        return self.raw.tool_call_started if self.raw.HasField("tool_call_started") else None

    @property
    def tool_arguments_delta(self) -> ToolArgumentsDelta | None:
        """The next piece of a tool call's arguments."""
        return self.raw.tool_arguments_delta if self.raw.HasField("tool_arguments_delta") else None

    @property
    def outcome(self) -> Outcome | None:
        """How the answer ended and what it took, in the last event."""
        return self.raw.completed.outcome if self.raw.HasField("completed") else None
