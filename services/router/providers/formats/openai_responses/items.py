"""A conversation as the items of a Responses request."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

from services.router.domain.generation import (
    Document,
    Image,
    Media,
    Message,
    Part,
    Reasoning,
    Role,
    Text,
    ToolCall,
    ToolResult,
)
from services.router.providers.formats.openai_responses.marks import read_mark, reasoning_item

_Json = dict[str, Any]

_PARAGRAPH = "\n\n"
# OpenAI takes no longer ids of calls; other providers make longer ones.
_LONGEST_CALL_ID = 64
_SUFFIXES = {"application/pdf": ".pdf", "text/plain": ".txt"}
_ANSWER_IN_JSON = "Answer with JSON."


def leading_instructions(messages: Sequence[Message]) -> tuple[str, Sequence[Message]]:
    """The text of the system messages at the beginning, and the messages after them.

    A conversation of nothing else keeps them as messages, for a request needs at least one item.
    """
    start = next((index for index, each in enumerate(messages) if each.role is not Role.SYSTEM), 0)
    return _PARAGRAPH.join(_plain(each) for each in messages[:start]), messages[start:]


def input_items(messages: Iterable[Message], *, say_json: bool) -> list[_Json]:
    """The items of a request. `say_json`: whether the word has to be among them, for JSON that no schema describes."""
    items: list[_Json] = []
    ids = _CallIds()
    said = False
    for message in messages:
        match message.role:
            case Role.TOOL:
                items += [_tool_result(part, ids) for part in message.parts if isinstance(part, ToolResult)]
            case Role.ASSISTANT:
                items += _assistant_items(message.parts, ids)
            case Role.USER:
                items.append({"type": "message", "role": "user", "content": _contents(message.parts)})
            case Role.SYSTEM:
                # What stands amid a conversation stays there.
                items.append({"type": "message", "role": "developer", "content": _plain(message)})
        said = said or (say_json and _says_json(message))
    if say_json and not said:
        # The instructions do not count with OpenAI: it refuses the call.
        items.insert(0, {"type": "message", "role": "developer", "content": _ANSWER_IN_JSON})
    return items


class _CallIds:
    """The ids of calls: short enough, and no two alike, for some providers begin anew with each answer."""

    __slots__ = ("_given", "_taken", "_times")

    def __init__(self) -> None:
        self._given: dict[str, str] = {}
        self._taken: set[str] = set()
        self._times: dict[str, int] = {}

    def made(self, call_id: str) -> str:
        """For a call; the results after it are of this one."""
        given = _short(call_id)
        while given in self._taken:
            times = self._times[call_id] = self._times.get(call_id, 1) + 1
            given = _short(f"{call_id}_{times}")
        self._taken.add(given)
        self._given[call_id] = given
        return given

    def of(self, call_id: str) -> str:
        """For a result."""
        return self._given.get(call_id) or _short(call_id)


def _short(call_id: str) -> str:
    if len(call_id) <= _LONGEST_CALL_ID:
        return call_id
    return f"call_{hashlib.blake2b(call_id.encode(errors='replace'), digest_size=16).hexdigest()}"


def without_lonely_thoughts(items: list[_Json]) -> list[_Json]:
    """OpenAI refuses thoughts that nothing follows which came of them, as when an answer was cut off amid them."""
    kept: list[_Json] = []
    leads_on = False
    for item in reversed(items):
        if item["type"] != "reasoning":
            leads_on = item["type"] == "function_call" or item.get("role") == "assistant"
        elif not leads_on:
            continue
        kept.append(item)
    kept.reverse()
    return kept


def _plain(message: Message) -> str:
    return _PARAGRAPH.join(part.text for part in message.parts if isinstance(part, Text))


def _says_json(message: Message) -> bool:
    return any(isinstance(part, Text) and "json" in part.text.lower() for part in message.parts)


def _assistant_items(parts: Iterable[Part], ids: _CallIds) -> list[_Json]:
    """What a model said: each of its texts, thoughts and calls is an item of its own."""
    items: list[_Json] = []
    open_message: _Json | None = None
    for part in parts:
        if isinstance(part, Text):
            if open_message is None:
                open_message = {"type": "message", "role": "assistant", "content": ""}
                items.append(open_message)
            open_message["content"] += part.text
            continue
        if isinstance(part, Reasoning):
            mark = read_mark(part.signature) if part.signature is not None else {}
            if "encrypted_content" in mark:
                items.append(reasoning_item(part, mark))
            elif mark and open_message is not None:
                open_message["phase"] = mark["phase"]
        elif isinstance(part, ToolCall):
            items.append(
                {
                    "type": "function_call",
                    "call_id": ids.made(part.id),
                    "name": part.name,
                    "arguments": part.arguments_json,
                }
            )
        open_message = None
    return items


def _tool_result(result: ToolResult, ids: _CallIds) -> _Json:
    # The format has no field for failures; models are told in words.
    mark = "Error: " if result.is_error else ""
    output: str | list[_Json] = mark + result.text
    if any(isinstance(part, Media) for part in result.parts):
        output = [content for part in result.parts for content in _content(part)]
        if mark:
            output.insert(0, _text(mark + (output.pop(0)["text"] if isinstance(result.parts[0], Text) else "")))
    return {"type": "function_call_output", "call_id": ids.of(result.tool_call_id), "output": output}


def _contents(parts: Sequence[Part]) -> str | list[_Json]:
    first = parts[0]
    if len(parts) == 1 and isinstance(first, Text):
        return first.text
    return [content for part in parts for content in _content(part)]


def _content(part: Part) -> list[_Json]:
    match part:
        case Text(text):
            return [_text(text)]
        case Image():
            return [{"type": "input_image", "detail": "auto", "image_url": part.url or _data_url(part)}]
        case Document():
            return _file(part)
        case _:
            return []


def _file(document: Document) -> list[_Json]:
    if document.url:
        # Where there is a URL OpenAI refuses a name beside it; it goes ahead in words.
        named = [_text(f"{document.name}:")] if document.name else []
        return [*named, {"type": "input_file", "file_url": document.url}]
    name = document.name or f"document{_SUFFIXES.get(document.media_type, '')}"
    return [{"type": "input_file", "filename": name, "file_data": _data_url(document)}]


def _text(text: str) -> _Json:
    return {"type": "input_text", "text": text}


def _data_url(media: Media) -> str:
    return f"data:{media.media_type};base64,{base64.b64encode(media.data or b'').decode()}"
