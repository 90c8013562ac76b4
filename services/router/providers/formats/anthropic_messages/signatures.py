"""The marks on Claude's thoughts as they go round: what kind of block one was, and what belongs into it again."""

from __future__ import annotations

from typing import Any

from services.router.domain.generation import Reasoning, Signature

_THINKING, _REDACTED = b"t", b"r"
_END = b"\n"


def of_thinking(signature: str, model: str) -> Signature:
    """The mark on a `thinking` block of a model."""
    return _signature(_THINKING, signature, model)


def of_redacted(data: str, model: str) -> Signature:
    """A whole `redacted_thinking` block of a model, which has no text."""
    return _signature(_REDACTED, data, model)


def block_of(reasoning: Reasoning, model: str) -> dict[str, Any] | None:
    """The block it was; None for what has no mark, one that was not made here, or that of another model.

    Models know their own thoughts only: what another one thought is refused, in the latest turn at least.
    """
    data = reasoning.signature.data if reasoning.signature is not None else b""
    mark, end, origin = data[1:].rpartition(_END)
    if not end:
        mark = origin
    try:
        if (end and origin.decode() != model) or not mark:
            return None
        if data.startswith(_THINKING):
            return {"type": "thinking", "thinking": reasoning.text, "signature": mark.decode()}
        return {"type": "redacted_thinking", "data": mark.decode()} if data.startswith(_REDACTED) else None
    except UnicodeDecodeError:
        return None


def _signature(kind: bytes, mark: str, model: str) -> Signature:
    return Signature(b"".join((kind, mark.encode(), *((_END, model.encode()) if model else ()))))
