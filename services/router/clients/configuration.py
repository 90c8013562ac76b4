"""provider_config as the router sees it: snapshots pushed over one stream, held in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import cast

import grpc
from gatehouse.providerconfig.v1 import model_pb2, provider_pb2
from gatehouse.providerconfig.v1 import snapshot_service_pb2 as pb
from gatehouse.providerconfig.v1.snapshot_service_pb2_grpc import SnapshotServiceStub

from libs.core.errors import GatehouseError, Unavailable
from libs.core.money import PicoUsdPerToken, TokenPrices
from libs.core.resource_names import ModelName, ProviderName
from libs.core.validation import origin_of
from libs.rpc.status import from_rpc_error
from libs.telemetry import names
from libs.telemetry.logs import get_logger
from services.router.domain.configuration import Capabilities, Configuration, Model, Provider, Snapshot
from services.router.domain.errors import Reason

PLATFORM = "platform"

_log = get_logger(__name__)
# A heartbeat comes every second; three missed ones mean the stream is dead even if its connection is not.
_SILENCE_S = 3.5
_RECONNECT_S = 0.2
_MAX_SCOPES_PER_MESSAGE = 1000


class ConfigurationWatcher:
    """A `ports.ConfigSource`: what it holds stays usable while provider_config is away.

    `run` keeps the stream up until it is cancelled. A tenant is watched from the first call that needs it.
    """

    def __init__(self, channel: grpc.aio.Channel, *, patience_s: float) -> None:
        self._snapshots = SnapshotServiceStub(channel)
        self._patience_s = patience_s
        self._held: dict[str, Snapshot] = {}
        self._configurations: dict[str, Configuration] = {}
        self._wanted: dict[str, None] = {PLATFORM: None}
        self._unasked: set[str] = set()
        self._awaited: set[str] = set()
        self._asking = asyncio.Event()
        self._news = asyncio.Condition()
        self._revision = -1
        self._connected = True

    def held(self, tenant: str) -> Configuration | None:
        """What is held of a tenant now."""
        return self._configurations.get(tenant)

    async def arrived(self, tenant: str, *, within_s: float) -> Configuration:
        """Wait until the tenant's configuration is held. Raises Unavailable `CONFIG_UNAVAILABLE`."""
        self._watch(tenant)
        if not await self._wait_for(lambda: tenant in self._configurations, within_s):
            raise Unavailable(
                Reason.CONFIG_UNAVAILABLE,
                "the tenant's configuration has not arrived yet; is provider_config running?",
                metadata={"tenant": f"tenants/{tenant}"},
                retry_delay_s=1.0,
            )
        return self._configurations[tenant]

    async def reached(self, tenant: str, revision: int, *, within_s: float) -> Configuration:
        """Wait until everything up to `revision` is held. Raises Unavailable `REVISION_NOT_REACHED`."""
        self._watch(tenant)
        if not await self._wait_for(lambda: tenant in self._configurations and self._revision >= revision, within_s):
            raise Unavailable(
                Reason.REVISION_NOT_REACHED,
                f"configuration revision {revision} has not arrived in time; is it one a change returned?",
                metadata={"revision": str(revision)},
                retry_delay_s=1.0,
            )
        return self._configurations[tenant]

    async def ready(self) -> None:
        """Raises Unavailable until the platform's configuration has arrived once."""
        if PLATFORM not in self._held:
            raise Unavailable(Reason.CONFIG_UNAVAILABLE, "no configuration has arrived yet")

    async def run(self) -> None:
        """Keep the stream up until cancelled."""
        while True:
            try:
                await self._follow()
            except Exception as error:  # noqa: BLE001 - configuration must go on arriving whatever failed once
                # Once for each loss, not for each try to reconnect.
                if self._connected:
                    reason = error.reason if isinstance(error, GatehouseError) else type(error).__name__
                    _log.warning(names.EVENT_DEPENDENCY_LOST, dependency="provider-config", reason=reason)
                self._connected = False
            await asyncio.sleep(_RECONNECT_S)

    async def _follow(self) -> None:
        stream = self._snapshots.WatchSnapshots()
        self._unasked = set(self._wanted)
        # Until each of these has come again, what is held of it may be older than a heartbeat says.
        self._awaited = set(self._wanted)
        self._asking.set()
        asking = asyncio.create_task(self._ask(stream))
        # Without it new tenants would never be asked for: the reader sees the end and starts over.
        asking.add_done_callback(lambda _: stream.cancel())
        try:
            while True:
                try:
                    async with asyncio.timeout(_SILENCE_S):
                        message = await stream.read()
                except TimeoutError:
                    raise Unavailable("SERVICE_UNREACHABLE", "provider-config has fallen silent") from None
                if message is grpc.aio.EOF:
                    raise Unavailable("SERVICE_UNREACHABLE", "provider-config ended the stream")
                await self._take(cast(pb.WatchSnapshotsResponse, message))
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error, service="provider-config") from None
        finally:
            asking.cancel()
            stream.cancel()

    async def _ask(
        self, stream: grpc.aio.StreamStreamCall[pb.WatchSnapshotsRequest, pb.WatchSnapshotsResponse]
    ) -> None:
        while True:
            await self._asking.wait()
            self._asking.clear()
            scopes, self._unasked = sorted(self._unasked), set()
            for start in range(0, len(scopes), _MAX_SCOPES_PER_MESSAGE):
                part = scopes[start : start + _MAX_SCOPES_PER_MESSAGE]
                try:
                    await stream.write(pb.WatchSnapshotsRequest(watch=part))
                except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
                    # The reader sees the same end and starts over.
                    return

    def _watch(self, tenant: str) -> None:
        scope = f"tenants/{tenant}"
        if scope not in self._wanted:
            self._awaited.add(scope)
            self._wanted[scope] = None
            self._unasked.add(scope)
            self._asking.set()

    async def _wait_for(self, condition: Callable[[], bool], within_s: float) -> bool:
        try:
            async with asyncio.timeout(min(self._patience_s, within_s)), self._news:
                await self._news.wait_for(condition)
        except TimeoutError:
            return False
        return True

    async def _take(self, message: pb.WatchSnapshotsResponse) -> None:
        self._connected = True
        if message.HasField("snapshot"):
            try:
                snapshot = _snapshot(message.snapshot)
            except GatehouseError as error:
                # One scope that cannot be read keeps what it had; it must not end the stream for all the others.
                _log.error(names.EVENT_CONFIG_CHANGED, scope=message.snapshot.scope, reason=error.reason)
                self._awaited.discard(message.snapshot.scope)
                return
            self._held[snapshot.scope] = snapshot
            self._rebuild(snapshot.scope)
            _log.debug(names.EVENT_CONFIG_CHANGED, scope=snapshot.scope, revision=snapshot.revision)
            self._awaited.discard(snapshot.scope)
        elif not self._awaited:
            self._revision = max(self._revision, message.heartbeat.revision)
        async with self._news:
            self._news.notify_all()

    def _rebuild(self, scope: str) -> None:
        platform = self._held.get(PLATFORM)
        if platform is None:
            return
        scopes = [each for each in self._held if each != PLATFORM] if scope == PLATFORM else [scope]
        for each in scopes:
            tenant = each.removeprefix("tenants/")
            self._configurations[tenant] = Configuration(tenant=self._held[each], platform=platform)


