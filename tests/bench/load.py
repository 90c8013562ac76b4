"""The load generator: a process that keeps N calls in flight for some seconds and says how they went.

It reads one JSON object per line: first the `Targets`, then an `Order` at a time; each is answered by one line. A call
that fails ends the order: a measurement with failed calls is none. Its own CPU is in no figure of the gateway.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import aiohttp
import grpc
import orjson
import uvloop
from gatehouse.router.v1 import generation_pb2, message_pb2
from gatehouse.router.v1 import generation_service_pb2 as pb
from gatehouse.router.v1.generation_service_pb2_grpc import GenerationServiceStub

from libs.core.errors import GatehouseError
from libs.core.secret import Secret
from services.router.clients.key_vault import KeyVaultClient

TargetName = Literal["bare_relay", "stack", "direct", "keys"]
_CALL_TIMEOUT_S = 20.0
_DONE = b"[DONE]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """Where calls can go: two gRPC servers (`host:port`), the upstream itself (a URL), and key_vault's internal port.

    There the load generator is the router, by its certificate; `key_names` are opened in turn.
    """

    bare_relay: str
    stack: str
    direct: str
    ca_file: str
    token: str
    model: str
    api_key: str
    key_vault: str
    cert_file: str
    key_file: str
    key_names: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Keep `in_flight` calls under way at `target` for `seconds`."""

    target: TargetName
    in_flight: int
    seconds: float
    prompt: str
    stream: bool = False


@dataclass(slots=True)
class Call:
    """How one call went; times in seconds of the monotonic clock. `events` are content events of a stream."""

    began: float
    ended: float = 0.0
    first: float = 0.0
    last: float = 0.0
    events: int = 0

    def event(self) -> None:
        """A content event arrived now."""
        self.last = time.perf_counter()
        if not self.events:
            self.first = self.last
        self.events += 1


class Callers:
    """One way to call for each target; channels and sessions are made once."""

    def __init__(self, targets: Targets, http: aiohttp.ClientSession) -> None:
        authorities = Path(targets.ca_file).read_bytes()
        credentials = grpc.ssl_channel_credentials(authorities)
        as_router = grpc.ssl_channel_credentials(
            authorities, Path(targets.key_file).read_bytes(), Path(targets.cert_file).read_bytes()
        )
        self._channels = {
            "bare_relay": grpc.aio.secure_channel(targets.bare_relay, credentials),
            "stack": grpc.aio.secure_channel(targets.stack, credentials),
        }
        self._stubs = {name: GenerationServiceStub(channel) for name, channel in self._channels.items()}
        self._channels["keys"] = grpc.aio.secure_channel(targets.key_vault, as_router)
        self._keys = KeyVaultClient(self._channels["keys"], timeout_s=_CALL_TIMEOUT_S)
        self._key_names = itertools.cycle(targets.key_names)
        self._origin = targets.direct
        self._token = Secret(targets.token.encode())
        self._metadata = (("authorization", f"Bearer {targets.token}"),)
        self._http = http
        self._url = f"{targets.direct}/v1/chat/completions"
        self._model = targets.model
        self._headers = {"Content-Type": "application/json", "Authorization": f"Bearer {targets.api_key}"}

    async def aclose(self) -> None:
        """Close the channels."""
        for channel in self._channels.values():
            await channel.close()

    def caller(self, order: Order) -> Callable[[Call], Awaitable[None]]:
        """What makes one call of `order`."""
        if order.target == "keys":
            return lambda _: self._open_key()
        if order.target == "direct":
            body: dict[str, Any] = {"model": self._model, "messages": [{"role": "user", "content": order.prompt}]}
            if order.stream:
                body |= {"stream": True, "stream_options": {"include_usage": True}}
                return lambda call: self._direct_stream(orjson.dumps(body), call)
            return lambda _: self._direct(orjson.dumps(body))
        generation = generation_pb2.Generation(
            messages=[message_pb2.Message(role=message_pb2.ROLE_USER, parts=[message_pb2.Part(text=order.prompt)])]
        )
        stub = self._stubs[order.target]
        if order.stream:
            return lambda call: self._stream(stub, generation, call)
        return lambda _: self._generate(stub, generation)

    async def _open_key(self) -> None:
        opened = await self._keys.open(name=next(self._key_names), origin=self._origin, caller_token=self._token)
        if isinstance(opened, GatehouseError):
            raise opened

    async def _generate(self, stub: Any, generation: generation_pb2.Generation) -> None:
        answer = await stub.Generate(
            pb.GenerateRequest(generation=generation), metadata=self._metadata, timeout=_CALL_TIMEOUT_S
        )
        if not answer.message.parts[0].text or not answer.outcome.usage.output_tokens:
            raise ValueError("an answer without text or usage")

    async def _stream(self, stub: Any, generation: generation_pb2.Generation, call: Call) -> None:
        completed = False
        async for event in stub.StreamGenerate(
            pb.StreamGenerateRequest(generation=generation), metadata=self._metadata, timeout=_CALL_TIMEOUT_S
        ):
            kind = event.WhichOneof("event")
            if kind == "text_delta":
                call.event()
            completed = kind == "completed"
        if not completed:
            raise ValueError("a stream without an end")

    async def _direct(self, body: bytes) -> None:
        async with self._http.post(self._url, data=body, headers=self._headers) as response:
            response.raise_for_status()
            if not orjson.loads(await response.read())["choices"][0]["message"]["content"]:
                raise ValueError("an answer without text")

    async def _direct_stream(self, body: bytes, call: Call) -> None:
        async with self._http.post(self._url, data=body, headers=self._headers) as response:
            response.raise_for_status()
            async for line in response.content:
                if line.startswith(b"data: ") and not line.startswith(_DONE, 6):
                    choices = orjson.loads(line[6:])["choices"]
                    if choices and choices[0]["delta"].get("content"):
                        call.event()


