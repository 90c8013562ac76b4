"""The bare relay: the least a gRPC gateway can do, and so the yardstick for what Gatehouse costs.

It takes the same `Generate` call over TLS, forwards it to the upstream with the same libraries (grpc.aio, uvloop,
aiohttp, orjson) and answers with the same messages. No caller is checked, no key is opened, nothing is accounted,
nothing is retried, and it has no interceptors. Started by the benchmark as a process of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import signal
import sys
from pathlib import Path

import aiohttp
import grpc
import orjson
import uvloop
from gatehouse.router.v1 import generation_pb2, message_pb2
from gatehouse.router.v1 import generation_service_pb2 as pb
from yarl import URL

READY = "bare relay serving"
_SERVICE = "gatehouse.router.v1.GenerationService"
_ROLES = {
    message_pb2.ROLE_SYSTEM: "system",
    message_pb2.ROLE_USER: "user",
    message_pb2.ROLE_ASSISTANT: "assistant",
}


class BareRelay:
    """Forwards text messages to an OpenAI-compatible server; whole answers only."""

    def __init__(self, http: aiohttp.ClientSession, *, url: str, model: str, api_key: str) -> None:
        self._http = http
        self._url = URL(f"{url}/v1/chat/completions")
        self._model = model
        self._headers = {"Content-Type": "application/json", "Authorization": f"Bearer {api_key}"}

    async def generate(self, request: pb.GenerateRequest, _: object) -> pb.GenerateResponse:
        """`Generate` of the proto."""
        body = orjson.dumps(
            {
                "model": self._model,
                "messages": [
                    {"role": _ROLES[message.role], "content": "".join(part.text for part in message.parts)}
                    for message in request.generation.messages
                ],
            }
        )
        async with self._http.post(self._url, data=body, headers=self._headers) as response:
            response.raise_for_status()
            answer = orjson.loads(await response.read())
        choice, usage = answer["choices"][0], answer["usage"]
        return pb.GenerateResponse(
            message=message_pb2.Message(
                role=message_pb2.ROLE_ASSISTANT, parts=[message_pb2.Part(text=choice["message"]["content"])]
            ),
            outcome=generation_pb2.Outcome(
                finish_reason=generation_pb2.FINISH_REASON_STOP,
                raw_finish_reason=choice["finish_reason"],
                usage=generation_pb2.TokenUsage(
                    input_tokens=usage["prompt_tokens"], output_tokens=usage["completion_tokens"]
                ),
            ),
        )


async def _serve(arguments: argparse.Namespace) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    # The router's own session settings: whatever they save, the relay saves too.
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=30),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
    ) as http:
        server = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
        relay = BareRelay(http, url=arguments.upstream, model=arguments.model, api_key=arguments.api_key)
        handler = grpc.unary_unary_rpc_method_handler(
            relay.generate,
            request_deserializer=pb.GenerateRequest.FromString,
            response_serializer=pb.GenerateResponse.SerializeToString,
        )
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE, {"Generate": handler}),))
        pair = (arguments.tls_key.read_bytes(), arguments.tls_cert.read_bytes())
        server.add_secure_port(f"127.0.0.1:{arguments.port}", grpc.ssl_server_credentials([pair]))
        await server.start()
        gc.collect()
        gc.freeze()
        sys.stdout.write(f"{READY}\n")
        sys.stdout.flush()
        await stopping.wait()
        await server.stop(grace=1.0)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.bare_relay", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--tls-cert", type=Path, required=True)
    parser.add_argument("--tls-key", type=Path, required=True)
    parser.add_argument("--upstream", required=True, help="such as http://127.0.0.1:7120")
    parser.add_argument("--model", required=True)
    parser.add_argument("--api-key", required=True)
    return parser.parse_args()


if __name__ == "__main__":
    uvloop.run(_serve(_parse()))
