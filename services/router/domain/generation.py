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
class Image:
    """An image by its bytes (with their media type) or by an https URL; exactly one of `data`, `url` is set."""

    data: bytes | None = None
    url: str | None = None
    media_type: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A tool the model wants called; `arguments_json` is its own text and may not be valid JSON."""

    id: str
    name: str
    arguments_json: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolResult:
    """What a tool answered."""

    tool_call_id: str
    content: str
    is_error: bool = False


Part = Text | Image | ToolCall | ToolResult


@dataclass(frozen=True, slots=True)
class Message:
    """One turn: who speaks, and at least one part."""

    role: Role
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A tool the model may call; `parameters_json` is its JSON Schema as text, checked to be an object schema."""

    name: str
    description: str
    parameters_json: str


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """A validated call. None and empty mean "not said"."""

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


class FinishReason(enum.Enum):
    """Why a model stopped. A word we do not know is UNKNOWN, never STOP."""

    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"
    CONTENT_FILTER = "content_filter"
    REFUSAL = "refusal"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A complete answer. `usage` is None when the provider did not say."""

    text: str
    tool_calls: tuple[ToolCall, ...]
    finish_reason: FinishReason
    raw_finish_reason: str
    usage: TokenCounts | None


@dataclass(frozen=True, slots=True)
class TextDelta:
    """More text, at least one character."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCallStarted:
    """A tool call begins; `index` counts the tool calls of this answer from 0."""

    index: int
    id: str
    name: str


@dataclass(frozen=True, slots=True)
class ToolArgumentsDelta:
    """More of a tool call's arguments."""

    index: int
    arguments_json: str


ContentEvent = TextDelta | ToolCallStarted | ToolArgumentsDelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """The provider's stream ended as it should. `usage` is None when the provider did not say."""

    finish_reason: FinishReason
    raw_finish_reason: str
    usage: TokenCounts | None


ProviderEvent = ContentEvent | Finished
