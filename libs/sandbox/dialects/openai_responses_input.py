"""Reads the `input` of a Responses request: the items of a conversation, as strictly as OpenAI does."""

from __future__ import annotations

import binascii
import contextlib
import re
from collections.abc import Mapping
from typing import Any

import orjson

from libs.sandbox.dialect import Refusal
from libs.sandbox.prompt import Prompt
from libs.sandbox.sealing import seal, unseal

Json = dict[str, Any]

_MAX_CALL_ID = 64
_DATA_URL = re.compile(r"data:([a-z]+/[a-z0-9.+-]+);base64,")
_DETAILS = frozenset({"low", "high", "auto", "original"})
_PHASES = frozenset({"commentary", "final_answer"})

# The fields of each kind of item and content, and which of them have to be there.
_FIELDS: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {
    kind: (frozenset(known), frozenset(required))
    for kind, known, required in (
        ("message", {"type", "role", "content", "status", "phase", "id"}, {"role", "content"}),
        ("function_call", {"type", "call_id", "name", "arguments", "id", "status"}, {"call_id", "name", "arguments"}),
        ("function_call_output", {"type", "call_id", "output", "id", "status"}, {"call_id", "output"}),
        ("reasoning", {"type", "id", "summary", "content", "encrypted_content", "status"}, {"id", "summary"}),
        ("input_text", {"type", "text"}, {"text"}),
        ("input_image", {"type", "detail", "image_url", "file_id"}, set()),
        ("input_file", {"type", "file_data", "file_url", "file_id", "filename", "detail"}, set()),
        ("output_text", {"type", "text", "annotations", "logprobs"}, {"text"}),
        ("refusal", {"type", "refusal"}, {"refusal"}),
    )
}


def sealed_reasoning(item_id: str, summary: list[str]) -> str:
    """The `encrypted_content` of a reasoning item: it knows the item and its summary again."""
    return seal(orjson.dumps([item_id, summary]).decode())


