"""Reasoning that a server wants to see again: how it is kept in a signature, and how it is sent back.

The signature holds all of it, so that nothing is lost where the caller is not shown the thoughts. It comes last in an
answer, for parts of the reasoning may come after the text and the tool calls.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import orjson

_Json = dict[str, Any]


class Keeper(Protocol):
    """Collects the reasoning of one answer."""

    def feed(self, message: _Json, reasoning: str) -> None:
        """A message, or a delta of one, and the text of its reasoning."""
        ...

    def mark(self) -> bytes:
        """The data of a signature; empty when there was nothing to keep."""
        ...


class Keeping(Protocol):
    """One way to keep reasoning. Stateless."""

    def keeper(self) -> Keeper:
        """Made anew for each answer."""
        ...

    def fields(self, marks: Sequence[bytes], *, with_calls: bool) -> _Json:
        """What an assistant's message has to carry."""
        ...


class ReasoningContent:
    """`reasoning_content`, as DeepSeek wants it: with every message that calls tools, be it empty."""

    def keeper(self) -> Keeper:
        """For one answer."""
        return _Texts()

    def fields(self, marks: Sequence[bytes], *, with_calls: bool) -> _Json:
        """One text."""
        if not marks and not with_calls:
            return {}
        return {"reasoning_content": b"".join(marks).decode(errors="replace")}


class _Texts:
    __slots__ = ("_pieces",)

    def __init__(self) -> None:
        self._pieces: list[str] = []

    def feed(self, message: _Json, reasoning: str) -> None:
        if reasoning:
            self._pieces.append(reasoning)

    def mark(self) -> bytes:
        return "".join(self._pieces).encode()


class ReasoningDetails:
    """`reasoning_details`, as OpenRouter wants it: the list as it came."""

    def keeper(self) -> Keeper:
        """For one answer."""
        return _Details()

    def fields(self, marks: Sequence[bytes], *, with_calls: bool) -> _Json:
        """One list. A mark that is not one of ours has nothing to say."""
        details: list[object] = []
        for mark in marks:
            try:
                parsed = orjson.loads(mark)
            except orjson.JSONDecodeError:
                continue
            if isinstance(parsed, list):
                details += parsed
        return {"reasoning_details": details} if details else {}


class _Details:
    """A stream brings a detail in pieces, each with the same type and index: their texts belong together.

    Two with ids of their own are two, whatever their index: parallel calls may bring one each.
    """

    __slots__ = ("_details",)

    _TEXTS = ("text", "summary", "data")

    def __init__(self) -> None:
        self._details: list[_Json] = []

    def feed(self, message: _Json, reasoning: str) -> None:
        for detail in message.get("reasoning_details") or ():
            last = self._details[-1] if self._details else None
            if last is not None and _go_together(last, detail):
                for name, value in detail.items():
                    both_texts = isinstance(value, str) and isinstance(last.get(name), str)
                    if name in self._TEXTS and both_texts:
                        last[name] += value
                    elif value is not None:
                        last[name] = value
            else:
                self._details.append(dict(detail))

    def mark(self) -> bytes:
        return orjson.dumps(self._details) if self._details else b""


def _go_together(last: _Json, detail: _Json) -> bool:
    if detail.get("index") is None or any(detail.get(name) != last.get(name) for name in ("index", "type")):
        return False
    ours, theirs = last.get("id"), detail.get("id")
    return ours is None or theirs is None or ours == theirs
