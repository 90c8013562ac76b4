from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest
from gatehouse.providerconfig.v1 import snapshot_service_pb2 as pb

from libs.core.errors import Unavailable
from services.router.clients.configuration import ConfigurationWatcher
from tests.unit.router.snapshot_messages import ACME, delta, heartbeat, provider, snapshot


@pytest.fixture
async def watcher() -> AsyncIterator[ConfigurationWatcher]:
    """A watcher that has asked for the platform and a tenant on a new stream."""
    # Nothing listens there; these tests play the stream's messages themselves.
    async with grpc.aio.insecure_channel("localhost:1") as channel:
        made = ConfigurationWatcher(channel, patience_s=0.05, idle_s=60.0)
        made._scopes.want("acme")
        made._scopes.begin_stream()
        made._scopes.next_request()
        yield made


def take(watcher: ConfigurationWatcher, news: pb.Snapshot | pb.SnapshotDelta | pb.Heartbeat) -> None:
    match news:
        case pb.Snapshot():
            message = pb.WatchSnapshotsResponse(snapshot=news)
        case pb.SnapshotDelta():
            message = pb.WatchSnapshotsResponse(delta=news)
        case _:
            message = pb.WatchSnapshotsResponse(heartbeat=news)
    watcher._take(message)


async def test_a_heartbeat_counts_only_for_what_it_knows_was_asked_for(watcher: ConfigurationWatcher) -> None:
    for scope in ("platform", ACME):
        take(watcher, snapshot(scope, 10))
    take(watcher, heartbeat(11, 0))
    with pytest.raises(Unavailable) as early:
        await watcher.reached("acme", 11, within_s=0.05)
    assert early.value.reason == "REVISION_NOT_REACHED"
    take(watcher, heartbeat(11, 1))
    configuration = await watcher.reached("acme", 11, within_s=0.05)
    assert configuration.tenant.revision == 10


async def test_who_waits_for_a_revision_is_woken_by_the_change_itself(watcher: ConfigurationWatcher) -> None:
    take(watcher, snapshot("platform", 5))
    take(watcher, snapshot(ACME, 4))
    waiting = asyncio.create_task(watcher.reached("acme", 5, within_s=5))
    await asyncio.sleep(0)
    take(watcher, delta(ACME, 4, 5, provider("b")))
    assert [each.id for each in (await waiting).tenant.providers] == ["b"]
    assert not watcher._waiting


async def test_all_who_wait_for_a_tenant_are_woken_by_its_arrival(watcher: ConfigurationWatcher) -> None:
    waiting = [asyncio.create_task(watcher.arrived("acme", within_s=5)) for _ in range(3)]
    await asyncio.sleep(0)
    take(watcher, snapshot(ACME, 5))
    take(watcher, snapshot("platform", 5))
    assert {configuration.revision for configuration in await asyncio.gather(*waiting)} == {5}


async def test_a_scope_that_cannot_be_read_keeps_what_it_had_and_holds_nobody_up(watcher: ConfigurationWatcher) -> None:
    for scope in ("platform", ACME):
        take(watcher, snapshot(scope, 1))
    take(watcher, snapshot(ACME, 2, pb.ProviderSnapshot()))
    held = watcher.held("acme")
    assert held is not None
    assert held.tenant.revision == 1


async def test_news_of_a_later_version_are_passed_over(watcher: ConfigurationWatcher) -> None:
    # Field 15 of the response, a message: no oneof member of this version.
    watcher._take(pb.WatchSnapshotsResponse.FromString(b"\x7a\x02\x08\x01"))
    assert watcher.connected


async def test_a_tenant_nobody_sends_is_unavailable_by_name(watcher: ConfigurationWatcher) -> None:
    with pytest.raises(Unavailable) as missing:
        await watcher.arrived("acme", within_s=0.05)
    assert (missing.value.reason, missing.value.metadata) == ("CONFIG_UNAVAILABLE", {"tenant": ACME})
    assert not watcher._waiting


async def test_it_is_ready_from_the_platform_s_first_snapshot(watcher: ConfigurationWatcher) -> None:
    with pytest.raises(Unavailable):
        await watcher.ready()
    take(watcher, snapshot("platform", 1))
    await watcher.ready()


async def test_its_age_begins_anew_with_heartbeats_that_cover_what_it_holds(
    watcher: ConfigurationWatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    watcher._current_at -= 100
    take(watcher, snapshot("platform", 1))
    take(watcher, heartbeat(1, 0))
    assert watcher.age_s() >= 100
    take(watcher, heartbeat(1, 1))
    assert watcher.age_s() < 100


async def test_idle_tenants_are_forgotten_by_a_sweep(watcher: ConfigurationWatcher) -> None:
    for scope in ("platform", ACME):
        take(watcher, snapshot(scope, 1))
    start = watcher._scopes.now
    watcher.sweep(start + 59)
    assert watcher.tenants == 1
    assert watcher.held("acme") is not None
    watcher.sweep(start + 118)
    assert watcher.tenants == 1
    watcher.sweep(start + 120)
    assert (watcher.tenants, watcher.held("acme")) == (0, None)
