"""The ways of the option `server`, and what each server sends in its own shape."""

from typing import Any

import orjson

from services.router.domain.generation import (
    Answer,
    Generation,
    Message,
    Role,
    Text,
)
from services.router.providers.dialects.openai_compatible import OPENAI_COMPATIBLE
from services.router.providers.reading.server_sent_events import EventReader
from tests.contract.dialects.folding import folded

ALL = ["vllm", "llama_cpp", "lm_studio", "groq", "mistral", "deepseek", "xai", "together", "openrouter", "other"]
HELLO = Generation(messages=(Message(Role.USER, (Text("Hello"),)),))


def sent(server: str, request: Generation, *, model: str = "m", stream: bool = False) -> dict[str, Any]:
    encoded = OPENAI_COMPATIBLE.encode(
        request, provider_model_id=model, output_limit=7, stream=stream, options={"server": server}
    )
    parsed: dict[str, Any] = orjson.loads(encoded.body)
    return parsed


def read_whole(server: str, body: Any) -> Answer:
    encoded = OPENAI_COMPATIBLE.encode(
        HELLO, provider_model_id="m", output_limit=7, stream=False, options={"server": server}
    )
    return encoded.answers.decode(body if isinstance(body, bytes) else orjson.dumps(body))


def read_stream(server: str, *chunks: Any, done: bool = True) -> Answer:
    encoded = OPENAI_COMPATIBLE.encode(
        HELLO, provider_model_id="m", output_limit=7, stream=True, options={"server": server}
    )
    wire = b"".join(b"data: " + orjson.dumps(chunk) + b"\n\n" for chunk in chunks) + b"data: [DONE]\n\n" * done
    reader, decoder = EventReader(), encoded.answers.stream_decoder()
    return folded([event for data in reader.feed(wire) for event in decoder.feed(data)] + decoder.end())


def usage(prompt: int, completion: int, **more: Any) -> dict[str, Any]:
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion, **more}


def chunk(finish: Any = None, /, **delta: Any) -> dict[str, Any]:
    return {
        "id": "c1",
        "object": "chat.completion.chunk",
        "model": "m",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }


def whole(finish: Any, used: Any, **message: Any) -> dict[str, Any]:
    return {
        "id": "c1",
        "object": "chat.completion",
        "choices": [{"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}],
        "usage": used,
    }


def call(arguments: Any = "", **more: Any) -> dict[str, Any]:
    return {"id": "t1", "type": "function", "function": {"name": "look", "arguments": arguments}, **more}
