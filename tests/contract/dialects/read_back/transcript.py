"""A conversation as a flat list of what was said, the same for every format."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import orjson

from services.router.domain.generation import (
    Document,
    Generation,
    Media,
    Message,
    Reasoning,
    ResultPart,
    Role,
    Text,
    ToolCall,
    ToolResult,
)

Json = dict[str, Any]
Item = tuple[Any, ...]

ERROR_PREFIX = "Error: "
"""How formats without a field for it say that a tool failed."""


@dataclass(slots=True)
class Transcript:
    """`system`: all instructions. `items`: the rest in order, neighbouring texts of one speaker joined.

    An item is ("user" | "assistant", "text", text), ("user", kind, media type, data or URL), ("assistant", "reasoning",
    text), ("assistant", "call", number, name, arguments), or ("tool", number of the call it answers, texts, whether it
    failed, media).

    `settings`: everything else that was asked for, under Gatehouse's names.
    """

    system: str = ""
    items: list[Item] = field(default_factory=list)
    settings: Json = field(default_factory=dict)

    def say(self, role: str, text: str) -> None:
        """Text of a speaker."""
        last = self.items[-1] if self.items else ()
        if last[:2] == (role, "text"):
            self.items[-1] = (role, "text", last[2] + text)
        elif text:
            self.items.append((role, "text", text))

    def instruct(self, text: str) -> None:
        """Text of the instructions; line ends between pieces are the formats' own."""
        self.system += text

    def normal(self) -> Transcript:
        """With results in the order of their calls, for some formats have no other."""
        items: list[Item] = []
        results: list[Item] = []
        for item in self.items:
            if item[0] == "tool":
                results.append(item)
                continue
            items += sorted(results, key=lambda each: each[1])
            results = []
            items.append(item)
        items += sorted(results, key=lambda each: each[1])
        return Transcript(system=self.system, items=items, settings=self.settings)


@dataclass(slots=True)
class Calls:
    """The calls of a conversation, numbered from 0."""

    transcript: Transcript
    ids: dict[str, int] = field(default_factory=dict)
    waiting: list[tuple[int, str]] = field(default_factory=list)
    count: int = 0

    def made(self, name: str, arguments: object, call_id: str | None = None) -> None:
        """A call; `arguments` as text or parsed."""
        if isinstance(arguments, str):
            arguments = orjson.loads(arguments or "{}")
        self.transcript.items.append(("assistant", "call", self.count, name, arguments))
        if call_id is not None:
            self.ids[call_id] = self.count
        self.waiting.append((self.count, name))
        self.count += 1

    def answered(
        self, text: str, *, failed: bool, media: Iterable[Item] = (), call_id: str | None = None, name: str = ""
    ) -> None:
        """A result, of the call with this id, or else of the first call of this name that waits for one."""
        if call_id is not None:
            number = self.ids[call_id]
        else:
            number = next(number for number, called in self.waiting if called == name)
        self.waiting = [each for each in self.waiting if each[0] != number]
        self.transcript.items.append(("tool", number, text, failed, tuple(media)))


def marked(text: str) -> tuple[str, bool]:
    """A result's text and whether it says that the tool failed."""
    return (text.removeprefix(ERROR_PREFIX), True) if text.startswith(ERROR_PREFIX) else (text, False)


def media(kind: str, media_type: str, *, data: str | None = None, url: str | None = None) -> Item:
    """Media of a user, `data` in base64."""
    return ("user", kind, media_type, base64.b64decode(data) if data is not None else url)


def of_data_url(kind: str, url: str) -> Item:
    """Media by a data URL, or by any other."""
    if not url.startswith("data:"):
        return media(kind, "", url=url)
    media_type, _, data = url.removeprefix("data:").partition(";base64,")
    return media(kind, media_type, data=data)


def of_generation(request: Generation) -> Transcript:
    """What a request says, before any format."""
    transcript = Transcript()
    calls = Calls(transcript)
    for message in request.messages:
        for part in message.parts:
            _take(transcript, calls, message, part)
    return transcript.normal()


def _take(transcript: Transcript, calls: Calls, message: Message, part: object) -> None:
    match part:
        case Text(text) if message.role is Role.SYSTEM:
            transcript.instruct(text)
        case Text(text):
            transcript.say(message.role.value, text)
        case Media():
            transcript.items.append(_media(part))
        case Reasoning(text, signature):
            if signature is not None:
                transcript.items.append(("assistant", "reasoning", text))
        case ToolCall():
            calls.made(part.name, part.arguments_json, part.id)
        case ToolResult():
            media_parts = [_media(each) for each in part.parts if isinstance(each, Media)]
            calls.answered(part.text, failed=part.is_error, media=media_parts, call_id=part.tool_call_id)
        case _:
            raise AssertionError(part)


def _media(part: Media | ResultPart) -> Item:
    assert isinstance(part, Media)
    kind = type(part).__name__.lower()
    if isinstance(part, Document) and part.media_type == "text/plain" and part.data is not None:
        return ("user", "text document", part.data.decode())
    return ("user", kind, part.media_type if part.url is None else "", part.data if part.url is None else part.url)
