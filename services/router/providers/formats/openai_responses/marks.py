"""What is kept of an answer's items, as signatures, so that the next call can send them back as they came."""

from __future__ import annotations

import orjson

from services.router.domain.generation import Reasoning, Signature
from services.router.providers.reading.json_values import Json, text

SEPARATOR = "\n\n"
"""Between the parts of a summary, which are one text with us."""

_CHANNELS = ("summary", "content")


def reasoning_text(item: Json) -> tuple[str, str]:
    """Where a reasoning item shows its thoughts, and the thoughts: in `summary`, or in `content` as open models do."""
    channel, texts = _texts(item)
    return channel, SEPARATOR.join(texts)


def reasoning_mark(item: Json) -> Signature | None:
    """How to know it again; None for an item that cannot be sent back, as nothing is stored at the provider."""
    encrypted = item.get("encrypted_content")
    if not encrypted:
        return None
    channel, texts = _texts(item)
    mark: Json = {"id": text(item.get("id") or ""), "encrypted_content": text(encrypted)}
    if len(texts) > 1 or channel != _CHANNELS[0]:
        # The text itself comes back with the reasoning; where its parts end does not.
        mark[channel] = [len(each) for each in texts]
    return Signature(orjson.dumps(mark))


def message_mark(item: Json) -> Signature | None:
    """The phase of a message, which newer models want back; most have none."""
    phase = item.get("phase")
    return Signature(orjson.dumps({"phase": text(phase)})) if phase else None


def reasoning_item(reasoning: Reasoning, mark: Json) -> Json:
    """The item as it came; `mark` is what `read_mark` found."""
    item: Json = {
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": each} for each in _split(reasoning.text, mark.get("summary"))],
        "encrypted_content": mark["encrypted_content"],
    }
    if mark.get("id"):
        item["id"] = mark["id"]
    if "content" in mark:
        item["summary"] = []
        item["content"] = [
            {"type": "reasoning_text", "text": each} for each in _split(reasoning.text, mark.get("content"))
        ]
    return item


def read_mark(signature: Signature) -> Json:
    """What a signature says; empty for one that is not of this format."""
    try:
        mark = orjson.loads(signature.data)
    except orjson.JSONDecodeError:
        return {}
    if not isinstance(mark, dict):
        return {}
    known = isinstance(mark.get("encrypted_content"), str) or isinstance(mark.get("phase"), str)
    return mark if known else {}


def _texts(item: Json) -> tuple[str, list[str]]:
    for channel in _CHANNELS:
        texts = [text(part.get("text") or "") for part in item.get(channel) or ()]
        if any(texts):
            return channel, [each for each in texts if each]
    return _CHANNELS[0], []


def _split(whole: str, lengths: object) -> list[str]:
    """The parts of a text, cut where they were; the text as one part where it has changed since."""
    if not whole:
        return []
    if not isinstance(lengths, list) or not all(isinstance(each, int) and each > 0 for each in lengths):
        return [whole]
    parts, place = [], 0
    for length in lengths:
        parts.append(whole[place : place + length])
        place += length + len(SEPARATOR)
    return parts if SEPARATOR.join(parts) == whole else [whole]
