"""The async client: as `gatehouse.client`, for asyncio."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar, Unpack

import grpc

from gatehouse.answers import Answer, Event
from gatehouse.binding import named_after
from gatehouse.connection import DEFAULT_TIMEOUT_S, Connection, call_metadata, serialize
from gatehouse.operations import audit, generation, key_maintenance, keys, models, providers, quotas, usage
from gatehouse.operations.generation import GenerationOptions
from gatehouse.operations.operation import Listing, Operation, Page, Stream
from gatehouse.profile import load_profile
from gatehouse.router.v1.generation_service_pb2 import ExplainRouteResponse
from gatehouse.status import error_from
from gatehouse.tokens import DEFAULT_ROLES, DEFAULT_TENANT, DEFAULT_USER, default_token

P = ParamSpec("P")
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


class _Resource:
    def __init__(self, sender: AsyncSender) -> None:
        self._sender = sender


def _call(build: Callable[P, Operation[T]]) -> Callable[Concatenate[_Resource, P], Coroutine[Any, Any, T]]:
    async def method(self: _Resource, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._sender.send(build(*args, **kwargs))

    return named_after(build, method, returns="{}")


def _pages(build: Callable[P, Listing[T]]) -> Callable[Concatenate[_Resource, P], AsyncIterator[T]]:
    def method(self: _Resource, /, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[T]:
        return self._sender.pages(build(*args, **kwargs))

    return named_after(build, method, returns="AsyncIterator[{}]")


def _items(build: Callable[P, Stream[T]]) -> Callable[Concatenate[_Resource, P], AsyncGenerator[T, None]]:
    def method(self: _Resource, /, *args: P.args, **kwargs: P.kwargs) -> AsyncGenerator[T, None]:
        return self._sender.items(build(*args, **kwargs))

    return named_after(build, method, returns="AsyncGenerator[{}, None]")


class AsyncKeys(_Resource):
    """Provider keys. Their material goes in and never comes out."""

    create = _call(keys.create)
    get = _call(keys.get)
    list = _pages(keys.list_)
    update = _call(keys.update)
    rotate = _call(keys.rotate)
    rollback = _call(keys.rollback)
    disable = _call(keys.disable)
    enable = _call(keys.enable)
    destroy_version = _call(keys.destroy_version)
    delete = _call(keys.delete)
    notifications = _pages(keys.notifications)
    rewrap = _call(key_maintenance.rewrap)
    rewrap_progress = _call(key_maintenance.rewrap_progress)


class AsyncAudit(_Resource):
    """Who did what to keys, and who used them."""

    list = _pages(audit.list_)
    export = _items(audit.export)
    verify = _call(audit.verify)
    key_use = _pages(audit.key_use)


class AsyncProviders(_Resource):
    """Where calls go, with which key."""

    create = _call(providers.create)
    get = _call(providers.get)
    list = _pages(providers.list_)
    update = _call(providers.update)
    delete = _call(providers.delete)
    types = _call(providers.types)


class AsyncModels(_Resource):
    """The models of providers."""

    create = _call(models.create)
    get = _call(models.get)
    list = _pages(models.list_)
    update = _call(models.update)
    delete = _call(models.delete)


class AsyncUsage(_Resource):
    """The ledger and its sums."""

    records = _pages(usage.records)
    stats = _call(usage.stats)


class AsyncQuotas(_Resource):
    """Limits of a tenant."""

    create = _call(quotas.create)
    get = _call(quotas.get)
    list = _pages(quotas.list_)
    update = _call(quotas.update)
    delete = _call(quotas.delete)
    state = _call(quotas.state)


class AsyncClient:
    """As `gatehouse.Client`, for one asyncio event loop; `token` may also be an async callable."""

    def __init__(
        self,
        *,
        endpoints: str | Mapping[str, str],
        ca: str | Path | bytes | None = None,
        token: AsyncTokenSource = None,
        timeout: float = DEFAULT_TIMEOUT_S,
    ) -> None:
        self._sender = AsyncSender(Connection.to(endpoints, ca, timeout), token)
        self.keys = AsyncKeys(self._sender)
        self.audit = AsyncAudit(self._sender)
        self.providers = AsyncProviders(self._sender)
        self.models = AsyncModels(self._sender)
        self.usage = AsyncUsage(self._sender)
        self.quotas = AsyncQuotas(self._sender)

    @classmethod
    def from_profile(
        cls,
        path: str | Path | None = None,
        *,
        token: AsyncTokenSource = None,
        tenant: str = DEFAULT_TENANT,
        user: str = DEFAULT_USER,
        roles: Sequence[str] = DEFAULT_ROLES,
        timeout: float = DEFAULT_TIMEOUT_S,
    ) -> Self:
        """As `Client.from_profile`."""
        profile = load_profile(path)
        token = token or default_token(profile, tenant=tenant, user=user, roles=roles)
        return cls(endpoints=profile.endpoints, ca=profile.ca, token=token, timeout=timeout)

    async def generate(self, prompt: str | None = None, /, **options: Unpack[GenerationOptions]) -> Answer:
        """Call a model and wait for its whole answer."""
        return await self._sender.send(generation.generate(prompt, **options))

    def stream(self, prompt: str | None = None, /, **options: Unpack[GenerationOptions]) -> AsyncGenerator[Event, None]:
        """Call a model and take its answer as it comes. The call begins with the first event asked for.

        async for event in client.stream("Why is the sky blue?"):
            print(event.text, end="")

        Closing the generator cancels the call (`contextlib.aclosing` does it when leaving the block); what was used
        until then is charged.
        """
        return self._sender.stream(generation.stream(prompt, **options))

    async def explain(self, prompt: str | None = None, /, **options: Unpack[GenerationOptions]) -> ExplainRouteResponse:
        """Which targets such a call would try, in order, and why the others are left out. Nothing is called."""
        return await self._sender.send(generation.explain(prompt, **options))

    async def close(self) -> None:
        """Close the connections. The client cannot be used afterwards."""
        await self._sender.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
