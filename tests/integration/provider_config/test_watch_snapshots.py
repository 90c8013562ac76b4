"""What a router hears over mutual TLS while people change things."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from gatehouse.providerconfig.v1 import model_pb2, provider_pb2
from gatehouse.providerconfig.v1 import model_service_pb2 as models_pb
from gatehouse.providerconfig.v1 import provider_service_pb2 as providers_pb
from gatehouse.providerconfig.v1 import snapshot_service_pb2 as pb
from gatehouse.providerconfig.v1.model_service_pb2_grpc import ModelServiceStub
from gatehouse.providerconfig.v1.provider_service_pb2_grpc import ProviderServiceStub
from gatehouse.providerconfig.v1.snapshot_service_pb2_grpc import SnapshotServiceStub

from libs.core.errors import GatehouseError
from tests.databases import PostgresServer
from tests.integration.provider_config.conftest import Replica, Stack, error_of


class Router:
    """One stream of snapshots."""

    def __init__(self, channel: grpc.aio.Channel, metadata: Any = ()) -> None:
        stub: Any = SnapshotServiceStub(channel)
        self._call = stub.WatchSnapshots(metadata=metadata)

    async def watch(self, *scopes: str, forget: tuple[str, ...] = ()) -> None:
        await self._call.write(pb.WatchSnapshotsRequest(watch=scopes, forget=forget))

    async def resume(self, **held: int) -> None:
        """Go on with these tenants from the revisions at which they are held."""
        resume = [pb.HeldScope(scope=f"tenants/{tenant}", revision=revision) for tenant, revision in held.items()]
        await self._call.write(pb.WatchSnapshotsRequest(resume=resume))

    async def half_close(self) -> None:
        await self._call.done_writing()

    async def next(self, within_s: float = 5.0) -> pb.WatchSnapshotsResponse:
        try:
            async with asyncio.timeout(within_s):
                news = await self._call.read()
        except grpc.aio.AioRpcError as error:
            failure = error_of(error)
        else:
            if news is grpc.aio.EOF:
                raise EOFError
            return news  # type: ignore[no-any-return]
        raise failure

    async def snapshot(self, within_s: float = 5.0) -> pb.Snapshot:
        """The next snapshot; heartbeats are skipped."""
        async with asyncio.timeout(within_s):
            while not (news := await self.next()).HasField("snapshot"):
                assert not news.HasField("delta")
        return news.snapshot

    async def delta(self, within_s: float = 5.0) -> pb.SnapshotDelta:
        """What changed next; heartbeats are skipped."""
        async with asyncio.timeout(within_s):
            while not (news := await self.next()).HasField("delta"):
                assert not news.HasField("snapshot")
        return news.delta

    async def heartbeat(self, revision: int, requests: int = 1, within_s: float = 5.0) -> int:
        """Wait for a heartbeat that reaches `revision` for the first `requests`; how many messages came before it."""
        others = 0
        async with asyncio.timeout(within_s):
            while True:
                news = await self.next()
                if not news.HasField("heartbeat"):
                    others += 1
                elif news.heartbeat.revision >= revision and news.heartbeat.requests >= requests:
                    return others

    def cancel(self) -> None:
        self._call.cancel()


@pytest.fixture
async def stack_of_two(stack_on: Callable[[str], Stack], database_url: str) -> Stack:
    return stack_on(database_url)


async def _create(stack: Stack, replica: Replica, name: str = "openai", parent: str = "tenants/acme") -> int:
    stub: Any = ProviderServiceStub(replica.public)
    request = providers_pb.CreateProviderRequest(
        parent=parent,
        provider_id=name,
        provider=provider_pb2.Provider(type="openai", key=f"{parent}/keys/prod", description="x" * 100),
    )
    response = await stub.CreateProvider(request, metadata=stack.token(None, "root", "super_admin"), timeout=10)
    return int(response.revision)


def _held(news: pb.Snapshot | pb.SnapshotDelta) -> list[str]:
    return [each.provider.name for each in news.providers]


async def test_a_router_holds_every_change_within_a_second_whichever_replica_made_it(stack_of_two: Stack) -> None:
    one, two = await stack_of_two.start(), await stack_of_two.start()
    router = Router(one.internal)
    await router.watch("platform", "tenants/acme")
    assert [_held(await router.snapshot()), _held(await router.snapshot())] == [[], []]
    for number, replica in enumerate((one, two, one, two)):
        revision = await _create(stack_of_two, replica, f"p{number}")
        delta = await router.delta(within_s=1.0)
        assert (delta.scope, delta.from_revision, delta.revision) == ("tenants/acme", number, revision)
        assert _held(delta) == [f"tenants/acme/providers/p{number}"]
        await router.heartbeat(revision, within_s=1.0)
    revision = await _create(stack_of_two, two, "u", parent="tenants/acme/users/ann")
    assert _held(await router.delta(within_s=1.0)) == ["tenants/acme/users/ann/providers/u"]
    revision = await _create(stack_of_two, two, "x", parent="platform")
    assert (await router.delta(within_s=1.0)).scope == "platform"
    revision = await _create(stack_of_two, two, "y", parent="tenants/unwatched")
    await router.heartbeat(revision, within_s=1.0)


async def test_models_and_deletions_are_pushed(stack: Stack) -> None:
    replica = await stack.start()
    await _create(stack, replica)
    router = Router(replica.internal)
    await router.watch("tenants/acme")
    await router.snapshot()
    operator = stack.token(None, "root", "super_admin")
    models: Any = ModelServiceStub(replica.public)
    providers: Any = ProviderServiceStub(replica.public)
    name = "tenants/acme/providers/openai"
    created = await models.CreateModel(
        models_pb.CreateModelRequest(parent=name, model_id="m", model=model_pb2.Model(context_tokens=7)),
        metadata=operator,
    )
    delta = await router.delta(within_s=1.0)
    sent = delta.providers[0]
    assert (sent.provider.name, [each.name for each in sent.models]) == (name, [created.model.name])
    assert sent.models[0].context_tokens == 7
    deleted = await providers.DeleteProvider(providers_pb.DeleteProviderRequest(name=name), metadata=operator)
    delta = await router.delta(within_s=1.0)
    assert (delta.revision, _held(delta), list(delta.deleted)) == (deleted.revision, [], [name])


async def test_what_only_people_read_is_not_sent(stack: Stack) -> None:
    replica = await stack.start()
    await _create(stack, replica)
    router = Router(replica.internal)
    await router.watch("tenants/acme")
    sent = (await router.snapshot()).providers[0].provider
    assert {field.name for field, _ in sent.ListFields()} == {"name", "type", "base_url", "key", "active", "priority"}


async def test_a_quiet_stream_beats_at_least_once_a_second(stack: Stack) -> None:
    replica = await stack.start()
    router = Router(replica.internal)
    await router.watch("platform")
    await router.snapshot()
    for _ in range(4):
        assert (await router.next(within_s=1.0)).heartbeat.revision == 0


async def test_scopes_come_and_go(stack: Stack) -> None:
    replica = await stack.start()
    router = Router(replica.internal)
    await router.watch("tenants/acme", "tenants/other")
    assert {(await router.snapshot()).scope, (await router.snapshot()).scope} == {"tenants/acme", "tenants/other"}
    await router.watch("tenants/other", forget=("tenants/acme", "tenants/other"))
    assert (await router.snapshot()).scope == "tenants/other"
    assert await router.heartbeat(await _create(stack, replica), requests=2) == 0
    await router.watch("tenants/acme")
    assert _held(await router.snapshot()) == ["tenants/acme/providers/openai"]


async def test_a_router_that_says_no_more_still_hears(stack: Stack) -> None:
    replica = await stack.start()
    router = Router(replica.internal)
    await router.watch("tenants/acme")
    await router.half_close()
    await router.snapshot()
    await _create(stack, replica)
    assert _held(await router.delta(within_s=1.0)) == ["tenants/acme/providers/openai"]


async def test_of_what_a_router_resumes_it_is_sent_what_it_missed_and_nothing_else(stack_of_two: Stack) -> None:
    one, two = await stack_of_two.start(), await stack_of_two.start()
    tenants = [f"t{number}" for number in range(5)]
    revisions = [await _create(stack_of_two, one, parent=f"tenants/{tenant}") for tenant in tenants]
    revision = max(revisions)
    missed = await _create(stack_of_two, one, "missed", parent="tenants/t3")
    router = Router(two.internal)
    await router.resume(**dict.fromkeys(tenants, revision))
    delta = await router.delta()
    assert (delta.from_revision, delta.revision, _held(delta)) == (revision, missed, ["tenants/t3/providers/missed"])
    assert await router.heartbeat(missed) == 0
    await _create(stack_of_two, one, "later", parent="tenants/t1")
    delta = await router.delta(within_s=1.0)
    assert (delta.from_revision, _held(delta)) == (revision, ["tenants/t1/providers/later"])


async def test_a_router_that_does_not_read_is_sent_the_latest_only(stack: Stack) -> None:
    replica = await stack.start()
    router = Router(replica.internal)
    await router.watch("tenants/acme")
    await router.snapshot()
    await _create(stack, replica)
    models: Any = ModelServiceStub(replica.public)
    operator = stack.token(None, "root", "super_admin")
    # Larger together than what HTTP/2 lets wait for a reader: a provider with up to 250 models, after each of them.
    for number in range(250):
        request = models_pb.CreateModelRequest(
            parent="tenants/acme/providers/openai",
            model_id=f"m{number}",
            model=model_pb2.Model(display_name="x" * 200),
        )
        await models.CreateModel(request, metadata=operator, timeout=10)
    received = 0
    async with asyncio.timeout(10):
        while len((await router.delta()).providers[0].models) < 250:
            received += 1
    assert received < 200


@pytest.mark.parametrize("scope", ["tenants/acme/users/ann", "", "tenants/*", "providers"])
async def test_what_is_no_scope_ends_the_stream_with_the_field_named(stack: Stack, scope: str) -> None:
    router = Router((await stack.start()).internal)
    await router.watch(scope)
    with pytest.raises(GatehouseError) as caught:
        await router.snapshot()
    assert (caught.value.reason, caught.value.metadata) == ("INVALID_FIELD", {"field": "watch[0]"})


async def test_people_may_not_watch(stack: Stack) -> None:
    replica = await stack.start()
    router = Router(replica.public, metadata=stack.token(None, "root", "super_admin"))
    with pytest.raises(GatehouseError) as caught:
        await router.next()
    assert caught.value.reason == "PERMISSION_DENIED"


async def test_a_gone_router_leaves_nothing_behind(stack: Stack) -> None:
    replica = await stack.start()
    for _ in range(5):
        router = Router(replica.internal)
        await router.watch("platform")
        await router.snapshot()
        router.cancel()
    for _ in range(250):
        if not [task for task in asyncio.all_tasks() if "_listen" in repr(task.get_coro())]:
            return
        await asyncio.sleep(0.02)
    pytest.fail("a task that listens to a router outlives it")


@pytest.mark.postgres
async def test_a_lost_database_ends_the_stream_and_a_new_one_serves_when_it_is_back(
    stack_on: Callable[[str], Stack], postgres_server: PostgresServer, postgres_url: str
) -> None:
    stack = stack_on(postgres_url)
    replica = await stack.start()
    router = Router(replica.internal)
    await router.watch("tenants/acme")
    await router.snapshot()
    await asyncio.to_thread(postgres_server.stop)
    try:
        with pytest.raises(GatehouseError) as caught:
            await router.heartbeat(10**9, within_s=10)
        assert caught.value.reason == "DATABASE_UNAVAILABLE"
    finally:
        await asyncio.to_thread(postgres_server.start)
    again = Router(replica.internal)
    await again.watch("tenants/acme")
    await again.snapshot()
    await _create(stack, replica)
    assert _held(await again.delta(within_s=1.0)) == ["tenants/acme/providers/openai"]
