"""A copy of an audit chain: all of it in its order, and an entry itself."""

from __future__ import annotations

from dataclasses import replace

import pytest
from gatehouse.keyvault.v1 import audit_service_pb2 as pb

from libs.core import audit_log
from libs.core.audit_authors import Occasion
from libs.core.errors import InvalidArgument
from libs.core.resource_names import KeyName, Owner
from libs.identity.caller import Caller, Role
from libs.rpc.context import RequestContext, enter
from services.key_vault.api.audit_service import AuditServicer
from services.key_vault.domain.anchor_audit import AuditVerdict
from tests.unit.key_vault.world import CREATE, World

ACME = "tenants/acme"


class Audited:
    """A servicer, called by an admin of acme, over a chain of five events."""

    def __init__(self) -> None:
        self.world = World()
        self.servicer = AuditServicer(self.world.store, self._no_verdict, self._occasion)

    async def export(self, *, parent: str = ACME, after: int = 0) -> list[list[pb.AuditEvent]]:
        """The parts of the stream."""
        request = pb.ExportAuditEventsRequest(parent=parent, after_sequence=after)
        return [list(part.events) async for part in self.servicer.ExportAuditEvents(request, None)]  # type: ignore[arg-type]

    def _occasion(self) -> Occasion:
        return Occasion(now=self.world.clock.now(), uid=self.world.new_uid())

    async def _no_verdict(self, _: str) -> AuditVerdict:
        raise NotImplementedError


@pytest.fixture
async def audited(monkeypatch: pytest.MonkeyPatch) -> Audited:
    monkeypatch.setattr(audit_log, "EXPORTED_TOGETHER", 2)
    audited = Audited()
    for number in range(5):
        await audited.world.create(replace(CREATE, name=KeyName(Owner("acme"), f"k{number}")))
    return audited


def call() -> None:
    """Make this task one that serves a call."""
    caller = Caller(tenant="acme", user="ann", roles=frozenset({Role.TENANT_ADMIN}))
    enter(
        RequestContext(
            method="/gatehouse.keyvault.v1.AuditService/ExportAuditEvents",
            request_id="req-3",
            peer="ipv4:192.0.2.7:4711",
            metadata={},
            arrived=0.0,
            deadline=1.0,
            established=caller,
        )
    )


async def test_the_whole_chain_comes_in_its_order_and_ends_with_the_export_itself(audited: Audited) -> None:
    call()
    parts = await audited.export()
    assert [[event.sequence for event in part] for part in parts] == [[1, 2], [3, 4], [5, 6]]
    last = parts[-1][-1]
    assert (last.action, last.actor, list(last.roles), last.address, last.request_id, last.target) == (
        "ExportAuditEvents",
        "tenants/acme/users/ann",
        ["tenant_admin"],
        "192.0.2.7",
        "req-3",
        "",
    )
    assert last.details == {"after_sequence": "0"}


async def test_each_event_holds_the_hash_of_the_one_before(audited: Audited) -> None:
    call()
    events = [event for part in await audited.export() for event in part]
    assert [event.previous_hash for event in events[1:]] == [event.hash for event in events[:-1]]


async def test_an_export_goes_on_after_what_was_taken_before(audited: Audited) -> None:
    call()
    assert [[event.sequence for event in part] for part in await audited.export(after=4)] == [[5, 6]]
    assert audited.world.audited()[-1].details == {"after_sequence": "4"}


async def test_an_export_of_a_chain_with_nothing_new_is_recorded_all_the_same(audited: Audited) -> None:
    call()
    assert await audited.export(after=100) == []
    assert [event.action for event in audited.world.audited()][5:] == ["ExportAuditEvents"]


async def test_only_the_chain_that_is_named_is_taken(audited: Audited) -> None:
    call()
    ((event,),) = await audited.export(parent="platform")
    assert (event.action, event.sequence) == ("ExportAuditEvents", 1)
    assert len(audited.world.audited()) == 5


async def test_what_is_wrong_with_an_export_is_named_and_nothing_recorded(audited: Audited) -> None:
    call()
    with pytest.raises(InvalidArgument, match="after_sequence must not be negative"):
        await audited.export(after=-1)
    with pytest.raises(InvalidArgument, match="parent"):
        await audited.export(parent="tenants/acme/users/ann")
    assert len(audited.world.audited()) == 5
