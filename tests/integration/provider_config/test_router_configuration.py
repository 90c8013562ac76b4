"""provider_config and a router's configuration together: what people change is what calls are planned with."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from gatehouse.providerconfig.v1 import provider_pb2
from gatehouse.providerconfig.v1 import provider_service_pb2 as providers_pb
from gatehouse.providerconfig.v1 import snapshot_service_pb2 as pb
from gatehouse.providerconfig.v1.provider_service_pb2_grpc import ProviderServiceStub

from libs.core.errors import Unavailable
from libs.rpc.channels import open_channel
from services.router.clients.configuration import ConfigurationWatcher
from services.router.domain.configuration import Configuration
from tests.integration.provider_config.conftest import Replica, Stack
from tests.integration.provider_config.cut_wire import CutWire

_WITHIN_S = 1.0
_PATIENCE_S = 10.0


class Router(ConfigurationWatcher):
    """A router's configuration that counts what it is told."""

    told: Counter[str]

    def _take(self, message: pb.WatchSnapshotsResponse) -> None:
        self.told[message.WhichOneof("news") or ""] += 1
        super()._take(message)


class World:
    """Replicas of provider_config on one database, and a router that reaches them over a wire that can be cut."""

    def __init__(self, stack: Stack, replica: Replica, router: Router, wire: CutWire) -> None:
        self.stack = stack
        self.replica = replica
        self.router = router
        self.wire = wire

    async def create(self, name: str, parent: str = "tenants/acme", replica: Replica | None = None) -> int:
        """Create a provider; the revision of that."""
        stub: Any = ProviderServiceStub((replica or self.replica).public)
        request = providers_pb.CreateProviderRequest(
            parent=parent, provider_id=name, provider=provider_pb2.Provider(type="openai", key=f"{parent}/keys/prod")
        )
        operator = self.stack.token(None, "root", "super_admin")
        return int((await stub.CreateProvider(request, metadata=operator, timeout=10)).revision)

    async def loaded(self, *tenants: str) -> None:
        """Have calls of these tenants."""
        for tenant in tenants:
            await self.router.arrived(tenant, within_s=_PATIENCE_S)

    def held(self, tenant: str = "acme") -> list[str]:
        configuration = self.router.held(tenant)
        assert configuration is not None
        return ids(configuration)

    async def shows(self, name: str, tenant: str = "acme", within_s: float = _WITHIN_S) -> None:
        """Wait until the router plans the tenant's calls with the provider; how long that took at most is the test."""
        async with asyncio.timeout(within_s):
            while name not in self.held(tenant):
                await asyncio.sleep(0.005)

    async def is_connected(self) -> None:
        async with asyncio.timeout(_PATIENCE_S):
            while not self.router.connected or self.router.age_s() > 1:
                await asyncio.sleep(0.005)

    async def is_cut(self) -> None:
        await self.wire.cut()
        async with asyncio.timeout(_PATIENCE_S):
            while self.router.connected:
                await asyncio.sleep(0.005)


def ids(configuration: Configuration) -> list[str]:
    return sorted(each.id for each in configuration.tenant.providers)


Begin = Callable[[Stack], Awaitable[World]]


@pytest.fixture
async def begin() -> AsyncIterator[Begin]:
    """Makes a world with one replica."""
    wire = CutWire()
    ends: list[Callable[[], Awaitable[object]]] = [wire.close]

    async def make(stack: Stack) -> World:
        replica = await stack.start()
        await wire.open(replica.settings.internal_address)
        channel = open_channel(wire.target, replica.settings.model_copy(update=stack._files("router")))
        router = Router(channel, patience_s=_PATIENCE_S, idle_s=60.0)
        router.told = Counter()
        running = asyncio.create_task(router.run())

        async def stop() -> None:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running

        ends.extend((channel.close, stop))
        return World(stack, replica, router, wire)

    yield make
    for end in reversed(ends):
        await end()


@pytest.fixture
async def world(begin: Begin, stack: Stack) -> World:
    """On SQLite."""
    return await begin(stack)


async def test_a_change_by_any_replica_serves_calls_within_a_second(
    begin: Begin, stack_on: Callable[[str], Stack], database_url: str
) -> None:
    world = await begin(stack_on(database_url))
    other = await world.stack.start()
    await world.loaded("acme")
    for number, replica in enumerate((world.replica, other, world.replica, other)):
        await world.create(f"p{number}", replica=replica)
        await world.shows(f"p{number}")
    await world.create("shared", parent="platform", replica=other)
    async with asyncio.timeout(_WITHIN_S):
        while not world.router.held("acme").platform.providers:  # type: ignore[union-attr]  # it is loaded
            await asyncio.sleep(0.005)


async def test_what_changed_while_the_stream_was_broken_is_all_that_is_sent_when_it_is_back(world: World) -> None:
    tenants = [f"t{number}" for number in range(30)]
    for tenant in tenants:
        await world.create("first", parent=f"tenants/{tenant}")
    await world.loaded("acme", *tenants)
    await world.router.reached("acme", await world.create("any", parent="platform"), within_s=_PATIENCE_S)
    await world.is_cut()
    await world.create("second", parent="tenants/t7")
    assert world.held("t7") == ["first"]
    world.router.told.clear()
    world.wire.lead_to(world.replica.settings.internal_address)
    await world.shows("second", tenant="t7", within_s=_WITHIN_S)
    await world.create("third", parent="tenants/t8")
    await world.shows("third", tenant="t8")
    await world.is_connected()
    assert (world.router.told["snapshot"], world.router.told["delta"]) == (0, 2)


