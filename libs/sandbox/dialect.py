"""What every dialect has in common: the question it reads, the answer it writes, the refusal it words.

A dialect is one file in `dialects/`. It turns bytes into a `Question` and an `Answer` into bytes and decides
nothing: `answers.py` makes the answer, `delivery.py` sends it, at the pace and with the faults asked for.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A function on offer; `parameters` is its JSON Schema as JSON text."""

    name: str
    parameters: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A request that was understood. `digest` is 16 bytes of everything the answer may depend on."""

    model: str
    digest: bytes
    prompt_tokens: int
    user_text: str
    stream: bool
    include_usage: bool
    images: int = 0
    tool_result: str | None = None
    tools: tuple[Tool, ...] = ()
    forced_tool: Tool | None = None
    tools_allowed: bool = True
    parallel_tool_calls: bool = True
    output_schema: bytes | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A call of a function: `pieces` joined are its arguments as JSON text, one token each."""

    call_id: str
    name: str
    name_tokens: int
    pieces: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What goes back. `completion_tokens` holds the reasoning too; `cached_tokens` are part of the prompt's."""

    answer_id: str
    finish: str | None
    prompt_tokens: int
    completion_tokens: int
    pieces: tuple[str, ...] = ()
    calls: tuple[ToolCall, ...] = ()
    reasoning_tokens: int = 0
    shown_reasoning: tuple[str, ...] = ()
    cached_tokens: int = 0
    with_usage: bool = True

    @property
    def chunks(self) -> int:
        """How many content chunks a stream of it has."""
        return len(self.shown_reasoning) + len(self.pieces) + sum(1 + len(call.pieces) for call in self.calls)


class Part(enum.Enum):
    """Where in a stream a frame stands."""

    OPEN = enum.auto()
    CONTENT = enum.auto()
    FINISH = enum.auto()
    USAGE = enum.auto()
    DONE = enum.auto()


class Frame(NamedTuple):
    """One event of a stream as bytes, with the tokens the bill counts once it is sent."""

    part: Part
    data: bytes
    tokens: int = 0


class Refusal(Exception):
    """A request that gets an error instead of an answer.

    `status` is 300 to 599; `code` and `param` are what the provider's own error would say; `retry_after_s`
    becomes the dialect's hint when to come back. The message never holds a key (unless a test asked for just
    that with `echo_key`).
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        retry_after_s: float | None = None,
        location: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.param = param
        self.retry_after_s = retry_after_s
        self.location = location


class Dialect(Protocol):
    """One provider's way to speak."""

    @property
    def name(self) -> str:
        """What the bill calls it."""
        ...

    @property
    def chat_path(self) -> str:
        """Where questions are posted."""
        ...

    @property
    def models_path(self) -> str:
        """Where the models are listed."""
        ...

    @property
    def stream_content_type(self) -> str:
        """The content type of a streamed answer."""
        ...

    def key(self, headers: Mapping[str, str]) -> str:
        """The key the caller sent; empty when there is none."""
        ...

    def read(self, body: bytes) -> Question:
        """Understand a request. Raises Refusal in the provider's words."""
        ...

    def models(self, names: tuple[str, ...]) -> bytes:
        """The list of models."""
        ...

    def refusal(self, refusal: Refusal) -> bytes:
        """The body of an error."""
        ...

    def standard_refusal(self, status: int, code: str | None, model: str) -> Refusal:
        """What the provider says with `status`; `code` picks among variants."""
        ...

    def whole(self, question: Question, answer: Answer) -> bytes:
        """The answer as one body."""
        ...

    def frames(self, question: Question, answer: Answer) -> Iterator[Frame]:
        """The answer as a stream: one OPEN, many CONTENT, one FINISH, perhaps a USAGE, one DONE."""
        ...

    def stream_at_once(self, question: Question, answer: Answer) -> bytes:
        """The data of all frames, joined."""
        ...

    def stream_error(self) -> bytes:
        """The event that reports a failure in the middle of a stream."""
        ...

    def stream_garbage(self) -> bytes:
        """An event no client can read."""
        ...
