"""Between messages and the audit log."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from gatehouse.keyvault.v1 import audit_service_pb2 as pb
from google.protobuf.timestamp_pb2 import Timestamp

from libs.core.audit import AuditEvent, AuditFilter, AuditOutcome, ChainedEvent
from libs.core.audit_verification import ChainBreak, ChainProblem, ChainVerification
from libs.core.errors import InvalidArgument
from libs.core.resource_names import KeyName, Owner
from services.key_vault.api import read_audit
from services.key_vault.api.times import timestamp
from services.key_vault.domain.anchor_audit import AuditVerdict
from services.key_vault.domain.key_use import KeyUseCount

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
VERDICT = AuditVerdict(
    chain=ChainVerification(
        scope="tenants/acme", checked=7, first_time=NOW, last_time=NOW, head=None, chain_break=None
    ),
    anchors=2,
    last_anchor_time=NOW,
)


@pytest.mark.parametrize("parent", ["platform", "tenants/acme"])
def test_a_chain_is_named_by_its_tenant_or_the_platform(parent: str) -> None:
    assert read_audit.chain_named(parent) == parent


@pytest.mark.parametrize(
    "parent",
    ["", "tenants/acme/users/bob", "tenants/acme/keys/x", "tenants/*", "tenants/../x", "Platform", "platform\n"],
)
def test_nothing_else_names_a_chain(parent: str) -> None:
    with pytest.raises(InvalidArgument, match="parent"):
        read_audit.chain_named(parent)


def test_an_empty_filter_does_not_restrict() -> None:
    assert read_audit.audit_filter(pb.AuditFilter()) == AuditFilter()


def test_a_filter_takes_what_is_given() -> None:
    message = pb.AuditFilter(
        actor="tenants/acme/users/ann",
        action="RotateKey",
        target="tenants/acme/keys/openai",
        outcome=pb.AUDIT_OUTCOME_DENIED,
        since=timestamp(NOW),
        until=timestamp(NOW.replace(hour=1)),
    )
    assert read_audit.audit_filter(message) == AuditFilter(
        actor="tenants/acme/users/ann",
        action="RotateKey",
        target="tenants/acme/keys/openai",
        outcome=AuditOutcome.DENIED,
        since=NOW,
        until=NOW.replace(hour=1),
    )


def test_the_beginning_of_time_is_not_taken_for_none() -> None:
    message = pb.AuditFilter(since=Timestamp(), until=Timestamp())
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    assert read_audit.audit_filter(message) == AuditFilter(since=epoch, until=epoch)


def test_every_wrong_field_of_a_filter_is_named() -> None:
    message = pb.AuditFilter(
        actor="a\x00",
        action="a" * 513,
        target="\x1b[2J",
        outcome=9,  # type: ignore[arg-type]
        since=Timestamp(seconds=2**62),
        until=Timestamp(nanos=-1),
    )
    with pytest.raises(InvalidArgument) as caught:
        read_audit.audit_filter(message)
    assert [violation.field for violation in caught.value.field_violations] == [
        "filter.actor",
        "filter.action",
        "filter.target",
        "filter.outcome",
        "filter.since",
        "filter.until",
    ]


def test_an_event_is_shown_whole_at_its_place() -> None:
    chained = ChainedEvent(sequence=7, previous_hash="a" * 64, hash="b" * 64, event=EVENT)
    assert read_audit.event_message(chained) == pb.AuditEvent(
        sequence=7,
        uid="0b7d6f3c-6f1e-4b0e-9a53-0d3f5a1c2b4e",
        time=timestamp(NOW),
        actor="tenants/acme/users/ann",
        roles=["member", "tenant_admin"],
        address="192.0.2.7",
        action="RotateKey",
        target="tenants/acme/keys/openai",
        outcome=pb.AUDIT_OUTCOME_DENIED,
        reason="PERMISSION_DENIED",
        request_id="req-1",
        details={"version": "3"},
        previous_hash="a" * 64,
        hash="b" * 64,
    )


def test_what_succeeded_is_shown_so() -> None:
    event = replace(EVENT, outcome=AuditOutcome.SUCCEEDED, reason="")
    message = read_audit.event_message(ChainedEvent(sequence=1, previous_hash="a", hash="b", event=event))
    assert (message.outcome, message.reason) == (pb.AUDIT_OUTCOME_SUCCEEDED, "")


def test_a_chain_that_is_whole_has_no_break() -> None:
    message = read_audit.verdict_message(VERDICT)
    assert (message.intact, message.event_count, message.anchor_count) == (True, 7, 2)
    assert (message.last_anchor_time.ToDatetime(UTC), message.HasField("first_break")) == (NOW, False)


@pytest.mark.parametrize("problem", ChainProblem)
def test_a_break_is_shown_with_its_place_and_kind(problem: ChainProblem) -> None:
    chain = replace(VERDICT.chain, chain_break=ChainBreak(sequence=4, problem=problem))
    message = read_audit.verdict_message(replace(VERDICT, chain=chain, last_anchor_time=None))
    assert (message.intact, message.first_break.sequence, message.HasField("last_anchor_time")) == (False, 4, False)
    name = pb.AuditBreakType.Name(message.first_break.type)
    assert name == f"AUDIT_BREAK_TYPE_{problem.name}"


@pytest.mark.parametrize(
    ("parent", "scope"),
    [
        ("platform", (Owner(), None)),
        ("tenants/acme", (Owner("acme"), None)),
        ("tenants/acme/users/bob", (Owner("acme", "bob"), None)),
        ("tenants/acme/keys/x", (Owner("acme"), KeyName(Owner("acme"), "x"))),
        ("tenants/acme/users/bob/keys/x", (Owner("acme", "bob"), KeyName(Owner("acme", "bob"), "x"))),
    ],
)
def test_key_use_is_of_an_owner_or_of_a_key(parent: str, scope: tuple[Owner, KeyName | None]) -> None:
    assert read_audit.key_use_scope(parent) == scope


@pytest.mark.parametrize("parent", ["", "x", "tenants/acme/providers/x", "tenants/acme/keys/", "keys/x", "/keys/"])
def test_key_use_of_anything_else_is_refused(parent: str) -> None:
    with pytest.raises(InvalidArgument, match="parent"):
        read_audit.key_use_scope(parent)


def test_key_use_is_listed_from_a_time_or_from_the_beginning() -> None:
    assert read_audit.since_of(pb.ListKeyUseRequest()) is None
    assert read_audit.since_of(pb.ListKeyUseRequest(since=timestamp(NOW))) == NOW
    with pytest.raises(InvalidArgument, match="since"):
        read_audit.since_of(pb.ListKeyUseRequest(since=Timestamp(nanos=-1)))


def test_a_count_of_key_use_is_shown_whole() -> None:
    use = KeyUseCount(
        hour=NOW,
        name=KeyName(Owner("acme"), "x"),
        key_uid="u",
        version=3,
        service="router",
        count=2**40,
        last_vault_request_id="v",
    )
    assert read_audit.key_use_message(use) == pb.KeyUse(
        hour=timestamp(NOW),
        key="tenants/acme/keys/x",
        key_uid="u",
        version=3,
        service="router",
        count=2**40,
        last_vault_request_id="v",
    )
