"""Reads the messages of a Chat Completions request, as strictly as OpenAI does."""

from __future__ import annotations

import binascii
import contextlib
import re
from typing import Any

from libs.sandbox.dialect import Refusal
from libs.sandbox.prompt import Prompt

Json = dict[str, Any]

_ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})
_FIELDS = frozenset({"role", "content", "name", "tool_calls", "tool_call_id", "refusal", "audio", "function_call"})
_IMAGE_URL = re.compile(r"data:image/[a-z0-9.+-]+;base64,")
_FILE_URL = re.compile(r"data:[a-z]+/[a-z0-9.+-]+;base64,")
_LONGEST_CALL_ID = 40


class MessageReader:
    """The messages, checked and counted in `prompt`. Raises Refusal."""

    def __init__(self, messages: object) -> None:
        if not isinstance(messages, list):
            raise wrong("messages", "Missing required parameter: 'messages'.")
        if not messages:
            raise wrong("messages", "Invalid 'messages': empty array. Expected an array with minimum length 1.")
        self.prompt = Prompt()
        self.mentions_json = False
        self._open_calls: set[str] = set()
        for index, message in enumerate(messages):
            self._read(message, f"messages[{index}]")
        if self._open_calls:
            raise self._unanswered()

    def _read(self, message: object, where: str) -> None:
        if not isinstance(message, dict):
            raise wrong(where, f"Invalid type for '{where}': expected an object.")
        role = message.get("role")
        if role not in _ROLES:
            allowed = ", ".join(f"'{name}'" for name in sorted(_ROLES))
            raise wrong(f"{where}.role", f"Invalid value for '{where}.role'. Supported values are: {allowed}.")
        if unknown := message.keys() - _FIELDS:
            raise wrong(where, f"Unknown parameter: '{where}.{min(unknown)[:64]}'.", code="unknown_parameter")
        calls = message.get("tool_calls") if role == "assistant" else None
        text = self._content(message.get("content"), where, optional=role == "assistant" and bool(calls))
        self.prompt.message()
        self.prompt.text(text)
        self.mentions_json = self.mentions_json or "json" in text.lower()
        if role == "tool":
            self._close_call(message.get("tool_call_id"), where)
            self.prompt.answered(text)
        elif self._open_calls:
            raise self._unanswered()
        elif role == "user":
            self.prompt.said(text)
        else:
            self.prompt.tool_result = None
        if calls is not None:
            self._open(calls, where)

    def _content(self, content: object, where: str, *, optional: bool) -> str:
        if isinstance(content, str):
            return content
        if content is None and optional:
            return ""
        if not isinstance(content, list) or not content:
            raise wrong(f"{where}.content", f"Invalid type for '{where}.content': expected a string or parts.")
        return "".join(self._part(part, f"{where}.content[{index}]") for index, part in enumerate(content))

    def _part(self, part: object, where: str) -> str:
        kind = part.get("type") if isinstance(part, dict) else None
        match part:
            case {"type": "text", "text": str(text)} | {"type": "refusal", "refusal": str(text)}:
                return text
            case {"type": "image_url", "image_url": {"url": str(url), **rest}} if rest.keys() <= {"detail"}:
                _check_image(url, where)
                self.prompt.image()
                return ""
            case {"type": "input_audio", "input_audio": {"data": str(data), "format": "wav" | "mp3", **rest}} if (
                not rest
            ):
                if not _decoded(data):
                    raise wrong(where, "Invalid audio: expected base64-encoded data.", code="invalid_audio")
                self.prompt.sound()
                return ""
            case {"type": "file", "file": {"filename": str(name), "file_data": str(data), **rest}} if name and not rest:
                match = _FILE_URL.match(data)
                if match is None or not _decoded(data[match.end() :]):
                    raise wrong(f"{where}.file.file_data", "Invalid file data: expected a base64-encoded data URL.")
                self.prompt.document()
                return ""
            case _:
                raise wrong(where, f"Invalid content part '{where}' of type '{str(kind)[:40]}'.")

    def _open(self, calls: object, where: str) -> None:
        if not isinstance(calls, list) or not calls:
            raise wrong(f"{where}.tool_calls", f"Invalid '{where}.tool_calls': expected a non-empty array.")
        for index, call in enumerate(calls):
            match call:
                case {"id": str(call_id), "type": "function", "function": {"name": str(name), "arguments": str(text)}}:
                    self._check_id(call_id, f"{where}.tool_calls[{index}].id")
                    self._open_calls.add(call_id)
                    self.prompt.text(name)
                    self.prompt.text(text)
                case _:
                    place = f"{where}.tool_calls[{index}]"
                    raise wrong(place, f"Invalid '{place}': a call has an id, a type and a function whose arguments"
                                 " are a string.")  # fmt: skip

    def _close_call(self, call_id: object, where: str) -> None:
        if not isinstance(call_id, str) or call_id not in self._open_calls:
            raise wrong(
                f"{where}.role",
                "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with"
                " 'tool_calls'.",
            )
        self._open_calls.discard(call_id)

    @staticmethod
    def _check_id(call_id: str, where: str) -> None:
        if not 1 <= len(call_id) <= _LONGEST_CALL_ID:
            raise wrong(
                where,
                f"Invalid '{where}': string too long. Expected a string with maximum length {_LONGEST_CALL_ID}, but got"
                f" a string with length {len(call_id)} instead.",
                code="string_above_max_length",
            )

    def _unanswered(self) -> Refusal:
        return wrong(
            "messages",
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each"
            f" 'tool_call_id'. The following had no response messages: {', '.join(sorted(self._open_calls))[:200]}.",
        )


def _check_image(url: str, where: str) -> None:
    if url.startswith(("https://", "http://")):
        return
    match = _IMAGE_URL.match(url)
    if match is None or not _decoded(url[match.end() :]):
        raise Refusal(
            400,
            "Invalid image: expected an http(s) URL or a base64-encoded data URL of an image.",
            code="invalid_image_url",
            param=where,
        )


def _decoded(data: str) -> bytes:
    """Empty for what is no base64."""
    with contextlib.suppress(ValueError):
        return binascii.a2b_base64(data, strict_mode=True)
    return b""


def wrong(param: str, message: str, *, code: str | None = None) -> Refusal:
    """A refusal (400) that names the parameter."""
    return Refusal(400, message, code=code, param=param)
