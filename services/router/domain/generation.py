"""A call and its answer, in no provider's dialect."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from libs.core.money import TokenCounts


class Role(enum.Enum):
    """Who speaks in a message."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of text."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Media:
    """Something by its bytes or by an https URL; exactly one of `data`, `url` is set.

    `media_type` may be empty for an image by URL.
    """

    data: bytes | None = None
    url: str | None = None
    media_type: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Image(Media):
    """An image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Audio(Media):
    """Speech or other sound."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document(Media):
    """A document; `name` is its file name or title, or empty."""

    name: str = ""


@dataclass(frozen=True, slots=True)
class Signature:
    """A provider's own mark on what it said; `data` is made and read by its dialect only.

    `provider` and `key` are resource names: where it came from. A dialect leaves them empty, and sees none in a request
    that did not come from where the request goes.
    """

    data: bytes
    provider: str = ""
    key: str = ""


@dataclass(frozen=True, slots=True)
class Reasoning:
    """What a model thought; `text` is empty where the provider hides it."""

    text: str
    signature: Signature | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A tool the model wants called; in an answer `arguments_json` is its own text and may not be valid JSON."""

    id: str
    name: str
    arguments_json: str
    signature: Signature | None = None


ResultPart = Text | Image | Audio | Document


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolResult:
    """What a tool answered; no parts are an empty answer. `name` is that of the tool, from the call it answers."""

    tool_call_id: str
    name: str
    parts: tuple[ResultPart, ...]
    is_error: bool = False

    @property
    def text(self) -> str:
        """Its texts, a line end between each two."""
        return "\n".join(part.text for part in self.parts if isinstance(part, Text))


Part = Text | Image | Audio | Document | Reasoning | ToolCall | ToolResult


@dataclass(frozen=True, slots=True)
class Message:
    """One turn: who speaks, and at least one part.

    `breakpoints` are the places in `parts` up to which the provider should keep the prompt in its cache.
    """

    role: Role
    parts: tuple[Part, ...]
    breakpoints: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A tool the model may call; `parameters_json` is its JSON Schema as text, checked to be an object schema."""

    name: str
    description: str
    parameters_json: str
    cache_breakpoint: bool = False


class ToolChoiceMode(enum.Enum):
    """The general ways to choose tools."""

    AUTO = "auto"
    REQUIRED = "required"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class NamedTool:
    """The one tool the model must call."""

    name: str


ToolChoice = ToolChoiceMode | NamedTool


@dataclass(frozen=True, slots=True)
class JsonFormat:
    """Any JSON value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonSchemaFormat:
    """JSON that fits a schema, given as text and checked to be one."""

    name: str
    description: str
    schema_json: str
    strict: bool


ResponseFormat = JsonFormat | JsonSchemaFormat


class Effort(enum.IntEnum):
    """How much thinking, in words, from least to most."""

    NONE = 0
    LOW = 1
    MEDIUM = 2
    HIGH = 3
    MAX = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasoningRequest:
    """How much the model thinks: exactly one of `effort`, `budget_tokens` is set.

    `hide`: the answer leaves the thoughts out, but not their signatures.
    """

    effort: Effort | None = None
    budget_tokens: int | None = None
    hide: bool = False


class ServiceTier(enum.Enum):
    """How urgent a call is to its provider."""

    AUTO = "auto"
    STANDARD = "standard"
    FLEX = "flex"
    PRIORITY = "priority"


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """A validated call. None and empty mean "not said".

    `drop_unsupported`: what a target cannot do is left out of what it is sent, instead of the target.
    """

    messages: tuple[Message, ...]
    provider: str = ""
    model: str = ""
    fallback: bool = True
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    task: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    request_id: str = ""
    session: str = ""
    drop_unsupported: bool = False
    reasoning: ReasoningRequest | None = None
    top_k: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    service_tier: ServiceTier | None = None
    end_user: str = ""
    prompt_cache_key: str = ""


class FinishReason(enum.Enum):
    """Why a model stopped. A word we do not know is UNKNOWN, never STOP."""

    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"
    CONTENT_FILTER = "content_filter"
    REFUSAL = "refusal"
    UNKNOWN = "unknown"
    PAUSED = "paused"
    CONTEXT_EXCEEDED = "context_exceeded"
    MALFORMED_TOOL_CALL = "malformed_tool_call"
    ERROR = "error"


AnswerPart = Text | Reasoning | ToolCall


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A complete answer. `usage` is None when the provider did not say.

    `parts` are in the provider's order; no two texts are neighbours, and none is empty. `warnings` say what was left
    out of the request: they come from the dialect, not from the provider.
    """

    parts: tuple[AnswerPart, ...]
    finish_reason: FinishReason
    raw_finish_reason: str
    usage: TokenCounts | None
    warnings: tuple[str, ...] = field(default=(), compare=False)

    @property
    def text(self) -> str:
        """All its text."""
        return "".join(part.text for part in self.parts if isinstance(part, Text))

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The tools it wants called."""
        return tuple(part for part in self.parts if isinstance(part, ToolCall))


@dataclass(frozen=True, slots=True)
class TextDelta:
    """More text, at least one character."""

    text: str


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """More reasoning: text, or a signature, or both. A signature closes the part; what follows begins the next."""

    text: str
    signature: Signature | None = None


@dataclass(frozen=True, slots=True)
class ToolCallStarted:
    """A tool call begins; `index` counts the tool calls of this answer from 0."""

    index: int
    id: str
    name: str
    signature: Signature | None = None


@dataclass(frozen=True, slots=True)
class ToolArgumentsDelta:
    """More of a tool call's arguments."""

    index: int
    arguments_json: str


ContentEvent = TextDelta | ReasoningDelta | ToolCallStarted | ToolArgumentsDelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """The provider's stream ended as it should. `usage` is None when the provider did not say."""

    finish_reason: FinishReason
    raw_finish_reason: str
    usage: TokenCounts | None


ProviderEvent = ContentEvent | Finished
