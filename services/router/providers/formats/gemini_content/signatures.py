"""Thought signatures: Gemini's marks on what it said, packed so that they go back exactly where they stood.

A mark on a thought or on a function call is kept as it came. One on a text is kept with the length of its text, for
texts that stand next to each other are merged on the way to the caller and have to be parted again: Gemini wants a
text that has a mark by itself.
"""

from __future__ import annotations

from services.router.domain.generation import Signature

# A mark is base64: it holds no colon.
_SEPARATOR = b":"


def mark(wire: str) -> Signature:
    """The mark on a thought or a function call."""
    return Signature(wire.encode())


def mark_on_text(wire: str, length: int) -> Signature:
    """The mark on a text of `length` characters."""
    return Signature(b"%d:" % length + wire.encode())


def text_length(signature: Signature) -> int | None:
    """How many characters the marked text has; None for a mark on something else."""
    length, separator, _ = signature.data.partition(_SEPARATOR)
    return int(length) if separator and length.isdigit() and len(length) < len("10000000") else None


def wire_text(signature: Signature) -> str:
    """The mark as Gemini wrote it. Of what it never wrote, something that it refuses."""
    data = signature.data
    return (data if text_length(signature) is None else data.partition(_SEPARATOR)[2]).decode("utf-8", "replace")
