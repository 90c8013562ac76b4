"""Parts of messages as content blocks.

The API refuses texts without anything visible in them: they come out as None.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any, assert_never

import orjson

from services.router.domain.generation import Audio, Document, Image, Media, ResultPart, Text, ToolCall, ToolResult

Json = dict[str, Any]

CACHE_CONTROL: Json = {"type": "ephemeral"}
"""Where the provider's cache should reach to."""

_NOTHING = "(nothing)"


def text_block(said: str) -> Json | None:
    """A text."""
    return {"type": "text", "text": said} if said and not said.isspace() else None


def marked(block: Json) -> Json:
    """Instructions within the user's turn."""
    return {**block, "text": f"<system>\n{block['text']}\n</system>"}


def content_block(part: ResultPart) -> Json | None:
    """What a user says or a tool answers."""
    match part:
        case Text(said):
            return text_block(said)
        case Image():
            return {"type": "image", "source": _url(part) or _base64(part)}
        case Document():
            return _document(part)
        case Audio():
            # The API takes none, and `features` says so.
            return None
        case _:
            assert_never(part)


def tool_use_block(call: ToolCall, call_id: str) -> Json:
    """A call of a tool, under an id that the API takes."""
    return {
        "type": "tool_use",
        "id": call_id,
        "name": call.name,
        # An object as text, checked when the call came in.
        "input": orjson.Fragment(call.arguments_json or "{}"),
    }


def tool_result_block(result: ToolResult, call_id: str) -> Json:
    """What a tool answered, to the call of this id."""
    block: Json = {"type": "tool_result", "tool_use_id": call_id}
    content = content_blocks(result.parts)
    if content:
        block["content"] = shortened(content)
    elif result.is_error:
        # An error has to say something.
        block["content"] = _NOTHING
    if result.is_error:
        block["is_error"] = True
    return block


def content_blocks(parts: Iterable[ResultPart]) -> list[Json]:
    """The parts that have something in them."""
    return [block for part in parts if (block := content_block(part)) is not None]


def shortened(blocks: list[Json]) -> str | list[Json]:
    """A single plain text as the API's short form of it."""
    first = blocks[0]
    return str(first["text"]) if len(blocks) == 1 and first.keys() == {"type", "text"} else blocks


def _document(document: Document) -> Json | None:
    block: Json = {"type": "document"}
    if document.media_type == "text/plain" and document.url is None:
        said = (document.data or b"").decode(errors="replace")
        if not said or said.isspace():
            return None
        block["source"] = {"type": "text", "media_type": "text/plain", "data": said}
    else:
        block["source"] = _url(document) or _base64(document)
    if document.name and not document.name.isspace():
        block["title"] = document.name
    return block


def _url(media: Media) -> Json | None:
    return None if media.url is None else {"type": "url", "url": media.url}


def _base64(media: Media) -> Json:
    return {
        "type": "base64",
        "media_type": media.media_type,
        "data": base64.b64encode(media.data or b"").decode(),
    }
