"""Between the audit messages of every area and the audit log."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from gatehouse.keyvault.v1 import audit_service_pb2 as key_vault_pb
from gatehouse.providerconfig.v1 import audit_service_pb2 as provider_config_pb
from google.protobuf.timestamp_pb2 import Timestamp

from libs.core.audit import AuditEvent, AuditFilter, AuditOutcome, ChainedEvent
from libs.core.errors import InvalidArgument
from libs.rpc.audit_messages import AuditMessages, chain_named
from libs.rpc.times import timestamp
from services.key_vault.api.read_audit import MESSAGES as KEY_VAULT
from services.provider_config.api.read_audit import MESSAGES as PROVIDER_CONFIG

NOW = datetime(2026, 1, 2, tzinfo=UTC)
EVENT = AuditEvent(
    scope="tenants/acme",
    event_id="0b7d6f3c-6f1e-4b0e-9a53-0d3f5a1c2b4e",
    time=NOW,
    actor="tenants/acme/users/ann",
    roles=("member", "tenant_admin"),
    address="192.0.2.7",
    action="RotateKey",
    target="tenants/acme/keys/openai",
    outcome=AuditOutcome.DENIED,
    reason="PERMISSION_DENIED",
    request_id="req-1",
    details={"version": "3"},
)


@dataclass(frozen=True)
class Area:
    """One area's generated module, and its messages."""

    pb: Any
    messages: AuditMessages[Any, Any]


@pytest.fixture(params=["keyvault", "providerconfig"])
def area(request: pytest.FixtureRequest) -> Area:
    if request.param == "keyvault":
        return Area(key_vault_pb, KEY_VAULT)
    return Area(provider_config_pb, PROVIDER_CONFIG)


@pytest.mark.parametrize("parent", ["platform", "tenants/acme"])
def test_a_chain_is_named_by_its_tenant_or_the_platform(parent: str) -> None:
    assert chain_named(parent) == parent


@pytest.mark.parametrize(
    "parent",
    ["", "tenants/acme/users/bob", "tenants/acme/keys/x", "tenants/*", "tenants/../x", "Platform", "platform\n"],
)
def test_nothing_else_names_a_chain(parent: str) -> None:
    with pytest.raises(InvalidArgument, match="parent"):
        chain_named(parent)


def test_an_empty_filter_does_not_restrict(area: Area) -> None:
    assert area.messages.filter(area.pb.AuditFilter()) == AuditFilter()


def test_a_filter_takes_what_is_given(area: Area) -> None:
    message = area.pb.AuditFilter(
        actor="tenants/acme/users/ann",
        action="RotateKey",
        target="tenants/acme/keys/openai",
        outcome=area.pb.AUDIT_OUTCOME_DENIED,
        since=timestamp(NOW),
        until=timestamp(NOW.replace(hour=1)),
    )
    assert area.messages.filter(message) == AuditFilter(
        actor="tenants/acme/users/ann",
        action="RotateKey",
        target="tenants/acme/keys/openai",
        outcome=AuditOutcome.DENIED,
        since=NOW,
        until=NOW.replace(hour=1),
    )


def test_the_beginning_of_time_is_not_taken_for_none(area: Area) -> None:
    message = area.pb.AuditFilter(since=Timestamp(), until=Timestamp())
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    assert area.messages.filter(message) == AuditFilter(since=epoch, until=epoch)


def test_every_wrong_field_of_a_filter_is_named(area: Area) -> None:
    message = area.pb.AuditFilter(
        actor="a\x00",
        action="a" * 513,
        target="\x1b[2J",
        outcome=9,
        since=Timestamp(seconds=2**62),
        until=Timestamp(nanos=-1),
    )
    with pytest.raises(InvalidArgument) as caught:
        area.messages.filter(message)
    assert [violation.field for violation in caught.value.field_violations] == [
        "filter.actor",
        "filter.action",
        "filter.target",
        "filter.outcome",
        "filter.since",
        "filter.until",
    ]


def test_an_event_is_shown_whole_at_its_place(area: Area) -> None:
    chained = ChainedEvent(sequence=7, previous_hash="a" * 64, hash="b" * 64, event=EVENT)
    assert area.messages.event(chained) == area.pb.AuditEvent(
        sequence=7,
        uid="0b7d6f3c-6f1e-4b0e-9a53-0d3f5a1c2b4e",
        time=timestamp(NOW),
        actor="tenants/acme/users/ann",
        roles=["member", "tenant_admin"],
        address="192.0.2.7",
        action="RotateKey",
        target="tenants/acme/keys/openai",
        outcome=area.pb.AUDIT_OUTCOME_DENIED,
        reason="PERMISSION_DENIED",
        request_id="req-1",
        details={"version": "3"},
        previous_hash="a" * 64,
        hash="b" * 64,
    )


def test_what_succeeded_is_shown_so(area: Area) -> None:
    event = replace(EVENT, outcome=AuditOutcome.SUCCEEDED, reason="")
    message = area.messages.event(ChainedEvent(sequence=1, previous_hash="a", hash="b", event=event))
    assert (message.outcome, message.reason) == (area.pb.AUDIT_OUTCOME_SUCCEEDED, "")
