"""Whatever changes the configuration leaves exactly one event: who did it, from where, by which RPC, to what."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest
from gatehouse.providerconfig.v1 import audit_service_pb2 as pb
from gatehouse.providerconfig.v1.audit_service_pb2_grpc import AuditServiceStub

from libs.identity.permissions import PERMISSIONS, Access
from tests.contract.audit.changes import ACME, ANN, CHANGES, PACKAGE, Change
from tests.contract.audit.router import serving_router
from tests.integration.provider_config.conftest import Stack


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    async with AsyncExitStack() as exits:
        yield Stack(tmp_path / "state", f"sqlite:///{tmp_path}/config.db", exits)


@pytest.fixture
async def channel(stack: Stack) -> AsyncIterator[grpc.aio.Channel]:
    """To provider_config, beside a key_vault and a router that find nothing wrong."""
    async with serving_router(stack.layout) as target:
        yield (await stack.start(router_target=target)).public


async def call(channel: grpc.aio.Channel, method: str, change: Change, metadata: Any) -> None:
    """Its answer is of no interest; an error is raised."""
    rpc: Any = channel.unary_unary(PACKAGE + method, request_serializer=lambda request: request.SerializeToString())
    await rpc(change.request, metadata=metadata, timeout=20)


async def events(channel: grpc.aio.Channel, metadata: Any) -> list[pb.AuditEvent]:
    """Newest first."""
    audit: Any = AuditServiceStub(channel)
    request = pb.ListAuditEventsRequest(parent=ACME, page_size=1000)
    return list((await audit.ListAuditEvents(request, metadata=metadata, timeout=20)).events)


def test_every_rpc_that_changes_the_configuration_is_tried_below() -> None:
    """A new one is not served before it has its entry in `changes`."""
    changing = {
        method.removeprefix(PACKAGE)
        for method, rule in PERMISSIONS.items()
        if method.startswith(PACKAGE) and rule.access is Access.MANAGE
    }
    assert set(CHANGES) == changing


def test_whatever_else_the_service_does_for_people_only_reads() -> None:
    """So that no RPC escapes by being allowed as a reader."""
    reading = {
        method.removeprefix(PACKAGE).partition("/")[2]
        for method, rule in PERMISSIONS.items()
        if method.startswith(PACKAGE) and rule.access is not Access.MANAGE and rule.roles
    }
    assert {name for name in reading if not name.startswith(("Get", "List", "Export", "Verify"))} == set()


@pytest.mark.parametrize("method", CHANGES)
async def test_a_change_leaves_one_event(stack: Stack, channel: grpc.aio.Channel, method: str) -> None:
    admin = stack.token("acme", "ann", "tenant_admin")
    change = CHANGES[method]
    for before in change.after:
        await call(channel, before, CHANGES[before], admin)
    count = len(await events(channel, admin))
    assert count == len(change.after)
    await call(channel, method, change, (*admin, ("x-request-id", "audit-me")))
    event, *earlier = await events(channel, admin)
    assert len(earlier) == count
    assert (event.action, event.actor, list(event.roles), event.address, event.target) == (
        method.partition("/")[2],
        ANN,
        ["tenant_admin"],
        "127.0.0.1",
        change.target,
    )
    assert (event.outcome, event.reason, event.request_id) == (pb.AUDIT_OUTCOME_SUCCEEDED, "", "audit-me")
