"""A conversation as `contents` and `systemInstruction`."""

from __future__ import annotations

import base64
import enum
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from posixpath import splitext
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

import orjson

from services.router.domain.generation import (
    Audio,
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
from services.router.providers.formats.gemini_content.function_names import wire_name
from services.router.providers.formats.gemini_content.signatures import text_length, wire_text
from services.router.providers.formats.gemini_content.thinking import Family

_Json = dict[str, Any]

UNSIGNED_CALL = "skip_thought_signature_validator"
"""What Google wants in place of the signature of a function call that its model did not make: one of another provider,
or one whose signature is lost. Without it the third generation refuses the conversation."""

BEGINNING = "Begin."
"""What the user says where there is nothing else to answer."""

_CONTINUATION = "Continue."
_NOTHING = "(nothing)"
_NO_RESULT = "There is no result: the tool was not run."
_IMAGE_TYPES: Mapping[str, str] = MappingProxyType(
    {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".webp": "image/webp", ".gif": "image/gif"}
)
# What the Gemini API calls by another name than IANA.
_TYPE_NAMES: Mapping[str, str] = MappingProxyType({"audio/mpeg": "audio/mp3"})
_IN_RESULTS = frozenset({"image/png", "image/jpeg", "image/webp", "application/pdf", "text/plain"})


def system_parts(messages: Sequence[Message]) -> list[_Json]:
    """The texts of all system messages."""
    return [
        {"text": part.text}
        for message in messages
        if message.role is Role.SYSTEM
        for part in message.parts
        if isinstance(part, Text)
    ]


class Change(enum.Flag):
    """What becomes something else in a conversation."""

    UNANSWERED_CALLS = enum.auto()
    STRAY_RESULTS = enum.auto()
    MOVED_INSTRUCTIONS = enum.auto()


UNCHANGED = Change(0)


def contents(messages: Sequence[Message], family: Family) -> tuple[list[_Json], Change]:
    """The turns of user and model, and what is changed in them; neighbours of the same role are one.

    Gemini refuses a function call without exactly one response right after it: a call that was never answered gets one
    that says so, and a result of no call of the turn before it becomes text. The responses stand in a turn of their
    own: newer models refuse other parts beside them, so what a response cannot hold, and what else the user says,
    follows in the next one. Empty texts are left out: they are refused.
    """
    conversation = _Conversation(family)
    for message in messages:
        if message.role is Role.ASSISTANT:
            conversation.model(_model_parts(message.parts))
        elif message.role is not Role.SYSTEM:
            conversation.user(message.parts)
        elif conversation.began:
            # All instructions go to the head.
            conversation.changes |= Change.MOVED_INSTRUCTIONS
    return conversation.ended(), conversation.changes


class _Conversation:
    """Turns under way."""

    __slots__ = ("_calls", "_family", "_open", "_responses", "_said", "_turns", "changes")

    def __init__(self, family: Family) -> None:
        self.changes = UNCHANGED
        self._family = family
        self._turns: list[_Json] = []
        # The calls of the model's last turn; the places of those that wait for a result, by their ids; the responses
        # that came, by the places of their calls.
        self._calls: list[_Json] = []
        self._open: dict[str, deque[int]] = {}
        self._responses: dict[int, _Json] = {}
        # What the user says beside results.
        self._said: list[_Json] = []

    @property
    def began(self) -> bool:
        """Whether anybody has said anything."""
        return bool(self._turns or self._said or self._responses)

    def model(self, parts: list[_Json]) -> None:
        """What the model said."""
        if not parts:
            return
        if self._responses or self._said:
            self._close_user_turn()
        if self._turns and self._turns[-1]["role"] == "model":
            self._turns[-1]["parts"] += parts
        else:
            self._turns.append({"role": "model", "parts": parts})
        for part in parts:
            if "functionCall" in part:
                call = part["functionCall"]
                self._open.setdefault(call["id"], deque()).append(len(self._calls))
                self._calls.append(call)

    def user(self, parts: Sequence[Part]) -> None:
        """What the user says, and what tools answer."""
        for part in parts:
            match part:
                case Text(text):
                    if text:
                        self._said.append({"text": text})
                case ToolResult():
                    self._result(part)
                case Image() | Audio() | Document():
                    self._said += _media(part)
                case _:
                    pass

    def ended(self) -> list[_Json]:
        """All turns."""
        self._close_user_turn()
        turns = self._turns
        if turns and turns[0]["role"] == "model" and any("functionCall" in part for part in turns[0]["parts"]):
            # A call has to follow upon something.
            turns.insert(0, {"role": "user", "parts": [{"text": BEGINNING}]})
        for turn in turns:
            if self._family.signs_calls and turn["role"] == "model":
                _excuse_unsigned(turn["parts"])
        if turns and turns[-1]["role"] == "model" and not self._family.continues:
            turns.append({"role": "user", "parts": [{"text": _CONTINUATION}]})
        return turns

    def _result(self, result: ToolResult) -> None:
        places = self._open.get(result.tool_call_id)
        if places:
            place = places.popleft()
            self._responses[place] = _function_response(result, self._calls[place], self._family, self._said)
            return
        self.changes |= Change.STRAY_RESULTS
        verb = "failed" if result.is_error else "answered"
        self._said.append({"text": f"The tool {result.name} {verb}: {result.text or _NOTHING}"})
        for part in result.parts:
            if isinstance(part, Media):
                self._said += _media(part)

    def _close_user_turn(self) -> None:
        if self._calls:
            if len(self._responses) < len(self._calls):
                self.changes |= Change.UNANSWERED_CALLS
            parts = [self._responses.get(place) or _no_response(call) for place, call in enumerate(self._calls)]
            self._turns.append({"role": "user", "parts": parts})
        if self._said:
            self._turns.append({"role": "user", "parts": self._said})
        self._calls, self._open, self._responses, self._said = [], {}, {}, []


def _model_parts(parts: Sequence[Part]) -> list[_Json]:
    encoded: list[_Json] = []
    for part in parts:
        match part:
            case Text(text):
                if text:
                    encoded.append({"text": text})
            case ToolCall():
                encoded.append(_function_call(part))
            case Reasoning(text, signature) if signature is not None:
                length = text_length(signature)
                if length is None:
                    encoded.append({"text": text, "thought": True, "thoughtSignature": wire_text(signature)})
                else:
                    _sign_text(encoded, length, wire_text(signature))
            case _:
                # Thoughts without a mark are never sent back.
                pass
    return encoded


def _sign_text(encoded: list[_Json], length: int, signature: str) -> None:
    """Put a mark on the last `length` characters said, which become a part of their own."""
    last = encoded[-1] if encoded else {}
    said = last.get("text", "") if last.keys() == {"text"} else ""
    if not length or not said:
        encoded.append({"text": "", "thoughtSignature": signature})
        return
    encoded.pop()
    if len(said) > length:
        encoded.append({"text": said[:-length]})
    encoded.append({"text": said[-length:], "thoughtSignature": signature})


def _function_call(call: ToolCall) -> _Json:
    function: _Json = {
        "id": call.id,
        "name": wire_name(call.name),
        "args": orjson.Fragment(call.arguments_json or "{}"),
    }
    part: _Json = {"functionCall": function}
    if call.signature is not None:
        part["thoughtSignature"] = wire_text(call.signature)
    return part


def _excuse_unsigned(parts: list[_Json]) -> None:
    """Of the calls of a turn the first has to have a signature."""
    first = next((part for part in parts if "functionCall" in part), None)
    if first is not None:
        first.setdefault("thoughtSignature", UNSIGNED_CALL)


def _function_response(result: ToolResult, call: _Json, family: Family, followers: list[_Json]) -> _Json:
    text = result.text
    function: _Json = {"id": call["id"], "name": call["name"]}
    if result.is_error:
        function["response"] = {"error": text}
    else:
        function["response"] = _object(text) or {"output": text}
    media: list[_Json] = []
    for part in result.parts:
        if isinstance(part, Media):
            if family.media_in_results and part.data is not None and part.media_type in _IN_RESULTS:
                media.append(_inline(part))
            else:
                followers.append({"text": f"From the tool {result.name} (call {result.tool_call_id}):"})
                followers += _media(part)
    if media:
        function["parts"] = media
    return {"functionResponse": function}


def _no_response(call: _Json) -> _Json:
    return {"functionResponse": {"id": call["id"], "name": call["name"], "response": {"error": _NO_RESULT}}}


def _object(text: str) -> orjson.Fragment | None:
    """A result that is a JSON object, as the tool wrote it; None for any other."""
    if not text.lstrip().startswith("{"):
        return None
    try:
        return orjson.Fragment(text) if isinstance(orjson.loads(text), dict) else None
    except orjson.JSONDecodeError:
        return None


def _media(media: Media) -> Iterator[_Json]:
    if isinstance(media, Document) and media.name:
        # The format has a field for it that the API does not take.
        yield {"text": f"Document: {media.name}"}
    if media.url is None:
        yield _inline(media)
        return
    file: _Json = {"fileUri": media.url}
    media_type = media.media_type or _IMAGE_TYPES.get(splitext(_path(media.url))[1].lower(), "")
    if media_type:
        file["mimeType"] = _TYPE_NAMES.get(media_type, media_type)
    yield {"fileData": file}


def _inline(media: Media) -> _Json:
    media_type = _TYPE_NAMES.get(media.media_type, media.media_type)
    return {"inlineData": {"mimeType": media_type, "data": base64.b64encode(media.data or b"").decode()}}


def _path(url: str) -> str:
    try:
        return urlsplit(url).path
    except ValueError:
        return ""
