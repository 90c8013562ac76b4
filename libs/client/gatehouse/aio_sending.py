"""Sends operations: as `gatehouse.sending`, for asyncio."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, TypeVar

import grpc

from gatehouse.connection import Connection, call_metadata, serialize
from gatehouse.operations.operation import Listing, Operation, Page, Stream
from gatehouse.status import error_from

T = TypeVar("T")

AsyncTokenSource = str | Callable[[], str | Awaitable[str]] | None
"""A token, or what gives one, awaited if need be; it is asked for each call, so it can renew."""


class AsyncSender:
    """Sends operations over one channel per endpoint, opened when first needed. For use from one event loop."""

    def __init__(self, connection: Connection, token: AsyncTokenSource) -> None:
        self._connection = connection
        self._token = token
        self._channels: dict[str, grpc.aio.Channel] = {}

    async def send(self, operation: Operation[T]) -> T:
        """Make one call. Raises GatehouseError when it fails."""
        target, timeout = self._where(operation)
        method = self._channel(target).unary_unary(
            operation.method, request_serializer=serialize, response_deserializer=operation.response.FromString
        )
        metadata = await self._metadata(operation)
        try:
            return operation.pick(await method(operation.request, timeout=timeout, metadata=metadata))
        except grpc.aio.AioRpcError as error:
            raise error_from(error, service=operation.service, target=target, timeout=timeout) from error

    async def stream(self, operation: Operation[T]) -> AsyncGenerator[T, None]:
        """Make one streamed call when the first item is asked for; closing the generator cancels it."""
        target, timeout = self._where(operation)
        method = self._channel(target).unary_stream(
            operation.method, request_serializer=serialize, response_deserializer=operation.response.FromString
        )
        call = method(operation.request, timeout=timeout, metadata=await self._metadata(operation))
        try:
            async for response in call:
                yield operation.pick(response)
        except grpc.aio.AioRpcError as error:
            raise error_from(error, service=operation.service, target=target, timeout=timeout) from error
        finally:
            call.cancel()

    async def pages(self, listing: Listing[T]) -> AsyncIterator[T]:
        """All items of a list, page after page as they are asked for."""
        following: Operation[Page[T]] | None = listing.first
        while following is not None:
            page = await self.send(following)
            for item in page.items:
                yield item
            following = listing.after(page)

    async def items(self, stream: Stream[T]) -> AsyncGenerator[T, None]:
        """All items of a stream as they come; closing the generator cancels the call."""
        async with aclosing(self.stream(stream.parts)) as parts:
            async for part in parts:
                for item in part:
                    yield item

    async def close(self) -> None:
        """Close every channel; calls under way fail."""
        for channel in self._channels.values():
            await channel.close()

    def _where(self, operation: Operation[Any]) -> tuple[str, float]:
        timeout = self._connection.timeout if operation.timeout is None else operation.timeout
        return self._connection.target(operation.service), timeout

    async def _metadata(self, operation: Operation[Any]) -> tuple[tuple[str, str], ...]:
        token = self._token() if callable(self._token) else self._token
        if token is not None and not isinstance(token, str):
            token = await token
        return call_metadata(token, operation.revision)

    def _channel(self, target: str) -> grpc.aio.Channel:
        if target not in self._channels:
            self._channels[target] = grpc.aio.secure_channel(
                target, self._connection.credentials(), options=self._connection.options(target)
            )
        return self._channels[target]
