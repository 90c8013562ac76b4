from __future__ import annotations

from collections.abc import AsyncIterator

import grpc
import pytest
from gatehouse.providerconfig.v1 import provider_pb2
from gatehouse.providerconfig.v1 import snapshot_service_pb2 as pb

from libs.core.errors import Unavailable
from services.router.clients.configuration import ConfigurationWatcher


@pytest.fixture
async def watcher() -> AsyncIterator[ConfigurationWatcher]:
    """A watcher whose stream has just (re)connected: it waits for both of its scopes anew."""
    # Nothing listens there; these tests play the stream's messages themselves.
    async with grpc.aio.insecure_channel("localhost:1") as channel:
        made = ConfigurationWatcher(channel, patience_s=0.05)
        made._awaited = {"platform", "tenants/acme"}
        yield made


def snapshot(scope: str, revision: int, *providers: str) -> pb.WatchSnapshotsResponse:
    listed = [pb.ProviderSnapshot(provider=provider_pb2.Provider(name=name)) for name in providers]
    return pb.WatchSnapshotsResponse(snapshot=pb.Snapshot(scope=scope, revision=revision, providers=listed))


def heartbeat(revision: int) -> pb.WatchSnapshotsResponse:
    return pb.WatchSnapshotsResponse(heartbeat=pb.Heartbeat(revision=revision))


async def test_a_heartbeat_counts_only_once_every_scope_has_come(watcher: ConfigurationWatcher) -> None:
    await watcher._take(snapshot("platform", 11))
    await watcher._take(heartbeat(11))
    with pytest.raises(Unavailable) as early:
        await watcher.reached("acme", 11, within_s=0.05)
    assert early.value.reason == "REVISION_NOT_REACHED"
    await watcher._take(snapshot("tenants/acme", 11))
    await watcher._take(heartbeat(11))
    configuration = await watcher.reached("acme", 11, within_s=0.05)
    assert configuration.tenant.revision == 11


async def test_a_scope_that_cannot_be_read_keeps_what_it_had_and_holds_nobody_up(watcher: ConfigurationWatcher) -> None:
    for scope in ("platform", "tenants/acme"):
        await watcher._take(snapshot(scope, 1))
    await watcher._take(snapshot("tenants/acme", 2, "no resource name"))
    held = watcher.held("acme")
    assert held is not None
    assert held.tenant.revision == 1


async def test_a_tenant_nobody_sends_is_unavailable_by_name(watcher: ConfigurationWatcher) -> None:
    with pytest.raises(Unavailable) as missing:
        await watcher.arrived("acme", within_s=0.05)
    assert (missing.value.reason, missing.value.metadata) == ("CONFIG_UNAVAILABLE", {"tenant": "tenants/acme"})
