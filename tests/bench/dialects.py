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
from tests.contract.dialects.recording import Recorded, encoded, recorded
from tests.contract.dialects.variants import VARIANTS, Variant

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
    return {name: asyncio.run(_of(variant)) for name, variant in VARIANTS.items()}


async def _of(variant: Variant) -> dict[str, float]:
    figures = {}
    for size, request in (("short", _SHORT), ("long", _long())):
        answer = await recorded(variant, request, stream=False)

        def write(request: Generation = request) -> object:
            return encoded(variant, request, stream=False)

        def read(answer: Recorded = answer) -> object:
            return answer.answers.decode(answer.body)

        figures[f"encode_{size}_us"] = _microseconds(write)
        figures[f"decode_{size}_us"] = _microseconds(read)
    words = f"{_QUESTION} [[sandbox tokens={_OUTPUT_TOKENS}]]"
    request = replace(_SHORT, messages=(Message(Role.USER, (Text(words),)),))
    figures["event_us"] = _per_event(await recorded(variant, request, stream=True))
    return figures


def _per_event(answer: Recorded) -> float:
    """Microseconds for one event, each in a packet of its own, from its bytes to the message that is sent on."""
    stream = answer.body
    separator = b"\n\n" if b"\n\n" in stream else b"\r\n\r\n" if b"\r\n\r\n" in stream else b"\n"
    packets = [packet + separator for packet in stream.split(separator) if packet]

    def run() -> int:
        reader, decoder, writer = (
            answer.answers.stream_format.reader(),
            answer.answers.stream_decoder(),
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