async def measure(call_once: Callable[[Call], Awaitable[None]], order: Order) -> dict[str, float]:
    """Carry out `order`; raises what the first failed call raised."""
    calls: list[Call] = []
    began = time.perf_counter()
    end = began + order.seconds

    async def worker() -> None:
        while (now := time.perf_counter()) < end:
            call = Call(now)
            await call_once(call)
            call.ended = time.perf_counter()
            calls.append(call)

    async with asyncio.timeout(order.seconds + 2 * _CALL_TIMEOUT_S), asyncio.TaskGroup() as group:
        for _ in range(order.in_flight):
            group.create_task(worker())
    wall_s = max(call.ended for call in calls) - began
    took = [call.ended - call.began for call in calls]
    figures = {
        "calls": len(calls),
        "wall_s": wall_s,
        "calls_per_s": len(calls) / wall_s,
        "p50_ms": percentile(took, 50) * 1000,
        "p90_ms": percentile(took, 90) * 1000,
        "p99_ms": percentile(took, 99) * 1000,
    }
    if order.stream:
        first = [call.first - call.began for call in calls]
        figures |= {
            "events": sum(call.events for call in calls),
            "first_token_p50_ms": percentile(first, 50) * 1000,
            "first_token_p90_ms": percentile(first, 90) * 1000,
            "ms_per_event": statistics.median((call.last - call.first) / (call.events - 1) for call in calls) * 1000,
        }
    return figures


def percentile(values: Sequence[float], percent: int) -> float:
    """The smallest value that `percent` per cent of `values` do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    targets = Targets(**orjson.loads(await loop.run_in_executor(None, sys.stdin.buffer.readline)))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        callers = Callers(targets, http)
        gc.collect()
        gc.freeze()
        while line := await loop.run_in_executor(None, sys.stdin.buffer.readline):
            order = Order(**orjson.loads(line))
            try:
                answer: dict[str, object] = dict(await measure(callers.caller(order), order))
            except ExceptionGroup as group:
                answer = {"failed": "; ".join(sorted({_describe(error) for error in group.exceptions}))}
            sys.stdout.buffer.write(orjson.dumps(answer, option=orjson.OPT_APPEND_NEWLINE))
            sys.stdout.buffer.flush()
        await callers.aclose()


def _describe(error: Exception) -> str:
    if isinstance(error, grpc.aio.AioRpcError):
        return f"{error.code().name}: {error.details()}"
    return f"{type(error).__name__}: {error}"


def to_line(message: Targets | Order) -> bytes:
    """As the load generator reads it."""
    return orjson.dumps(asdict(message), option=orjson.OPT_APPEND_NEWLINE)


if __name__ == "__main__":
    uvloop.run(_serve())
