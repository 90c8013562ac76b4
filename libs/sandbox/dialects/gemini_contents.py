"""Reads the turns of Gemini's requests: parts, calls and their results, and the signatures that came back."""

from __future__ import annotations

import base64
import binascii
from typing import Any

import orjson

from libs.sandbox.dialects.gemini_rules import Json, checked, listed, text, wrong
from libs.sandbox.prompt import Prompt
from libs.sandbox.sealing import is_signed

UNSIGNED_CALL = "skip_thought_signature_validator"
"""What stands in for the signature of a call that the model did not make."""

_SIGNED = frozenset({"thoughtSignature"})
_DATA = frozenset({"text", "inlineData", "fileData", "functionCall", "functionResponse"})
_PART = _DATA | _SIGNED | {"thought"}
_IN_RESULTS = frozenset({"image/png", "image/jpeg", "image/webp", "application/pdf", "text/plain"})


def signed_text(said: str) -> str:
    """What the signature of a text covers."""
    return f"text:{said}"


def signed_call(name: str, arguments: object) -> str:
    """What the signature of a call covers."""
    return f"call:{name}:{orjson.dumps(arguments, option=orjson.OPT_SORT_KEYS).decode()}"


class Conversation:
    """The turns, checked and counted. `strict`: the first call of a turn must have a signature."""

    def __init__(self, request: Json, *, strict: bool) -> None:
        self.prompt = Prompt()
        self._strict = strict
        self._open: list[tuple[str, str | None]] = []
        # Whether the turn before holds results: what they could not hold follows.
        self._gave_media = False
        self._role = ""
        instruction = request.get("systemInstruction")
        if instruction is not None:
            fields = checked(instruction, "system_instruction", {"role", "parts"})
            self.prompt.message()
            for part in listed(fields, "parts", "system_instruction"):
                self.prompt.text(text(checked(part, "system_instruction.parts", {"text"}), "text", "parts"))
        contents = listed(request, "contents", "request")
        if not contents:
            raise wrong("* GenerateContentRequest.contents: contents is not specified")
        for index, content in enumerate(contents):
            self._turn(content, f"contents[{index}]")
        if self._open:
            raise _unequal()

    def _turn(self, content: object, where: str) -> None:
        fields = checked(content, where, {"role", "parts"})
        role = fields.get("role")
        if role not in {"user", "model"}:
            raise wrong("Please use a valid role: user, model.")
        parts = listed(fields, "parts", where)
        if not parts:
            raise wrong(f"* GenerateContentRequest.{where}.parts: contents.parts must not be empty.")
        self.prompt.message()
        checked_parts = [_one_datum(part, f"{where}.parts[{place}]") for place, part in enumerate(parts)]
        if role == "model":
            self._model_turn(checked_parts, where)
        else:
            self._user_turn(checked_parts, where)
        self._role = str(role)

    def _model_turn(self, parts: list[Json], where: str) -> None:
        if self._open:
            raise _unequal()
        if self._role != "user" and any("functionCall" in part for part in parts):
            raise wrong(
                "Please ensure that function call turn comes immediately after a user turn or after a function response"
                " turn."
            )
        for part in parts:
            if "functionCall" in part:
                self._call(part, where)
            elif "text" in part:
                self._said(part, where)
            else:
                raise wrong(f"Invalid part in the model's turn {where}.")

    def _said(self, part: Json, where: str) -> None:
        said = text(part, "text", where, required=False)
        signature = part.get("thoughtSignature")
        if not said and signature is None:
            raise wrong("Unable to submit request because it must have a text parameter.")
        if signature is not None:
            self._verify(signed_text(said), signature)
        self.prompt.text(said)

    def _call(self, part: Json, where: str) -> None:
        call = checked(part["functionCall"], f"{where}.function_call", {"id", "name", "args"})
        name = text(call, "name", where)
        arguments = call.get("args", {})
        if not isinstance(arguments, dict):
            raise wrong(f"Invalid value at '{where}.function_call.args': an object is expected.")
        call_id = call.get("id")
        signature = part.get("thoughtSignature")
        if signature is None and self._strict and not self._open:
            raise wrong(
                f"Function call is missing a thought_signature in functionCall parts: `default_api:{name}`, {where}."
            )
        if signature not in {None, UNSIGNED_CALL}:
            self._verify(signed_call(name, arguments), signature)
        self._open.append((name, call_id))
        self.prompt.text(name)
        self.prompt.text(orjson.dumps(arguments).decode())

    def _verify(self, covered: str, signature: object) -> None:
        written = signature.replace("-", "+").replace("_", "/") if isinstance(signature, str) else ""
        if not is_signed(covered, written):
            raise wrong("Corrupted thought signature.")
        self.prompt.thoughts += 1

    def _user_turn(self, parts: list[Json], where: str) -> None:
        results = [part["functionResponse"] for part in parts if "functionResponse" in part]
        if len(results) != len(self._open):
            raise _unequal()
        if results and len(results) != len(parts):
            raise wrong("Request contains an invalid argument.")
        said: list[str] = []
        for part in parts:
            if "text" in part:
                said.append(text(part, "text", where))
            elif "functionResponse" not in part:
                self._media(part, where)
        self.prompt.text("".join(said))
        for result, (name, call_id) in zip(results, self._open, strict=True):
            self._result(result, name, call_id, where)
        self._open.clear()
        # What tools gave beside text is told of in texts that say which tool it is from.
        own = "".join(each for each in said if not each.startswith(("From the tool ", "Document: ")))
        if own or not (results or self._gave_media):
            self.prompt.said(own)
        self._gave_media = bool(results)

    def _result(self, value: object, name: str, call_id: str | None, where: str) -> None:
        result = checked(value, f"{where}.function_response", {"id", "name", "response", "parts"})
        if result.get("name") != name or (call_id is not None and result.get("id") != call_id):
            raise wrong(f"The function response of {where} answers no function call: {str(result.get('name'))[:80]}.")
        response = result.get("response")
        if not isinstance(response, dict):
            raise wrong(f"Invalid value at '{where}.function_response.response': an object is expected.")
        for part in listed(result, "parts", where):
            blob = _blob(checked(part, where, {"inlineData"}).get("inlineData"), where)
            if blob not in _IN_RESULTS:
                raise wrong(f"Unsupported MIME type in a function response: {blob[:40]}.")
            self._count(blob)
        failed = response.keys() == {"error"}
        answer = response["error"] if failed else response.get("output", response)
        told = answer if isinstance(answer, str) else orjson.dumps(answer).decode()
        self.prompt.text(told)
        self.prompt.answered(told, failed=failed)

    def _media(self, part: Json, where: str) -> None:
        if "inlineData" in part:
            self._count(_blob(part["inlineData"], where))
        elif "fileData" in part:
            file = checked(part["fileData"], f"{where}.file_data", {"fileUri", "mimeType"})
            if not text(file, "fileUri", where).startswith(("https://", "gs://")):
                raise wrong(f"Invalid file URI at '{where}'.")
            self._count(text(file, "mimeType", where, required=False) or "image/png")
        else:
            raise wrong(f"Invalid part in the user's turn {where}.")

    def _count(self, media_type: str) -> None:
        match media_type.partition("/")[0]:
            case "image":
                self.prompt.image()
            case "audio":
                self.prompt.sound()
            case _:
                self.prompt.document()


def _one_datum(part: object, where: str) -> Json:
    fields = checked(part, where, _PART)
    if len(fields.keys() & _DATA) != 1:
        raise wrong(f"{where}.data: required oneof field 'data' must have one initialized field")
    return fields


def _blob(value: object, where: str) -> str:
    """The media type of bytes that are there. Raises Refusal."""
    blob: dict[str, Any] = checked(value, f"{where}.inline_data", {"mimeType", "data"})
    try:
        data = base64.b64decode(text(blob, "data", where), validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if not data:
        raise wrong(f"Invalid value at '{where}.inline_data.data' (TYPE_BYTES), Base64 decoding failed.")
    media_type = text(blob, "mimeType", where)
    if media_type.partition("/")[0] not in {"image", "audio", "video", "application", "text"}:
        raise wrong(f"Unsupported MIME type: {media_type[:40]}")
    return media_type


def _unequal() -> Exception:
    return wrong(
        "Please ensure that the number of function response parts is equal to the number of function call parts of the"
        " function call turn."
    )
