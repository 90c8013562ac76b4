"""Servicers for every service of the API that only note what reached them."""

from __future__ import annotations

import importlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from libs.rpc.registration import Register
from tests.contract.api.descriptors import services

Ran = list[tuple[str, Message]]
"""The methods that ran, and what with."""


def recording_servicers(ran: Ran) -> list[tuple[Register, object]]:
    """A servicer for every service, and what registers it."""
    return [(_register_of(service), _servicer(service, ran)) for service in services()]


def _register_of(service: ServiceDescriptor) -> Register:
    module = importlib.import_module(service.file.name.removesuffix(".proto").replace("/", ".") + "_pb2_grpc")
    register: Register = getattr(module, f"add_{service.name}Servicer_to_server")
    return register


def _servicer(service: ServiceDescriptor, ran: Ran) -> object:
    methods = {method.name: staticmethod(_method(service, method, ran)) for method in service.methods}
    return type(f"Recording{service.name}", (), methods)()


def _method(service: ServiceDescriptor, method: MethodDescriptor, ran: Ran) -> Callable[[Any, Any], object]:
    name = f"/{service.full_name}/{method.name}"
    response = GetMessageClass(method.output_type)

    async def note(request: Any) -> None:
        if method.client_streaming:
            async for each in request:
                ran.append((name, each))
        else:
            ran.append((name, request))

    async def answer(request: Any, context: Any) -> Message:
        await note(request)
        return response()

    async def stream(request: Any, context: Any) -> AsyncIterator[Message]:
        await note(request)
        yield response()

    handler: Callable[[Any, Any], Awaitable[Message] | AsyncIterator[Message]]
    handler = stream if method.server_streaming else answer
    return handler
