"""From the wire to the domain: the conversation, checked part by part."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

import orjson
from gatehouse.router.v1 import message_pb2

from libs.core.validation import FieldChecks
from services.router.domain.generation import Image, Message, Part, Role, Text, ToolCall, ToolResult

MAX_MESSAGES = 2048
MAX_PARTS = 256
MAX_TEXT = 4_000_000
MAX_ARGUMENTS = 1_000_000
MAX_IMAGE_BYTES = 20 * 1024 * 1024
MAX_URL = 8192
MAX_CALL_ID = 256
MAX_TOOL_NAME = 64
MEDIA_TYPES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})

_ROLES = {
    message_pb2.ROLE_SYSTEM: Role.SYSTEM,
    message_pb2.ROLE_USER: Role.USER,
    message_pb2.ROLE_ASSISTANT: Role.ASSISTANT,
    message_pb2.ROLE_TOOL: Role.TOOL,
}
_ALLOWED = {
    Role.SYSTEM: frozenset({"text"}),
    Role.USER: frozenset({"text", "image"}),
    Role.ASSISTANT: frozenset({"text", "tool_call"}),
    Role.TOOL: frozenset({"tool_result"}),
}


def messages(check: FieldChecks, given: Sequence[message_pb2.Message], *, required: bool) -> tuple[Message, ...]:
    """The conversation; what is wrong with it goes to `check`."""
    check.count("generation.messages", given, most=MAX_MESSAGES, least=1 if required else 0)
    return tuple(
        _message(check, f"generation.messages[{index}]", each) for index, each in enumerate(given[:MAX_MESSAGES])
    )


def _message(check: FieldChecks, field: str, message: message_pb2.Message) -> Message:
    role = _ROLES.get(message.role)
    if role is None:
        check.fail(f"{field}.role", "must be ROLE_SYSTEM, ROLE_USER, ROLE_ASSISTANT or ROLE_TOOL")
        return Message(Role.USER, ())
    parts = message.parts
    if len(parts) == 1 and parts[0].WhichOneof("content") == "text" and role is not Role.TOOL:
        # Nearly every message is this.
        text = parts[0].text
        if not 1 <= len(text) <= MAX_TEXT:
            check.fail(f"{field}.parts[0].text", f"must have 1 to {MAX_TEXT} characters, has {len(text)}")
        return Message(role, (Text(text),))
    check.count(f"{field}.parts", parts, most=MAX_PARTS, least=1)
    converted = (_part(check, f"{field}.parts[{index}]", role, part) for index, part in enumerate(parts[:MAX_PARTS]))
    return Message(role, tuple(part for part in converted if part is not None))


def _part(check: FieldChecks, field: str, role: Role, part: message_pb2.Part) -> Part | None:
    kind = part.WhichOneof("content")
    if kind is None:
        check.fail(field, "must set its content")
        return None
    if kind not in _ALLOWED[role]:
        allowed = " or ".join(sorted(_ALLOWED[role]))
        check.fail(f"{field}.{kind}", f"does not belong in a message of role {role.name}; it takes {allowed}")
        return None
    match kind:
        case "text":
            _bounded(check, f"{field}.text", part.text, MAX_TEXT, least=1)
            return Text(part.text)
        case "image":
            return _image(check, f"{field}.image", part.image)
        case "tool_call":
            return _tool_call(check, f"{field}.tool_call", part.tool_call)
        case _:
            result = part.tool_result
            _bounded(check, f"{field}.tool_result.tool_call_id", result.tool_call_id, MAX_CALL_ID, least=1)
            _bounded(check, f"{field}.tool_result.content", result.content, MAX_TEXT)
            return ToolResult(
                tool_call_id=result.tool_call_id,
                name="",
                parts=(Text(result.content),) if result.content else (),
                is_error=result.is_error,
            )


def _image(check: FieldChecks, field: str, image: message_pb2.Image) -> Image:
    match image.WhichOneof("source"):
        case "data":
            size = len(image.data)
            check.that(1 <= size <= MAX_IMAGE_BYTES, f"{field}.data", f"must have 1 to {MAX_IMAGE_BYTES} bytes")
            check.that(
                image.media_type in MEDIA_TYPES,
                f"{field}.media_type",
                f"must be one of {', '.join(sorted(MEDIA_TYPES))}",
            )
            return Image(data=image.data, media_type=image.media_type)
        case "url":
            check.that(_is_https(image.url), f"{field}.url", f"must be an https URL of at most {MAX_URL} characters")
            return Image(url=image.url)
        case _:
            check.fail(field, "must set data or url")
            return Image(data=b"")


def _is_https(url: str) -> bool:
    try:
        return len(url) <= MAX_URL and urlsplit(url).scheme == "https" and bool(urlsplit(url).hostname)
    except ValueError:
        return False


def _tool_call(check: FieldChecks, field: str, call: message_pb2.ToolCall) -> ToolCall:
    _bounded(check, f"{field}.id", call.id, MAX_CALL_ID, least=1)
    _bounded(check, f"{field}.name", call.name, MAX_TOOL_NAME, least=1)
    _bounded(check, f"{field}.arguments_json", call.arguments_json, MAX_ARGUMENTS)
    if call.arguments_json and len(call.arguments_json) <= MAX_ARGUMENTS:
        try:
            is_object = isinstance(orjson.loads(call.arguments_json), dict)
        except orjson.JSONDecodeError:
            is_object = False
        check.that(is_object, f"{field}.arguments_json", "must be a JSON object as text")
    return ToolCall(id=call.id, name=call.name, arguments_json=call.arguments_json or "{}")


def _bounded(check: FieldChecks, field: str, text: str, most: int, *, least: int = 0) -> None:
    if least and not text:
        check.fail(field, "is required")
    elif len(text) > most:
        check.fail(field, f"must have at most {most} characters, has {len(text)}")
