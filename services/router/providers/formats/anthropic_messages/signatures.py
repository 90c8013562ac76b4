"""The marks on Claude's thoughts as they go round: what kind of block one was, and what belongs into it again."""

from __future__ import annotations

from typing import Any

from services.router.domain.generation import Reasoning, Signature

_THINKING, _REDACTED = b"t", b"r"


def of_thinking(signature: str) -> Signature:
    """The mark on a `thinking` block."""
    return Signature(_THINKING + signature.encode())


def of_redacted(data: str) -> Signature:
    """A whole `redacted_thinking` block, which has no text."""
    return Signature(_REDACTED + data.encode())


def block_of(reasoning: Reasoning) -> dict[str, Any] | None:
    """The block it was; None for what has no mark, or one that was not made here."""
    data = reasoning.signature.data if reasoning.signature is not None else b""
    try:
        mark = data[1:].decode()
    except UnicodeDecodeError:
        return None
    if not mark:
        return None
    if data.startswith(_THINKING):
        return {"type": "thinking", "thinking": reasoning.text, "signature": mark}
    return {"type": "redacted_thinking", "data": mark} if data.startswith(_REDACTED) else None
