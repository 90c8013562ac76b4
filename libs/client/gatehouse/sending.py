"""Sends operations, and waits for their answers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from typing import Any, TypeVar

import grpc

from gatehouse.connection import Connection, call_metadata, serialize
from gatehouse.operations.operation import Listing, Operation, Page, Stream
from gatehouse.status import error_from

T = TypeVar("T")

TokenSource = str | Callable[[], str] | None
"""A token, or what gives one; it is asked for each call, so it can renew."""


class Sender:
    """Sends operations over one channel per endpoint, opened when first needed. Thread-safe."""

    def __init__(self, connection: Connection, token: TokenSource) -> None:
        self._connection = connection
        self._token = token
        self._lock = threading.Lock()
        self._channels: dict[str, grpc.Channel] = {}

    def send(self, operation: Operation[T]) -> T:
        """Make one call. Raises GatehouseError when it fails."""
        target, timeout = self._where(operation)
        method = self._channel(target).unary_unary(
            operation.method, request_serializer=serialize, response_deserializer=operation.response.FromString
        )
        metadata = self._metadata(operation)
        try:
            return operation.pick(method(operation.request, timeout=timeout, metadata=metadata))
        except grpc.RpcError as error:
            raise error_from(error, service=operation.service, target=target, timeout=timeout) from error

    def stream(self, operation: Operation[T]) -> Generator[T, None, None]:
        """Make one streamed call when the first item is asked for; closing the generator cancels it."""
        target, timeout = self._where(operation)
        method = self._channel(target).unary_stream(
            operation.method, request_serializer=serialize, response_deserializer=operation.response.FromString
        )
        call = method(operation.request, timeout=timeout, metadata=self._metadata(operation))
        try:
            for response in call:
                yield operation.pick(response)
        except grpc.RpcError as error:
            raise error_from(error, service=operation.service, target=target, timeout=timeout) from error
        finally:
            call.cancel()

    def pages(self, listing: Listing[T]) -> Iterator[T]:
        """All items of a list, page after page as they are asked for."""
        following: Operation[Page[T]] | None = listing.first
        while following is not None:
            page = self.send(following)
            yield from page.items
            following = listing.after(page)

    def items(self, stream: Stream[T]) -> Generator[T, None, None]:
        """All items of a stream as they come; closing the generator cancels the call."""
        with closing(self.stream(stream.parts)) as parts:
            for part in parts:
                yield from part

    def close(self) -> None:
        """Close every channel; calls under way fail."""
        with self._lock:
            for channel in self._channels.values():
                channel.close()

    def _where(self, operation: Operation[Any]) -> tuple[str, float]:
        timeout = self._connection.timeout if operation.timeout is None else operation.timeout
        return self._connection.target(operation.service), timeout

    def _metadata(self, operation: Operation[Any]) -> tuple[tuple[str, str], ...]:
        token = self._token() if callable(self._token) else self._token
        return call_metadata(token, operation.revision)

    def _channel(self, target: str) -> grpc.Channel:
        with self._lock:
            if target not in self._channels:
                self._channels[target] = grpc.secure_channel(
                    target, self._connection.credentials(), options=self._connection.options(target)
                )
            return self._channels[target]
