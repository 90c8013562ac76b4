"""The sync client."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
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


class _Resource:
    def __init__(self, sender: Sender) -> None:
        self._sender = sender


def _call(build: Callable[P, Operation[T]]) -> Callable[Concatenate[_Resource, P], T]:
    def method(self: _Resource, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._sender.send(build(*args, **kwargs))

    return named_after(build, method, returns="{}")


def _pages(build: Callable[P, Listing[T]]) -> Callable[Concatenate[_Resource, P], Iterator[T]]:
    def method(self: _Resource, /, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        return self._sender.pages(build(*args, **kwargs))

    return named_after(build, method, returns="Iterator[{}]")


def _items(build: Callable[P, Stream[T]]) -> Callable[Concatenate[_Resource, P], Generator[T, None, None]]:
    def method(self: _Resource, /, *args: P.args, **kwargs: P.kwargs) -> Generator[T, None, None]:
        return self._sender.items(build(*args, **kwargs))

    return named_after(build, method, returns="Generator[{}, None, None]")


class Keys(_Resource):
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


class Audit(_Resource):
    """Who did what to keys, and who used them."""

    list = _pages(audit.list_)
    export = _items(audit.export)
    verify = _call(audit.verify)
    key_use = _pages(audit.key_use)


class Providers(_Resource):
    """Where calls go, with which key."""

    create = _call(providers.create)
    get = _call(providers.get)
    list = _pages(providers.list_)
    update = _call(providers.update)
    delete = _call(providers.delete)
    types = _call(providers.types)


class Models(_Resource):
    """The models of providers."""

    create = _call(models.create)
    get = _call(models.get)
    list = _pages(models.list_)
    update = _call(models.update)
    delete = _call(models.delete)


class Usage(_Resource):
    """The ledger and its sums."""

    records = _pages(usage.records)
    stats = _call(usage.stats)


class Quotas(_Resource):
    """Limits of a tenant."""

    create = _call(quotas.create)
    get = _call(quotas.get)
    list = _pages(quotas.list_)
    update = _call(quotas.update)
    delete = _call(quotas.delete)
    state = _call(quotas.state)


class Client:
    """Calls models through Gatehouse and manages what they need. Thread-safe; make one and keep it.

    `endpoints`: `host:port` by service (`router`, `key_vault`, `provider_config`, `usage_accounting`), or one for all.
    `ca`: a PEM file or its bytes; None trusts the system's authorities. `token`: a JWT, or a callable that is asked for
    one before each call. `timeout`: the seconds a management call gets; calls to models have their own.

    Every failed call raises a `GatehouseError`; a setup that cannot work raises ProfileError.
    """

    def __init__(
        self,
        *,
        endpoints: str | Mapping[str, str],
        ca: str | Path | bytes | None = None,
        token: TokenSource = None,
        timeout: float = DEFAULT_TIMEOUT_S,
    ) -> None:
        self._sender = Sender(Connection.to(endpoints, ca, timeout), token)
        self.keys = Keys(self._sender)
        self.audit = Audit(self._sender)
        self.providers = Providers(self._sender)
        self.models = Models(self._sender)
        self.usage = Usage(self._sender)
        self.quotas = Quotas(self._sender)

    @classmethod
    def from_profile(
        cls,
        path: str | Path | None = None,
        *,
        token: TokenSource = None,
        tenant: str = DEFAULT_TENANT,
        user: str = DEFAULT_USER,
        roles: Sequence[str] = DEFAULT_ROLES,
        timeout: float = DEFAULT_TIMEOUT_S,
    ) -> Self:
        """A client for the Gatehouse of a `client.json`: `path`, else $GATEHOUSE_PROFILE, else ./.gatehouse.

        The token is `token`, else $GATEHOUSE_TOKEN. Without either, and where the profile names the key of a
        development issuer, short-lived tokens are made for `user` of `tenant` with `roles`.
        """
        profile = load_profile(path)
        token = token or default_token(profile, tenant=tenant, user=user, roles=roles)
        return cls(endpoints=profile.endpoints, ca=profile.ca, token=token, timeout=timeout)

    def generate(self, prompt: str | None = None, /, **options: Unpack[GenerationOptions]) -> Answer:
        """Call a model and wait for its whole answer.

        client.generate("Why is the sky blue?", model="gpt-4o-mini", max_output_tokens=200).text
        """
        return self._sender.send(generation.generate(prompt, **options))

    def stream(
        self, prompt: str | None = None, /, **options: Unpack[GenerationOptions]
    ) -> Generator[Event, None, None]:
        """Call a model and take its answer as it comes. The call begins with the first event asked for.

        for event in client.stream("Why is the sky blue?"):
            print(event.text, end="")

        Leaving the loop or closing the generator cancels the call; what was used until then is charged.
        """
        return self._sender.stream(generation.stream(prompt, **options))

    def explain(self, prompt: str | None = None, /, **options: Unpack[GenerationOptions]) -> ExplainRouteResponse:
        """Which targets such a call would try, in order, and why the others are left out. Nothing is called."""
        return self._sender.send(generation.explain(prompt, **options))

    def close(self) -> None:
        """Close the connections. The client cannot be used afterwards."""
        self._sender.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
