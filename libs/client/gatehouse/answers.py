"""What a model gives back: a whole answer, or the events of a streamed one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from gatehouse.money import nano_usd
from gatehouse.router.v1.generation_pb2 import Outcome, RouteTrace
from gatehouse.router.v1.generation_service_pb2 import (
    ReasoningDelta,
    Started,
    StreamGenerateResponse,
    ToolArgumentsDelta,
    ToolCallStarted,
)
from gatehouse.router.v1.message_pb2 import Message, ToolCall

EventKind = Literal[
    "started", "reasoning_delta", "text_delta", "tool_call_started", "tool_arguments_delta", "completed"
]


def cost_nano_usd(outcome: Outcome) -> int | None:
    """What the attempt that served cost, in nano-USD; None when it is not known."""
    return nano_usd(outcome.cost) if outcome.HasField("cost") else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A whole answer. `message` can go into the next call's `messages`; `outcome` says who served and what it took.

    Sent back as it is, `message` carries the model's own thoughts along, which some providers want with the results of
    tools; whoever else the call goes to does not see them.
    """

    message: Message
    outcome: Outcome

    @property
    def text(self) -> str:
        """The text, empty when the model only called tools."""
        return "".join(part.text for part in self.message.parts)

    @property
    def reasoning(self) -> str:
        """What the model thought, as far as its provider shows it."""
        return "".join(part.reasoning.text for part in self.message.parts)

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Embeddings:
    """Vectors, one for each text in the order they were given; `outcome` says who made them and what it took.

    The vectors are read where they lie: `list(vector)` or `numpy.array(vector)` makes a copy of one.
    """

    vectors: Sequence[Sequence[float]]
    outcome: Outcome

    @property
    def trace(self) -> RouteTrace:
        """How the targets were chosen, as of an Answer."""
        return self.outcome.trace

    @property
    def cost_nano_usd(self) -> int | None:
        """What they cost, in nano-USD; None when no price or usage is known."""
        return cost_nano_usd(self.outcome)


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
    def reasoning(self) -> str:
        """The next piece of what the model thinks; empty for every other event."""
        return self.raw.reasoning_delta.text

    @property
    def reasoning_delta(self) -> ReasoningDelta | None:
        """The same with the provider's signature."""
        return self.raw.reasoning_delta if self.raw.HasField("reasoning_delta") else None

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