async def test_another_replica_goes_on_where_the_first_one_left(
    begin: Begin, stack_on: Callable[[str], Stack], database_url: str
) -> None:
    world = await begin(stack_on(database_url))
    await world.create("first")
    await world.router.reached("acme", await world.create("any", parent="platform"), within_s=_PATIENCE_S)
    await world.is_cut()
    successor = await world.stack.start()
    await world.create("second", replica=successor)
    world.router.told.clear()
    world.wire.lead_to(successor.settings.internal_address)
    await world.shows("second")
    assert world.router.told["snapshot"] == 0


async def test_while_provider_config_is_down_calls_are_served_from_what_is_held(world: World) -> None:
    await world.create("first")
    await world.loaded("acme")
    await world.is_connected()
    await world.is_cut()
    before = world.router.age_s()
    await asyncio.sleep(0.1)
    assert world.router.age_s() >= before + 0.1
    assert not world.router.connected
    assert world.held() == ["first"]
    await world.router.ready()
    with pytest.raises(Unavailable) as unknown:
        await world.router.arrived("never-seen", within_s=0.05)
    assert unknown.value.reason == "CONFIG_UNAVAILABLE"
    world.wire.lead_to(world.replica.settings.internal_address)
    await world.is_connected()
    assert (await world.router.arrived("never-seen", within_s=_PATIENCE_S)).tenant.providers == ()


async def test_who_waits_for_a_revision_gets_it_across_a_reconnect_and_not_before(world: World) -> None:
    await world.create("first")
    await world.loaded("acme")
    await world.is_cut()
    revision = await world.create("second")
    waiting = asyncio.create_task(world.router.reached("acme", revision, within_s=_PATIENCE_S))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    world.wire.lead_to(world.replica.settings.internal_address)
    assert ids(await waiting) == ["first", "second"]


async def test_who_changes_something_calls_with_it_at_once(
    begin: Begin, stack_on: Callable[[str], Stack], database_url: str
) -> None:
    world = await begin(stack_on(database_url))
    other = await world.stack.start()
    await world.loaded("acme")
    for number in range(20):
        revision = await world.create(f"p{number}", replica=other if number % 2 else world.replica)
        assert f"p{number}" in ids(await world.router.reached("acme", revision, within_s=_WITHIN_S))
    # A tenant's call may wait for a change of another scope, and be the tenant's first.
    revision = await world.create("shared", parent="platform")
    for tenant in ("acme", "new"):
        configuration = await world.router.reached(tenant, revision, within_s=_WITHIN_S)
        assert [each.id for each in configuration.platform.providers] == ["shared"]


async def test_an_idle_tenant_is_forgotten_on_both_sides_and_loaded_again_by_its_next_call(world: World) -> None:
    await world.create("first")
    await world.loaded("acme", "busy")
    later = time.monotonic() + 59
    world.router.sweep(later)
    assert world.router.held("busy") is not None
    world.router.sweep(later + 30)
    assert (world.router.tenants, world.router.held("acme")) == (1, None)
    await world.router.reached("busy", await world.create("x", parent="tenants/busy"), within_s=_PATIENCE_S)
    world.router.told.clear()
    revision = await world.create("second")
    await world.router.reached("busy", revision, within_s=_PATIENCE_S)
    assert (world.router.told["snapshot"], world.router.told["delta"]) == (0, 0)
    assert ids(await world.router.arrived("acme", within_s=_WITHIN_S)) == ["first", "second"]
    await world.create("third")
    await world.shows("third")


async def test_a_database_that_was_put_back_replaces_what_routers_hold(
    world: World, stack_on: Callable[[str], Stack], tmp_path: Path
) -> None:
    await world.create("kept")
    backup = tmp_path / "backup.db"
    with closing(sqlite3.connect(tmp_path / "test.db")) as source, closing(sqlite3.connect(backup)) as target:
        source.backup(target)
    backup.chmod(0o600)
    await world.create("lost-1")
    lost = await world.create("lost-2")
    await world.loaded("acme", "other")
    await world.router.reached("acme", lost, within_s=_PATIENCE_S)
    await world.is_cut()
    restored = await stack_on(f"sqlite:///{backup}").start()
    world.wire.lead_to(restored.settings.internal_address)
    async with asyncio.timeout(_PATIENCE_S):
        while world.held() != ["kept"]:
            await asyncio.sleep(0.005)
    # Revisions go on beyond those that were given out before: nobody takes an old one for a new one.
    for number in range(3):
        revision = await world.create(f"new-{number}", replica=restored)
        assert revision > lost
        assert f"new-{number}" in ids(await world.router.reached("acme", revision, within_s=_PATIENCE_S))
    assert world.held() == ["kept", "new-0", "new-1", "new-2"]
