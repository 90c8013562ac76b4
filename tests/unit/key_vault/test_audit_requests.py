"""Between messages and the audit log."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from gatehouse.keyvault.v1 import audit_service_pb2 as pb
from google.protobuf.timestamp_pb2 import Timestamp

from libs.core.audit_verification import ChainBreak, ChainProblem, ChainVerification
from libs.core.errors import InvalidArgument
from libs.core.resource_names import KeyName, Owner
from libs.rpc.times import timestamp
from services.key_vault.api import read_audit
from services.key_vault.domain.anchor_audit import AuditVerdict
from services.key_vault.domain.key_use import KeyUseCount

NOW = datetime(2026, 1, 2, tzinfo=UTC)
VERDICT = AuditVerdict(
    chain=ChainVerification(
        scope="tenants/acme", checked=7, first_time=NOW, last_time=NOW, head=None, chain_break=None
    ),
    anchors=2,
    last_anchor_time=NOW,
)


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
