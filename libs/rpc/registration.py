"""Registers servicers with every method wrapped once in the interceptor chain."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Any, cast

import grpc
from google.protobuf.message import Message

from libs.rpc.chain import Call, Link, Method, Next, wrapped

Register = Callable[[Any, grpc.aio.Server], None]
"""A generated `add_<Service>Servicer_to_server`."""

# By (request is a stream, response is a stream).
_SHAPES: Mapping[tuple[bool, bool], Callable[..., grpc.RpcMethodHandler[Any, Any]]] = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, False): grpc.stream_unary_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}


class Registrar:
    """Stands in for the server while generated code registers its handlers, and wraps them.

    gRPC hands the wrapped methods bytes and takes bytes: messages are decoded and encoded inside the chain.
    """

    def __init__(
        self, links: tuple[tuple[str, Link], ...], *, longest_s: Mapping[str, float], default_s: float
    ) -> None:
        self._links = links
        self._longest_s = longest_s
        self._default_s = default_s
        self._handlers: list[grpc.GenericRpcHandler] = []
        self._under_way: set[asyncio.Task[object] | None] = set()
        self.services: list[str] = []
        """Full names of the services registered so far."""

    def add(self, register: Register, servicer: object) -> None:
        """Wrap and collect the methods of `servicer`."""
        register(servicer, cast(grpc.aio.Server, self))

    def install(self, server: grpc.aio.Server) -> None:
        """Hand everything collected to the real server."""
        server.add_generic_rpc_handlers(tuple(self._handlers))

    async def ended(self, timeout_s: float) -> None:
        """Wait until no call is under way, but not longer than `timeout_s`."""
        if tasks := {task for task in self._under_way if task is not None}:
            await asyncio.wait(tasks, timeout=timeout_s)

    def add_generic_rpc_handlers(self, generic_rpc_handlers: object) -> None:
        """Called by generated code with what the next method gets by name."""

    def add_registered_method_handlers(
        self, service: str, handlers: Mapping[str, grpc.RpcMethodHandler[Any, Any]]
    ) -> None:
        """Called by generated code."""
        self.services.append(service)
        wrapped_handlers = {name: self._wrap(f"/{service}/{name}", handler) for name, handler in handlers.items()}
        self._handlers.append(grpc.method_handlers_generic_handler(service, wrapped_handlers))

    def _wrap(self, name: str, handler: Any) -> grpc.RpcMethodHandler[Any, Any]:  # grpc's type declares no fields
        method = Method(
            name=name,
            longest_s=self._longest_s.get(name, self._default_s),
            decode=handler.request_deserializer,
            streams_requests=handler.request_streaming,
        )
        encode: Callable[[Message], bytes] = handler.response_serializer
        if handler.response_streaming:
            innermost = _writing(handler.stream_stream or handler.unary_stream, encode)
        else:
            innermost = _answering(handler.stream_unary or handler.unary_unary, encode)
        head = wrapped(self._links, innermost)
        under_way = self._under_way

        async def behaviour(request: object, context: grpc.aio.ServicerContext[Any, Any]) -> object:
            task = asyncio.current_task()
            under_way.add(task)
            try:
                return await head(Call(method=method, context=context, request=request))
            finally:
                under_way.discard(task)

        return _SHAPES[handler.request_streaming, handler.response_streaming](behaviour)


def _answering(
    servicer_method: Callable[[object, object], Awaitable[Message]], encode: Callable[[Message], bytes]
) -> Next:
    async def answer(call: Call) -> object:
        return encode(await servicer_method(call.request, call.context))

    return answer


def _writing(
    servicer_method: Callable[[object, object], AsyncIterator[Message]], encode: Callable[[Message], bytes]
) -> Next:
    async def write_all(call: Call) -> object:
        write = cast(Any, call.context).write
        # Closed here, in the call's own task, whatever ends the call: cleanup never waits for a garbage collector.
        async with aclosing(cast(Any, servicer_method(call.request, call.context))) as events:
            async for event in events:
                await write(encode(event))
        return None

    return write_all
