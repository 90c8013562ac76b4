"""What is said in a message or a delta: text and reasoning, in all the fields that servers have for them."""

from __future__ import annotations

from collections.abc import Iterator

from services.router.providers.reading.json_values import Json, text


def reasoning_in(message: Json) -> str:
    """The reasoning beside the content: `reasoning_content`, or `reasoning`; some servers send both, the same twice."""
    return text(message.get("reasoning_content") or message.get("reasoning") or "")


def pieces_in(content: object) -> Iterator[tuple[bool, str]]:
    """The pieces of a content, none empty, each with whether it is reasoning.

    Mostly a text; Mistral sends a list where its models think: `{"type":"thinking","thinking":[texts]}` and texts.
    Raises TypeError for anything else.
    """
    if not content:
        return
    if not isinstance(content, list):
        yield False, text(content)
        return
    for chunk in content:
        kind = chunk["type"]
        if kind == "text" and chunk.get("text"):
            yield False, text(chunk["text"])
        elif kind == "thinking":
            thoughts = chunk.get("thinking") or ()
            for thought in (thoughts,) if isinstance(thoughts, str) else thoughts:
                if piece := thought if isinstance(thought, str) else text(thought.get("text") or ""):
                    yield True, piece