def _snapshot(message: pb.Snapshot) -> Snapshot:
    return Snapshot(
        scope=message.scope,
        revision=message.revision,
        providers=tuple(_provider(each.provider, each.models) for each in message.providers),
    )


def _provider(message: provider_pb2.Provider, models: Iterable[model_pb2.Model]) -> Provider:
    name = ProviderName.parse(message.name)
    parsed = [_model(each) for each in models]
    return Provider(
        name=message.name,
        id=name.provider,
        owner=name.owner,
        type=message.type,
        base_url=message.base_url,
        origin=origin_of(message.base_url) or "",
        key=message.key,
        default_model=message.default_model,
        active=message.active,
        is_default=message.is_default,
        priority=message.priority,
        models={model.id: model for model in parsed},
    )


def _model(message: model_pb2.Model) -> Model:
    can = message.capabilities
    return Model(
        id=ModelName.parse(message.name).model,
        provider_model_id=message.provider_model_id,
        enabled=message.enabled,
        context_tokens=message.context_tokens,
        max_output_tokens=message.max_output_tokens,
        capabilities=Capabilities(
            streaming=can.streaming, tools=can.tools, json_schema=can.json_schema, images=can.images
        ),
        price=_prices(message.price) if message.HasField("price") else None,
    )


def _prices(price: model_pb2.ModelPrice) -> TokenPrices:
    """Micro-USD per million tokens are pico-USD per token: the same numbers."""
    uncached, output = price.input_micro_usd_per_million, price.output_micro_usd_per_million

    def given(field: str, otherwise: int) -> PicoUsdPerToken:
        return PicoUsdPerToken(getattr(price, field) if price.HasField(field) else otherwise)  # type: ignore[arg-type]

    return TokenPrices(
        input=PicoUsdPerToken(uncached),
        cache_read=given("cache_read_micro_usd_per_million", uncached),
        cache_write=given("cache_write_micro_usd_per_million", uncached),
        output=PicoUsdPerToken(output),
        reasoning=given("reasoning_micro_usd_per_million", output),
    )
