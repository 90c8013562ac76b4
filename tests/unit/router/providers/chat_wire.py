"""Chunks and answers in the Chat Completions format, and what our decoders make of them."""

from typing import Any

import orjson

from services.router.domain.generation import (
    Answer,
    Finished,
    ProviderEvent,
)
from services.router.providers.formats.chat_completions.response import OPENAI_RULES, decode_answer
from services.router.providers.formats.chat_completions.stream import ChatStreamDecoder


def message(finish: Any = "stop", usage: Any = None, **fields: Any) -> dict[str, Any]:
    content = {"role": "assistant", "content": None, **fields}
    return {"choices": [{"index": 0, "message": content, "finish_reason": finish}], "usage": usage}


def decoded(**fields: Any) -> Answer:
    return decode_answer(orjson.dumps(message(**fields)))


def delta(finish: Any = None, index: int = 0, **fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": index, "delta": fields, "finish_reason": finish}]}


FINISH = delta("stop")


def events(*chunks: Any) -> list[ProviderEvent]:
    decoder = ChatStreamDecoder(OPENAI_RULES)
    wire = [chunk if isinstance(chunk, bytes) else orjson.dumps(chunk) for chunk in chunks]
    return [event for data in (*wire, b"[DONE]") for event in decoder.feed(data)] + decoder.end()


def finished(*chunks: Any) -> Finished:
    last = events(*chunks)[-1]
    assert isinstance(last, Finished)
    return last
