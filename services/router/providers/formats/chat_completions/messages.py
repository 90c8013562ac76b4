"""The turns of a conversation as Chat Completions messages."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

from services.router.domain.errors import ProviderError, Reason
from services.router.domain.generation import (
    Audio,
    Document,
    Image,
    Message,
    Part,
    Reasoning,
    ResultPart,
    Role,
    Text,
    ToolCall,
    ToolResult,
)
from services.router.providers.formats.chat_completions.quirks import Quirks

_Json = dict[str, Any]

_ROLES = {Role.SYSTEM: "system", Role.USER: "user", Role.ASSISTANT: "assistant"}
_PLAIN_TEXT, _PDF = "text/plain", "application/pdf"


def encode_messages(messages: Sequence[Message], quirks: Quirks) -> list[_Json]:
    """All turns. Results of tools are messages of their own; their media follow in one of the user's.

    Raises ProviderError for audio of a kind that the server does not take.
    """
    encoded: list[_Json] = []
    left_over: list[_Json] = []
    for message in messages:
        if message.role is Role.TOOL:
            for part in message.parts:
                if isinstance(part, ToolResult):
                    encoded.append(_tool_result(part, quirks))
                    left_over += _media_of(part, quirks)
            continue
        if left_over:
            _add_user(encoded, {"role": "user", "content": left_over}, quirks)
            left_over = []
        if message.role is Role.ASSISTANT:
            encoded.append(_assistant(message.parts, quirks))
        else:
            late = quirks.systems_first and encoded and encoded[-1]["role"] != "system"
            role = "user" if late else _ROLES[message.role]
            _add_user(encoded, {"role": role, "content": _content(message.parts, quirks)}, quirks)
    if left_over:
        _add_user(encoded, {"role": "user", "content": left_over}, quirks)
    return encoded


def _add_user(encoded: list[_Json], message: _Json, quirks: Quirks) -> None:
    if quirks.assistant_after_tools and encoded and encoded[-1]["role"] == "tool" and message["role"] == "user":
        encoded.append({"role": "assistant", "content": quirks.assistant_after_tools})
    encoded.append(message)


def _content(parts: Sequence[Part], quirks: Quirks) -> str | list[_Json]:
    first = parts[0] if parts else Text("")
    if len(parts) <= 1 and isinstance(first, Text):
        return first.text
    if quirks.joins_texts and all(isinstance(part, Text) for part in parts):
        return "".join(part.text for part in parts if isinstance(part, Text))
    return [_part(part, quirks) for part in parts if isinstance(part, Text | Image | Audio | Document)]


def _part(part: ResultPart, quirks: Quirks) -> _Json:
    match part:
        case Text():
            return {"type": "text", "text": part.text}
        case Image():
            return {"type": "image_url", "image_url": {"url": part.url or _data_url(part)}}
        case Audio():
            return {"type": "input_audio", "input_audio": _audio(part, quirks)}
        case _:
            return _document(part)


def _data_url(part: Image | Document) -> str:
    return f"data:{part.media_type};base64,{_base64(part.data)}"


def _base64(data: bytes | None) -> str:
    return base64.b64encode(data or b"").decode()


def _audio(part: Audio, quirks: Quirks) -> _Json:
    kind = quirks.audio_formats.get(part.media_type)
    if kind is None:
        taken = ", ".join(quirks.audio_formats)
        raise ProviderError(
            Reason.PROVIDER_INVALID_REQUEST, message=f"{part.media_type} is not taken, only {taken}", sent=False
        )
    return {"data": _base64(part.data), "format": kind}


def _document(part: Document) -> _Json:
    if part.media_type == _PLAIN_TEXT:
        text = (part.data or b"").decode(errors="replace")
        return {"type": "text", "text": f"{part.name}:\n{text}" if part.name else text}
    # A file without a name is refused, and one whose name does not say its kind.
    name = part.name or "document"
    if part.media_type == _PDF and not name.lower().endswith(".pdf"):
        name += ".pdf"
    return {"type": "file", "file": {"filename": name, "file_data": _data_url(part)}}


def _assistant(parts: Sequence[Part], quirks: Quirks) -> _Json:
    text = "".join(part.text for part in parts if isinstance(part, Text))
    calls = [_tool_call(part, quirks) for part in parts if isinstance(part, ToolCall)]
    # Without calls there has to be a text, be it empty.
    encoded: _Json = {"role": "assistant", "content": text or (None if calls else "")}
    if calls:
        encoded["tool_calls"] = calls
    if quirks.answers.rules.keeping is not None:
        marks = [part.signature.data for part in parts if isinstance(part, Reasoning) and part.signature is not None]
        encoded.update(quirks.answers.rules.keeping.fields(marks, with_calls=bool(calls)))
    return encoded


def _tool_call(call: ToolCall, quirks: Quirks) -> _Json:
    return {
        "id": _call_id(call.id, quirks),
        "type": "function",
        "function": {"name": call.name, "arguments": call.arguments_json},
    }


def _tool_result(result: ToolResult, quirks: Quirks) -> _Json:
    # The format has no field for it; models are told in words.
    content = f"Error: {result.text}" if result.is_error else result.text
    return {"role": "tool", "tool_call_id": _call_id(result.tool_call_id, quirks), "content": content}


def _media_of(result: ToolResult, quirks: Quirks) -> list[_Json]:
    """What a result holds beside texts, each piece after a text that says where it comes from."""
    encoded: list[_Json] = []
    for part in result.parts:
        if not isinstance(part, Text):
            kind = type(part).__name__
            whence = f"{kind} from the result of tool {result.name} (call {_call_id(result.tool_call_id, quirks)}):"
            encoded += ({"type": "text", "text": whence}, _part(part, quirks))
    return encoded


def _call_id(call_id: str, quirks: Quirks) -> str:
    """The same for a call and its result."""
    form = quirks.call_ids
    if form is None or form.pattern.fullmatch(call_id):
        return call_id
    return blake2b(call_id.encode(), digest_size=16).hexdigest()[: form.length]
