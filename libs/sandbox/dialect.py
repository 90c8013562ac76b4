"""What every dialect has in common: the question it reads, the answer it writes, the refusal it words.

A dialect is one file in `dialects/`. It turns bytes into a `Question` and an `Answer` into bytes and decides
nothing: `answers.py` makes the answer, `delivery.py` sends it, at the pace and with the faults asked for.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import ClassVar, NamedTuple

NO_TEXTS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A function on offer; `parameters` is its JSON Schema as JSON text."""

    name: str
    parameters: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A request that was understood. `digest` is 16 bytes of everything the answer may depend on.

    `images`, `audio` and `documents` count what came along; `thoughts` is how many pieces of reasoning the caller sent
    back, each verified. `reasoning_tokens` is how much the caller lets the model think (None: not said), and
    `show_reasoning` whether the answer is to hold the thoughts.
    """

    model: str
    digest: bytes
    prompt_tokens: int
    user_text: str
    stream: bool
    include_usage: bool
    images: int = 0
    audio: int = 0
    documents: int = 0
    thoughts: int = 0
    tool_result: str | None = None
    tool_failed: bool = False
    tools: tuple[Tool, ...] = ()
    forced_tool: Tool | None = None
    tools_allowed: bool = True
    parallel_tool_calls: bool = True
    output_schema: bytes | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    reasoning_tokens: int | None = None
    show_reasoning: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingQuestion:
    """Texts to turn into vectors. `details` is for the dialect's own use, such as how vectors are written."""

    model: str
    inputs: tuple[str, ...]
    prompt_tokens: int
    dimensions: int | None = None
    details: Mapping[str, str] = field(default_factory=lambda: NO_TEXTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A call of a function: `pieces` joined are its arguments as JSON text, one token each."""

    call_id: str
    name: str
    name_tokens: int
    pieces: tuple[str, ...]

    @property
    def tokens(self) -> int:
        """What it costs."""
        return self.name_tokens + len(self.pieces)


class Finish(enum.StrEnum):
    """Why an answer ended, in the sandbox's own words; each dialect has others for them (`finish_word`)."""

    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What goes back: the reasoning, then the text `pieces`, then the tool `calls`.

    `finish` is a `Finish`, or a raw word that a directive asked for, or None when there is to be none;
    `stop_sequence` is the one that ended it. `completion_tokens` holds the reasoning too; `cached_tokens` are part of
    the prompt's. `reasoning_text` is what was thought, `shown_reasoning` its pieces where they are shown; `redacted`:
    the thoughts are hidden the way a provider hides what must not be read.
    """

    answer_id: str
    finish: str | None
    prompt_tokens: int
    completion_tokens: int
    pieces: tuple[str, ...] = ()
    calls: tuple[ToolCall, ...] = ()
    reasoning_tokens: int = 0
    shown_reasoning: tuple[str, ...] = ()
    reasoning_text: str = ""
    redacted: bool = False
    stop_sequence: str | None = None
    cached_tokens: int = 0
    with_usage: bool = True

    @property
    def chunks(self) -> int:
        """How many content chunks a stream of it has where every token is a chunk."""
        return len(self.shown_reasoning) + len(self.pieces) + sum(1 + len(call.pieces) for call in self.calls)

    def finish_word(self, words: Mapping[Finish, str]) -> str | None:
        """The finish reason in a dialect's `words`; raw ones stay as they are."""
        return words[self.finish] if isinstance(self.finish, Finish) else self.finish


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingAnswer:
    """One vector of unit length for each input."""

    vectors: tuple[tuple[float, ...], ...]
    prompt_tokens: int
    with_usage: bool = True


Part = enum.Enum("Part", ["OPEN", "CONTENT", "FINISH", "USAGE", "DONE"])
"""Where in a stream a frame stands."""


class Frame(NamedTuple):
    """One event of a stream as bytes, with the tokens the bill counts once it is sent."""

    part: Part
    data: bytes
    tokens: int = 0


class Refusal(Exception):
    """A request that gets an error instead of an answer.

    `status` is 300 to 599; `code` and `param` are what the provider's own error would say; `retry_after_s` becomes the
    dialect's hint when to come back. The message never holds a key (unless a test asked for just that: `echo_key`).
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


Endpoint = enum.Enum("Endpoint", ["CHAT", "EMBEDDINGS", "MODELS", "TOKEN"])
"""What a request is for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Where a request goes; `model` and `stream` where the path says them, `action` for the dialect's own use."""

    endpoint: Endpoint
    model: str = ""
    stream: bool = False
    action: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request as it came in. Names of `headers` are compared without case; `path` is percent-decoded."""

    route: Route
    method: str = "POST"
    path: str = ""
    query: Mapping[str, str] = field(default_factory=lambda: NO_TEXTS)
    headers: Mapping[str, str] = field(default_factory=lambda: NO_TEXTS)
    body: bytes = b""


class Dialect:
    """One provider's way to speak; subclasses fill in what the provider has.

    `name` is what the bill calls it. Requests under `prefix` that no dialect knows are refused in the words of the
    dialect with the longest fitting one. `paths`: method and endpoint of the paths that are known by their whole text;
    a dialect whose paths hold more overrides `route`.
    """

    name: ClassVar[str]
    prefix: ClassVar[str]
    paths: ClassVar[Mapping[str, tuple[str, Endpoint]]] = {}
    stream_content_type: ClassVar[str] = "text/event-stream; charset=utf-8"
    requires_key: ClassVar[bool] = True
    request_id_header: ClassVar[str | None] = "x-request-id"

    def route(self, method: str, path: str) -> Route | None:
        """Where a request goes; None when it is not for this dialect. Raises Refusal for a wrong method."""
        known = self.paths.get(path)
        if known is None:
            return None
        if known[0] != method:
            raise self.unknown(method, path, 405)
        return Route(endpoint=known[1])

    def key(self, headers: Mapping[str, str]) -> str:
        """The key the caller sent, here as bearer token; empty when there is none."""
        scheme, _, key = headers.get("Authorization", "").partition(" ")
        return key.strip() if scheme.lower() == "bearer" else ""

    def read(self, call: Call) -> Question:
        """Understand a request for `Endpoint.CHAT`. Raises Refusal in the provider's words."""
        raise NotImplementedError

    def whole(self, question: Question, answer: Answer) -> bytes:
        """The answer as one body."""
        raise NotImplementedError

    def frames(self, question: Question, answer: Answer) -> Iterator[Frame]:
        """The answer as a stream: perhaps an OPEN, many CONTENT, a FINISH, perhaps a USAGE, perhaps a DONE."""
        raise NotImplementedError

    def stream_at_once(self, question: Question, answer: Answer) -> bytes:
        """The data of all frames, joined."""
        return b"".join(frame.data for frame in self.frames(question, answer))

    def chunks(self, answer: Answer) -> int:
        """How many CONTENT frames the answer has."""
        return answer.chunks

    def stream_error(self, refusal: Refusal) -> bytes:
        """The event that reports a failure in the middle of a stream."""
        raise NotImplementedError

    def stream_garbage(self) -> bytes:
        """An event no client can read."""
        raise NotImplementedError

    def read_embedding(self, call: Call) -> EmbeddingQuestion:
        """Understand a request for `Endpoint.EMBEDDINGS`. Raises Refusal in the provider's words."""
        raise NotImplementedError

    def embeddings(self, question: EmbeddingQuestion, answer: EmbeddingAnswer) -> bytes:
        """The vectors as a body."""
        raise NotImplementedError

    def models(self, names: tuple[str, ...], call: Call) -> bytes:
        """The list of models."""
        raise NotImplementedError

    def token(self, call: Call) -> bytes:
        """An access token for what `Endpoint.TOKEN` was sent; it begins as keys do. Raises Refusal."""
        raise NotImplementedError

    def refusal(self, refusal: Refusal) -> bytes:
        """The body of an error."""
        raise NotImplementedError

    def refusal_headers(self, refusal: Refusal) -> Mapping[str, str]:
        """The headers of an error that only an error has: when to come back."""
        seconds = refusal.retry_after_s
        if seconds is None:
            return NO_TEXTS
        return {"retry-after": str(math.ceil(seconds)), "retry-after-ms": str(math.ceil(seconds * 1000))}

    def standard_refusal(self, status: int, code: str | None, model: str) -> Refusal:
        """What the provider says with `status`; `code` picks among variants."""
        raise NotImplementedError

    def no_key(self) -> Refusal:
        """What the provider says to a request without a key."""
        return self.standard_refusal(401, None, "")

    def wrong_key(self) -> Refusal:
        """What the provider says to a request with a key that is none."""
        return self.standard_refusal(401, None, "")

    def unknown(self, method: str, path: str, status: int) -> Refusal:
        """What the provider says to a path (404) or a method (405) that it does not know."""
        return Refusal(status, f"Invalid URL ({method} {path[:200]})")
