"""What a test can ask of a single call: `[[sandbox status=429 retry_after=2]]` in the last user message.

For embeddings it stands in any of the inputs. Several blocks may stand in one message. A word without `=` is a
flag. A word nobody knows, or a value out of range, is refused with status 400, so that a slip in a test shows at
once. Rules (`rules.py`) carry the same words as a JSON object.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from libs.sandbox.dialect import Refusal

MAX_TOKENS = 200_000
MAX_TOOL_CALLS = 128
MAX_DELAY_MS = 3_600_000

EXPLANATIONS: Mapping[str, str] = {
    "status": "answer with this HTTP status (300-599) and the provider's matching error body",
    "code": "the error code in that body, such as insufficient_quota or context_length_exceeded",
    "retry_after": "seconds for the retry-after header of that error, fractions allowed",
    "location": "the location header of that error, for redirects",
    "echo_key": "flag: put the caller's key into the text of that error, as careless providers do",
    "cut_after": "close the connection after N content chunks (of a whole answer: in the middle)",
    "cut_at_end": "flag: close the connection after the finish reason, before the usage",
    "error_after": "send an error event after N content chunks (instead of a whole answer: at once)",
    "error_status": "the status whose error that event reports (400-599, usually 500); code picks among variants",
    "silence_after": "say nothing more after N content chunks (of a whole answer: from the middle on)",
    "silent": "flag: accept the call and never answer",
    "reset": "flag: reset the connection before the answer begins",
    "garbage": "flag: answer 200 with malformed JSON, or a malformed event",
    "html": "flag: answer 200 with an HTML page",
    "no_usage": "flag: leave the usage out, even when it was asked for",
    "no_finish": "flag: leave the finish reason out",
    "no_done": "flag: leave the end marker of the stream out",
    "finish": "this finish reason instead of the true one, such as content_filter",
    "tokens": f"make the answer N tokens long (0-{MAX_TOKENS})",
    "tools": "call N tools, taken in turn from those on offer",
    "text_before_tools": "flag: say something before the calls of tools",
    "cached": "count N tokens of the prompt as cached",
    "reasoning": "count N reasoning tokens before the answer",
    "show_reasoning": "flag: send the reasoning, though nobody asked (reasoning_content in the OpenAI dialect)",
    "redacted": "flag: hide the reasoning the way the provider hides what must not be read",
    "vectors": "answer a request for embeddings with N vectors, whatever was asked for",
    "pace_ms": "milliseconds before each content chunk (of a whole answer: per token, in sum)",
    "first_ms": "milliseconds before the first byte",
    "slow_headers": "milliseconds between the lines of the response's head",
}
"""Every word with what it does: the source of `--help`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Directives:
    """The wishes for one call; see EXPLANATIONS. None and False mean: as always."""

    status: int | None = None
    code: str | None = None
    retry_after: float | None = None
    location: str | None = None
    echo_key: bool = False
    cut_after: int | None = None
    cut_at_end: bool = False
    error_after: int | None = None
    error_status: int = 500
    silence_after: int | None = None
    silent: bool = False
    reset: bool = False
    garbage: bool = False
    html: bool = False
    no_usage: bool = False
    no_finish: bool = False
    no_done: bool = False
    finish: str | None = None
    tokens: int | None = None
    tools: int = 0
    text_before_tools: bool = False
    cached: int = 0
    reasoning: int | None = None
    show_reasoning: bool = False
    redacted: bool = False
    vectors: int | None = None
    pace_ms: float | None = None
    first_ms: float = 0.0
    slow_headers: float = 0.0


NO_DIRECTIVES = Directives()

_INTEGERS: Mapping[str, tuple[int, int]] = {
    "status": (300, 599),
    "cut_after": (0, MAX_TOKENS),
    "error_after": (0, MAX_TOKENS),
    "error_status": (400, 599),
    "silence_after": (0, MAX_TOKENS),
    "tokens": (0, MAX_TOKENS),
    "tools": (1, MAX_TOOL_CALLS),
    "cached": (0, 10_000_000),
    "reasoning": (0, MAX_TOKENS),
    "vectors": (0, MAX_TOKENS),
}
_NUMBERS: Mapping[str, float] = {
    "retry_after": 86_400.0,
    "pace_ms": MAX_DELAY_MS,
    "first_ms": MAX_DELAY_MS,
    "slow_headers": MAX_DELAY_MS,
}
_WORDS = frozenset({"code", "location", "finish"})
_MARK = "[[sandbox"
_BLOCK = re.compile(r"\[\[sandbox(?=[\s\]])([^\]]*)\]\]")
_VISIBLE = re.compile(r"[\x21-\x7e]{1,500}")


def without_directives(text: str) -> str:
    """`text` as a person would read it."""
    return _BLOCK.sub("", text) if _MARK in text else text


def find_directives(text: str) -> Mapping[str, object] | None:
    """The words of every block in `text`, unchecked; None when there is no block. Raises Refusal for an open one."""
    if _MARK not in text:
        return None
    words: dict[str, object] = {}
    blocks = _BLOCK.findall(text)
    if len(blocks) != text.count(_MARK):
        raise _wrong("[[sandbox must be followed by a space and closed by ]]")
    for block in blocks:
        for word in block.split():
            name, equals, value = word.partition("=")
            words[name] = value if equals else True
    return words


def read_directives(words: Mapping[str, object]) -> Directives:
    """Check `words` (text or JSON values) and give them their types. Raises Refusal naming the wrong one."""
    checked: dict[str, object] = {}
    for name, value in words.items():
        if name in _INTEGERS:
            least, most = _INTEGERS[name]
            checked[name] = int(_number(name, value, least, most, whole=True))
        elif name in _NUMBERS:
            checked[name] = _number(name, value, 0, _NUMBERS[name], whole=False)
        elif name in _WORDS:
            if not isinstance(value, str) or _VISIBLE.fullmatch(value) is None:
                raise _wrong(f"{name} needs a value without spaces, up to 500 characters of ASCII")
            checked[name] = value
        elif name in EXPLANATIONS:
            if not isinstance(value, bool):
                raise _wrong(f"{name} is a flag and takes no value")
            checked[name] = value
        else:
            raise _wrong(f"there is no directive {name[:40]!r}; python -m libs.sandbox --help lists them")
    return Directives(**checked)  # type: ignore[arg-type]  # each value was given its field's type above


def _number(name: str, value: object, least: float, most: float, *, whole: bool) -> float:
    kind = "whole number" if whole else "number"
    number = math.nan
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        with contextlib.suppress(ValueError, OverflowError):
            number = float(value)
    # A comparison with NaN is false, so NaN is out of range too.
    if not least <= number <= most or (whole and number != int(number)):
        raise _wrong(f"{name} needs a {kind} from {least:g} to {most:g}")
    return number


def _wrong(message: str) -> Refusal:
    return Refusal(400, f"Sandbox directive: {message}.", code="sandbox_directive_invalid", param="messages")
