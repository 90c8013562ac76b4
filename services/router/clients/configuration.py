"""provider_config as the router sees it: snapshots and changes pushed over one stream, held in memory."""

from __future__ import annotations

import asyncio
import random
import time
from typing import assert_never, cast

import grpc
from gatehouse.providerconfig.v1 import snapshot_service_pb2 as pb
from gatehouse.providerconfig.v1.snapshot_service_pb2_grpc import SnapshotServiceStub

from libs.core.errors import GatehouseError, Unavailable
from libs.rpc.status import from_rpc_error
from libs.telemetry import names
from libs.telemetry.logs import get_logger
from services.router.clients.held_scopes import PLATFORM, HeldScopes, Taken
from services.router.domain.configuration import Configuration
from services.router.domain.errors import Reason

_log = get_logger(__name__)
# A heartbeat comes every second; three missed ones mean the stream is dead even if its connection is not.
_SILENCE_S = 3.5
_RECONNECT_S = 0.2
# How often it is said that what is held grows old.
_STALE_S = 60.0
# 10,000 idle tenants are gone after a minute and a half; each sweep takes a fraction of a millisecond.
_SWEEP_S = 5.0
_SWEPT_TOGETHER = 500

_Stream = grpc.aio.StreamStreamCall[pb.WatchSnapshotsRequest, pb.WatchSnapshotsResponse]