class InputReader:
    """Reads items in order. Raises Refusal (400) in OpenAI's words, naming the place."""

    def __init__(self, prompt: Prompt) -> None:
        self.prompt = prompt
        self.mentions_json = False
        self._open_calls: dict[str, None] = {}
        self._known_calls: set[str] = set()
        self._lonely_reasoning = ""

    def read(self, given: object) -> None:
        """The whole input: a text, or items."""
        if isinstance(given, str):
            given = [{"role": "user", "content": given}]
        if not isinstance(given, list):
            raise wrong("input", "Missing required parameter: 'input'.")
        if not given:
            raise wrong("input", "Invalid 'input': empty array. Expected an array with minimum length 1.")
        for index, item in enumerate(given):
            self._item(item, f"input[{index}]")
        self._follow(leads_on=False)
        if self._open_calls:
            raise wrong("input", f"No tool output found for function call {next(iter(self._open_calls))[:64]}.")

    def _item(self, item: object, where: str) -> None:
        if not isinstance(item, dict):
            raise wrong(where, f"Invalid type for '{where}': expected an object.", code="invalid_type")
        kind = item.get("type", "message")
        self.prompt.message()
        match kind:
            case "message":
                self._message(_checked(item, kind, where), where)
            case "function_call":
                self._call(_checked(item, kind, where), where)
            case "function_call_output":
                self._output(_checked(item, kind, where), where)
            case "reasoning":
                self._reasoning(_checked(item, kind, where), where)
            case _:
                raise wrong(f"{where}.type", f"Invalid value: '{str(kind)[:40]}'.", code="invalid_value")

    def _message(self, item: Json, where: str) -> None:
        role, content = item["role"], item["content"]
        if role not in {"user", "assistant", "system", "developer"}:
            raise wrong(f"{where}.role", f"Invalid value: '{str(role)[:40]}'.", code="invalid_value")
        if (phase := item.get("phase")) is not None and (role != "assistant" or phase not in _PHASES):
            raise wrong(f"{where}.phase", f"Invalid value: '{str(phase)[:40]}'.", code="invalid_value")
        self._follow(leads_on=role == "assistant")
        allowed = {"output_text", "refusal"} if role == "assistant" else {"input_text", "input_image", "input_file"}
        text = self._contents(content, where, "content", allowed)
        self.mentions_json = self.mentions_json or "json" in text.lower()
        if role == "user":
            self.prompt.said(text)

    def _contents(self, content: object, where: str, field: str, allowed: set[str]) -> str:
        if isinstance(content, str):
            self.prompt.text(content)
            return content
        if not isinstance(content, list) or (not content and field == "content"):
            raise wrong(f"{where}.{field}", f"Invalid type for '{where}.{field}': expected a string or an array.")
        return "".join(self._part(part, f"{where}.{field}[{index}]", allowed) for index, part in enumerate(content))

    def _part(self, part: object, where: str, allowed: set[str]) -> str:
        kind = part.get("type") if isinstance(part, dict) else None
        if not isinstance(part, dict) or kind not in allowed:
            supported = ", ".join(f"'{each}'" for each in sorted(allowed))
            raise wrong(
                f"{where}.type",
                f"Invalid value: '{str(kind)[:40]}'. Supported values are: {supported}.",
                code="invalid_value",
            )
        _checked(part, str(kind), where)
        if kind == "input_image":
            self._image(part, where)
            return ""
        if kind == "input_file":
            self._file(part, where)
            return ""
        text = part["refusal" if kind == "refusal" else "text"]
        if not isinstance(text, str):
            raise wrong(where, f"Invalid type for '{where}': expected a string.", code="invalid_type")
        self.prompt.text(text)
        return text

    def _image(self, part: Json, where: str) -> None:
        if part.get("detail") is not None and part["detail"] not in _DETAILS:
            raise wrong(f"{where}.detail", "Invalid value for 'detail'.", code="invalid_value")
        url = part.get("image_url")
        if not isinstance(url, str) or not (url.startswith(("https://", "http://")) or _is_data(url, "image/")):
            raise wrong(
                f"{where}.image_url",
                "Invalid image: expected an http(s) URL or a base64-encoded data URL of an image.",
                code="invalid_image_url",
            )
        self.prompt.image()

    def _file(self, part: Json, where: str) -> None:
        data, url, name = part.get("file_data"), part.get("file_url"), part.get("filename")
        if url is not None and (name is not None or data is not None):
            raise wrong(
                where,
                f"Mutually exclusive parameters: '{where}'. Ensure you are only providing one of: 'file_url' or"
                " 'filename'.",
                code="mutually_exclusive_parameters",
            )
        by_url = isinstance(url, str) and url.startswith(("https://", "http://"))
        by_bytes = isinstance(data, str) and isinstance(name, str) and bool(name) and _is_data(data, "")
        if not (by_url or by_bytes):
            raise wrong(f"{where}.file_data", f"Invalid '{where}.file_data'.", code="invalid_value")
        self.prompt.document()

    def _call(self, item: Json, where: str) -> None:
        call_id, name, arguments = item["call_id"], item["name"], item["arguments"]
        _check_call_id(call_id, where)
        if not isinstance(name, str) or not isinstance(arguments, str):
            raise wrong(where, f"Invalid '{where}': a call has a name and arguments, both strings.")
        if call_id in self._known_calls:
            raise wrong(where, f"Duplicate item found with call_id {call_id}.")
        self._known_calls.add(call_id)
        self._open_calls[call_id] = None
        self._follow(leads_on=True)
        self.prompt.text(name)
        self.prompt.text(arguments)

    def _output(self, item: Json, where: str) -> None:
        call_id = item["call_id"]
        _check_call_id(call_id, where)
        if call_id not in self._open_calls:
            raise wrong(where, f"No tool call found for function call output with call_id {call_id}.")
        del self._open_calls[call_id]
        self._follow(leads_on=False)
        self.prompt.answered(
            self._contents(item["output"], where, "output", {"input_text", "input_image", "input_file"})
        )

    def _reasoning(self, item: Json, where: str) -> None:
        texts = [part.get("text") if isinstance(part, dict) else None for part in item["summary"]]
        item_id, sealed = item["id"], item.get("encrypted_content")
        if not isinstance(item_id, str) or not item_id.startswith("rs_"):
            raise wrong(f"{where}.id", f"Invalid '{where}.id'. Expected an ID that begins with 'rs'.")
        if sealed is None:
            raise Refusal(
                404,
                f"Item with id '{item_id[:80]}' not found. Items are not persisted when `store` is set to false. Try"
                " again with `store` set to true, or remove this item from your input.",
                param="input",
            )
        kept = unseal(sealed) if isinstance(sealed, str) else None
        if kept is None or kept != orjson.dumps([item_id, texts]).decode():
            shown = f"{str(sealed)[:4]}...{str(sealed)[-4:]}"
            raise Refusal(
                400, f"The encrypted content {shown} could not be verified.", code="invalid_encrypted_content"
            )
        for part in item["summary"]:
            if part.get("type") != "summary_text" or set(part) != {"type", "text"}:
                raise wrong(f"{where}.summary", "Invalid summary: expected items of type 'summary_text'.")
            self.prompt.text(part["text"])
        self.prompt.thoughts += 1
        self._lonely_reasoning = item_id

    def _follow(self, *, leads_on: bool) -> None:
        """What comes next; thoughts have to be followed by what came of them."""
        if self._lonely_reasoning and not leads_on:
            raise wrong(
                "input",
                f"Item '{self._lonely_reasoning}' of type 'reasoning' was provided without its required following"
                " item.",
            )
        self._lonely_reasoning = ""


def wrong(param: str, message: str, *, code: str | None = None) -> Refusal:
    """A refusal that names the parameter."""
    return Refusal(400, message, code=code, param=param)


def _checked(item: Json, kind: str, where: str) -> Json:
    known, required = _FIELDS[kind]
    for name in item.keys() - known:
        raise wrong(f"{where}.{name}", f"Unknown parameter: '{where}.{name}'.", code="unknown_parameter")
    for name in sorted(required - item.keys()):
        raise wrong(
            f"{where}.{name}", f"Missing required parameter: '{where}.{name}'.", code="missing_required_parameter"
        )
    if kind == "reasoning" and not isinstance(item["summary"], list):
        raise wrong(f"{where}.summary", f"Invalid type for '{where}.summary': expected an array.", code="invalid_type")
    return item


def _check_call_id(call_id: object, where: str) -> None:
    if not isinstance(call_id, str) or not 1 <= len(call_id) <= _MAX_CALL_ID:
        raise wrong(
            f"{where}.call_id",
            f"Invalid '{where}.call_id': expected a string with a length of 1 to {_MAX_CALL_ID}.",
            code="string_above_max_length",
        )


def _is_data(url: str, kind: str) -> bool:
    match = _DATA_URL.match(url)
    if match is None or not match[1].startswith(kind):
        return False
    with contextlib.suppress(ValueError):
        return bool(binascii.a2b_base64(url[match.end() :], strict_mode=True))
    return False
