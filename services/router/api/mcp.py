"""What MCP servers give, taken as it is: entries of `tools/list` and results of `tools/call`, as JSON text.

Whoever wrote them is not trusted: what is malformed is refused, and the place in the JSON is named.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Mapping
from typing import Any

import orjson

from libs.core.validation import FieldChecks
from services.router.api.media import (
    AUDIO_TYPES,
    DOCUMENT_TYPES,
    IMAGE_TYPES,
    MAX_DOCUMENT_NAME,
    MAX_MEDIA_BYTES,
    is_utf8,
)
from services.router.domain.generation import Audio, Document, Image, ResultPart, Text

MAX_TOOL_JSON = 200_000
MAX_RESULT_JSON = 30_000_000
MAX_CONTENT = 1024
MAX_TEXT = 4_000_000
MAX_VALUES = 500_000
"""In one JSON text: two characters can make an object of 64 bytes."""

# Names that servers use for types we know by another.
_TYPES = {
    "image/jpg": "image/jpeg",
    "audio/mp3": "audio/mpeg",
    "audio/x-wav": "audio/wav",
    "audio/wave": "audio/wav",
    "audio/vnd.wave": "audio/wav",
    "audio/x-flac": "audio/flac",
    "audio/m4a": "audio/mp4",
    "audio/x-m4a": "audio/mp4",
    "audio/x-aac": "audio/aac",
}
_Json = Mapping[str, Any]

# It never gives back what it took and takes one without an end to the end, or a hostile text would take it for ever.
_STRING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
# Whole groups of four characters, which take some milliseconds.
_PIECE = 4 * 1024 * 1024
_MOST_PADDING = 2


def tool_definition(check: FieldChecks, field: str, text: str) -> tuple[str, str, str]:
    """The name, description and schema of an entry of `tools/list`; the name and schema are not checked yet.

    `title`, `annotations`, `outputSchema` and whatever else there is say nothing to models.
    """
    tool = _object(check, field, text, MAX_TOOL_JSON)
    if tool is None:
        return "", "", ""
    name, description, schema = tool.get("name"), tool.get("description"), tool.get("inputSchema")
    if not isinstance(name, str):
        check.fail(field, "name must be a string")
        name = ""
    if not isinstance(description, str | None):
        check.fail(field, "description must be a string")
        description = ""
    if not isinstance(schema, dict | None):
        check.fail(field, "inputSchema must be an object")
        schema = None
    return name, description or "", _dumped(check, field, "inputSchema", schema) if schema else ""


def tool_answer(check: FieldChecks, field: str, text: str) -> tuple[tuple[ResultPart, ...], bool]:
    """The parts of a result of `tools/call`, and whether the tool failed."""
    result = _object(check, field, text, MAX_RESULT_JSON)
    if result is None:
        return (), False
    content, structured, failed = result.get("content"), result.get("structuredContent"), result.get("isError")
    if not isinstance(failed, bool | None):
        check.fail(field, "isError must be true or false")
    if content is None and structured is None:
        check.fail(field, "must be the `result` of tools/call: it has no content")
        return (), False
    if not isinstance(content, list | None):
        check.fail(field, "content must be a list")
        return (), False
    if content and len(content) > MAX_CONTENT:
        check.fail(field, f"content must have at most {MAX_CONTENT} entries, has {len(content)}")
        return (), False
    if not content and structured is not None:
        whole = _dumped(check, field, "structuredContent", structured)
        return _text(check, field, "structuredContent", whole), failed is True
    parts = (_content(check, field, f"content[{place}]", each) for place, each in enumerate(content or ()))
    return tuple(part for some in parts for part in some), failed is True


def _object(check: FieldChecks, field: str, text: str, most: int) -> _Json | None:
    if len(text) > most:
        check.fail(field, f"must have at most {most} characters, has {len(text)}")
        return None
    if len(text) > MAX_VALUES and _separators(text) > MAX_VALUES and _separators(_STRING.sub("", text)) > MAX_VALUES:
        check.fail(field, f"must have at most {MAX_VALUES} values")
        return None
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        check.fail(field, f"is not valid JSON: line {error.lineno}, column {error.colno}")
        return None
    if not isinstance(value, dict):
        check.fail(field, "must be a JSON object")
        return None
    return value


def _separators(text: str) -> int:
    """As many as there are values in a JSON text, or some more; what stands inside of strings counts too."""
    return text.count(",") + text.count("[") + text.count("{")


def _dumped(check: FieldChecks, field: str, place: str, value: object) -> str:
    try:
        return orjson.dumps(value).decode()
    except orjson.JSONEncodeError:
        # It reads deeper nesting than it writes.
        check.fail(field, f"{place} is nested too deeply")
        return ""


def _content(check: FieldChecks, field: str, place: str, entry: object) -> tuple[ResultPart, ...]:
    if not isinstance(entry, dict):
        check.fail(field, f"{place} must be an object")
        return ()
    match entry.get("type"):
        case "text":
            return _text(check, field, f"{place}.text", entry.get("text"))
        case "image" | "audio":
            return _media(check, field, f"{place}.data", entry.get("data"), entry.get("mimeType"), name="")
        case "resource":
            return _resource(check, field, f"{place}.resource", entry.get("resource"))
        case "resource_link":
            return _link(check, field, place, entry)
        case _:
            check.fail(field, f"{place}.type must be text, image, audio, resource or resource_link")
            return ()


def _text(check: FieldChecks, field: str, place: str, text: object) -> tuple[ResultPart, ...]:
    if not isinstance(text, str):
        check.fail(field, f"{place} must be a string")
        return ()
    if len(text) > MAX_TEXT:
        check.fail(field, f"{place} must have at most {MAX_TEXT} characters, has {len(text)}")
        return ()
    return (Text(text),) if text else ()


def _resource(check: FieldChecks, field: str, place: str, resource: object) -> tuple[ResultPart, ...]:
    if not isinstance(resource, dict):
        check.fail(field, f"{place} must be an object")
        return ()
    if "blob" not in resource:
        return _text(check, field, f"{place}.text", resource.get("text"))
    uri = resource.get("uri")
    name = uri.rpartition("/")[2] if isinstance(uri, str) else ""
    media_type = resource.get("mimeType") or "application/octet-stream"
    return _media(check, field, f"{place}.blob", resource["blob"], media_type, name=name)


def _link(check: FieldChecks, field: str, place: str, entry: _Json) -> tuple[ResultPart, ...]:
    uri, name, description = entry.get("uri"), entry.get("title") or entry.get("name"), entry.get("description")
    if not isinstance(uri, str) or not uri:
        check.fail(field, f"{place}.uri must be a string")
        return ()
    said = ", ".join(each for each in (name, description) if isinstance(each, str) and each)
    return _text(check, field, place, f"[A resource: {uri}" + (f" ({said})]" if said else "]"))


def _media(
    check: FieldChecks, field: str, place: str, encoded: object, given: object, *, name: str
) -> tuple[ResultPart, ...]:
    """Media by their type. Those that no model takes become a note: the caller cannot change what a server sends."""
    if not isinstance(given, str):
        check.fail(field, f"{place}: mimeType must be a string")
        return ()
    data = _bytes(check, field, place, encoded)
    if data is None:
        return ()
    media_type = given.partition(";")[0].strip().lower()
    media_type = _TYPES.get(media_type, media_type)
    if media_type in IMAGE_TYPES:
        return (Image(data=data, media_type=media_type),)
    if media_type in AUDIO_TYPES:
        return (Audio(data=data, media_type=media_type),)
    if media_type in DOCUMENT_TYPES and (media_type != "text/plain" or is_utf8(data)):
        printable = "".join(filter(str.isprintable, name))[:MAX_DOCUMENT_NAME]
        return (Document(data=data, media_type=media_type, name=printable),)
    return (Text(f"[{len(data)} bytes of {given[:_MOST_OF_A_TYPE]!r} were left out here.]"),)


_MOST_OF_A_TYPE = 128


def _bytes(check: FieldChecks, field: str, place: str, encoded: object) -> bytes | None:
    if not isinstance(encoded, str):
        check.fail(field, f"{place} must be a string")
        return None
    data = _decoded(encoded)
    if data is None:
        check.fail(field, f"{place} is not valid base64")
        return None
    if not 1 <= len(data) <= MAX_MEDIA_BYTES:
        check.fail(field, f"{place} must have 1 to {MAX_MEDIA_BYTES} bytes")
        return None
    return data


def _decoded(encoded: str) -> bytes | None:
    """The bytes of a base64 text; None where it is none. In pieces: between them the other calls go on."""
    # Each piece would be taken with padding of its own.
    if "=" in encoded[:-_MOST_PADDING]:
        return None
    pieces = (encoded[start : start + _PIECE] for start in range(0, len(encoded), _PIECE))
    try:
        return b"".join(binascii.a2b_base64(piece, strict_mode=True) for piece in pieces)
    except ValueError:
        return None
