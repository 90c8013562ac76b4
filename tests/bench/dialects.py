"""What the dialects cost in this process: a request written, an answer read, an event of a stream turned into protobuf.

Microseconds; each figure is the best of many short rounds: what the work takes while nothing else has the core. The
answers come from the sandbox, in each provider's own format.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

import aiohttp

from libs.sandbox import Sandbox
from services.router.api.outcomes import StreamWriter
from services.router.domain.generation import (
    Finished,
    Generation,
    Message,
    Role,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from services.router.providers.base import EncodedRequest
from tests.contract.dialects.variants import VARIANTS, Variant
from tests.integration.router_providers.wire import CANARY

MESSAGES = 50
_OUTPUT_TOKENS = 400
_ROUNDS = 15
_REPEATS = 20
_SDKS = ("openai", "anthropic", "google.genai", "ollama")
_TOOL = Tool(
    name="get_weather",
    description="The weather of a city",
    parameters_json='{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}',
)
_QUESTION = "Why is the sky blue, and why does it turn red in the evening?"
_SHORT = Generation(messages=(Message(Role.USER, (Text(_QUESTION),)),))


def _long() -> Generation:
    """A conversation of 50 messages, half of them about tools."""
    messages = [Message(Role.SYSTEM, (Text("You are a helpful assistant that answers briefly."),))]
    turn = 0
    while len(messages) < MESSAGES - 1:
        turn += 1
        calls = tuple(
            ToolCall(id=f"call_{turn}_{each}", name="get_weather", arguments_json='{"city":"Oslo"}')
            for each in range(2)
        )
        results = tuple(
            ToolResult(tool_call_id=call.id, name=call.name, parts=(Text('{"sky":"clear","degrees":21}'),))
            for call in calls
        )
        messages += [
            Message(Role.USER, (Text(f"{_QUESTION} Part {turn}."),)),
            Message(Role.ASSISTANT, (Text("Let me look that up for you."), *calls)),
            Message(Role.TOOL, results),
            Message(Role.ASSISTANT, (Text("It is clear, with 21 degrees, and the evening will be red."),)),
        ]
    messages = [*messages[: MESSAGES - 1], Message(Role.USER, (Text(_QUESTION),))]
    return Generation(messages=tuple(messages), tools=(_TOOL,))


def measure_dialects() -> dict[str, dict[str, float]]:
    """By variant: microseconds to write and read a short and a long conversation, and for an event of a stream."""
    return asyncio.run(_measured())


async def _measured() -> dict[str, dict[str, float]]:
    figures = {}
    async with Sandbox() as sandbox, aiohttp.ClientSession() as http:
        for name, variant in VARIANTS.items():
            figures[name] = await _of(variant, sandbox, http)
    return figures


async def _of(variant: Variant, sandbox: Sandbox, http: aiohttp.ClientSession) -> dict[str, float]:
    figures = {}
    for size, request in (("short", _SHORT), ("long", _long())):
        encoded = _encode(variant, request, stream=False)
        body = await _answer(variant, sandbox, http, encoded)

        def write(request: Generation = request) -> object:
            return _encode(variant, request, stream=False)

        def read(encoded: EncodedRequest = encoded, body: bytes = body) -> object:
            return encoded.answers.decode(body)

        figures[f"encode_{size}_us"] = _microseconds(write)
        figures[f"decode_{size}_us"] = _microseconds(read)
    words = f"{_QUESTION} [[sandbox tokens={_OUTPUT_TOKENS}]]"
    request = replace(_SHORT, messages=(Message(Role.USER, (Text(words),)),))
    encoded = _encode(variant, request, stream=True)
    stream = await _answer(variant, sandbox, http, encoded)
    figures["event_us"] = _per_event(encoded, stream)
    return figures


def _encode(variant: Variant, request: Generation, *, stream: bool) -> EncodedRequest:
    return variant.dialect.encode(
        request, provider_model_id=variant.model, output_limit=4_096, stream=stream, options=variant.options
    )


async def _answer(variant: Variant, sandbox: Sandbox, http: aiohttp.ClientSession, encoded: EncodedRequest) -> bytes:
    dialect = variant.dialect
    headers = {
        "Content-Type": "application/json",
        **dialect.option_headers(variant.options),
        **encoded.headers,
        **dialect.key_headers(CANARY, variant.options),
    }
    async with http.post(sandbox.url + variant.path + encoded.path, data=encoded.body, headers=headers) as response:
        response.raise_for_status()
        return await response.read()


def _per_event(encoded: EncodedRequest, stream: bytes) -> float:
    """Microseconds for one event, each in a packet of its own, from its bytes to the message that is sent on."""
    separator = b"\n\n" if b"\n\n" in stream else b"\r\n\r\n" if b"\r\n\r\n" in stream else b"\n"
    packets = [packet + separator for packet in stream.split(separator) if packet]

    def run() -> int:
        reader, decoder, writer = (
            encoded.answers.stream_format.reader(),
            encoded.answers.stream_decoder(),
            StreamWriter(),
        )
        count = 0
        for packet in packets:
            for data in reader.feed(packet):
                for event in decoder.feed(data):
                    if not isinstance(event, Finished) and (message := writer.event(event)) is not None:
                        message.SerializeToString()
                        count += 1
        return count

    events = run()
    return _microseconds(run, repeats=1) / events


def _microseconds(work: Callable[[], object], repeats: int = _REPEATS) -> float:
    rounds = []
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        for _ in range(repeats):
            work()
        rounds.append((time.perf_counter() - began) / repeats * 1e6)
    return min(rounds)


_IMPORT = f"""
import json, sys, time
began = time.perf_counter()
import services.router.app
took = time.perf_counter() - began
print(json.dumps({{"import_s": took, "sdks": [each for each in {_SDKS!r} if each in sys.modules]}}))
"""


def measure_import() -> Mapping[str, object]:
    """Seconds to import the router with all dialects, best of five, and which providers' SDKs came along."""
    runs: list[dict[str, object]] = [
        json.loads(subprocess.run([sys.executable, "-c", _IMPORT], capture_output=True, check=True, text=True).stdout)
        for _ in range(5)
    ]
    return min(runs, key=lambda run: float(str(run["import_s"])))