class ConfigurationWatcher:
    """A `ports.ConfigSource`: what it holds stays usable while provider_config is away.

    `run` keeps the stream up until it is cancelled. A tenant is watched from the first call that needs it until it had
    none for `idle_s`. `patience_s` bounds every wait. For use from one event loop.
    """

    def __init__(self, channel: grpc.aio.Channel, *, patience_s: float, idle_s: float) -> None:
        self._snapshots = SnapshotServiceStub(channel)
        self._patience_s = patience_s
        self._idle_s = idle_s
        self._scopes = HeldScopes(time.monotonic())
        self._asking = asyncio.Event()
        # Who waits for a tenant, and for which revision of it.
        self._waiting: dict[str, dict[asyncio.Future[None], int]] = {}
        self._connected = False
        self._lost = False
        self._current_at = self._told_at = time.monotonic()

    @property
    def connected(self) -> bool:
        """Whether provider_config tells of changes just now."""
        return self._connected

    @property
    def revision(self) -> int:
        """The revision up to which everything that is watched is held; 0 before anything arrived."""
        return self._scopes.revision

    @property
    def tenants(self) -> int:
        """How many tenants are held or asked for."""
        return len(self._scopes)

    def age_s(self) -> float:
        """Seconds since what is held was last known to be current; before it ever was, since the start."""
        return time.monotonic() - self._current_at

    def held(self, tenant: str) -> Configuration | None:
        """What is held of a tenant now."""
        return self._scopes.configuration(tenant)

    async def arrived(self, tenant: str, *, within_s: float) -> Configuration:
        """Wait until the tenant's configuration is held. Raises Unavailable `CONFIG_UNAVAILABLE`."""
        configuration = await self._wait(tenant, -1, within_s)
        if configuration is None:
            raise Unavailable(
                Reason.CONFIG_UNAVAILABLE,
                "the tenant's configuration has not arrived yet; is provider_config running?",
                metadata={"tenant": f"tenants/{tenant}"},
                retry_delay_s=1.0,
            )
        return configuration

    async def reached(self, tenant: str, revision: int, *, within_s: float) -> Configuration:
        """Wait until everything up to `revision` is held. Raises Unavailable `REVISION_NOT_REACHED`."""
        configuration = await self._wait(tenant, revision, within_s)
        if configuration is None:
            raise Unavailable(
                Reason.REVISION_NOT_REACHED,
                f"configuration revision {revision} has not arrived in time; is it one a change returned?",
                metadata={"revision": str(revision)},
                retry_delay_s=1.0,
            )
        return configuration

    async def ready(self) -> None:
        """Raises Unavailable until the platform's configuration has arrived once."""
        if not self._scopes.has_platform:
            raise Unavailable(Reason.CONFIG_UNAVAILABLE, "no configuration has arrived yet")

    async def run(self) -> None:
        """Keep the stream up and forget idle tenants, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_up())
            tasks.create_task(self._sweep())

    def sweep(self, now: float) -> None:
        """Forget some of the tenants that are idle; `now` is of the monotonic clock."""
        self._scopes.now = now
        if self._scopes.forget_idle(self._idle_s, at_most=_SWEPT_TOGETHER):
            self._asking.set()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_S)
            self.sweep(time.monotonic())

    async def _keep_up(self) -> None:
        while True:
            try:
                await self._follow()
            except Exception as error:  # noqa: BLE001 - configuration must go on arriving whatever failed once
                self._broken(error)
            # Routers that lost the same service must not all come back at the same moment.
            await asyncio.sleep(_RECONNECT_S * random.uniform(0.5, 1.5))  # noqa: S311 - spreads, hides nothing

    def _broken(self, error: Exception) -> None:
        self._connected = False
        # Once for each loss, not for each try to reconnect.
        if not self._lost:
            self._lost = True
            reason = error.reason if isinstance(error, GatehouseError) else type(error).__name__
            _log.warning(names.EVENT_DEPENDENCY_LOST, dependency="provider-config", reason=reason)
        now = time.monotonic()
        if now - max(self._told_at, self._current_at) >= _STALE_S:
            self._told_at = now
            _log.warning(names.EVENT_CONFIG_STALE, age_s=round(self.age_s()), revision=self.revision)

    async def _follow(self) -> None:
        stream = self._snapshots.WatchSnapshots()
        self._scopes.begin_stream()
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
                self._take(cast(pb.WatchSnapshotsResponse, message))
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error, service="provider-config") from None
        finally:
            asking.cancel()
            stream.cancel()

    async def _ask(self, stream: _Stream) -> None:
        while True:
            await self._asking.wait()
            self._asking.clear()
            while (request := self._scopes.next_request()) is not None:
                try:
                    await stream.write(request)
                except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
                    # The reader sees the same end and starts over.
                    return

    async def _wait(self, tenant: str, revision: int, within_s: float) -> Configuration | None:
        """The tenant's configuration once it holds `revision`; None when that takes too long."""
        if self._scopes.want(tenant):
            self._asking.set()
        if not self._scopes.has_reached(tenant, revision):
            arriving: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            waiting = self._waiting.setdefault(tenant, {})
            waiting[arriving] = revision
            try:
                async with asyncio.timeout(min(self._patience_s, within_s)):
                    await arriving
            except TimeoutError:
                return None
            finally:
                waiting.pop(arriving, None)
                if not waiting and self._waiting.get(tenant) is waiting:
                    del self._waiting[tenant]
        return self._scopes.configuration(tenant)

    def _take(self, message: pb.WatchSnapshotsResponse) -> None:
        if not self._connected:
            self._connected = True
            if self._lost:
                self._lost = False
                _log.info(names.EVENT_DEPENDENCY_BACK, dependency="provider-config")
        match message.WhichOneof("news"):
            case "snapshot":
                self._hold(message.snapshot)
            case "delta":
                self._hold(message.delta)
            case "heartbeat":
                self._scopes.take_heartbeat(message.heartbeat)
                if self._scopes.is_current:
                    self._current_at = time.monotonic()
                self._tell(*self._waiting)
            case None:
                # News of a later version: a sign of life.
                pass
            case other:
                assert_never(other)

    def _hold(self, news: pb.Snapshot | pb.SnapshotDelta) -> None:
        try:
            taken = self._scopes.take(news)
        except Exception as error:  # noqa: BLE001 - what cannot be read must not end the stream for all other scopes
            reason = error.reason if isinstance(error, GatehouseError) else type(error).__name__
            _log.error(names.EVENT_CONFIG_UNREADABLE, scope=news.scope, revision=news.revision, reason=reason)
            return
        if taken is Taken.ASKED_ANEW:
            self._asking.set()
        elif taken is Taken.HELD:
            _log.debug(names.EVENT_CONFIG_CHANGED, scope=news.scope, revision=news.revision)
            self._tell(*(self._waiting if news.scope == PLATFORM else (news.scope.removeprefix("tenants/"),)))

    def _tell(self, *tenants: str) -> None:
        """Wake those whose wait for one of `tenants` is over."""
        for tenant in tenants:
            for arriving, revision in self._waiting.get(tenant, {}).items():
                if not arriving.done() and self._scopes.has_reached(tenant, revision):
                    arriving.set_result(None)
