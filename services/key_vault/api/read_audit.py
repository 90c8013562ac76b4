"""Between messages and the audit log. Pure."""

from __future__ import annotations

from datetime import datetime

from gatehouse.keyvault.v1 import audit_service_pb2 as pb

from libs.core.audit import AuditOutcome
from libs.core.audit_verification import ChainProblem
from libs.core.resource_names import KeyName, Owner
from libs.core.validation import FieldChecks
from libs.rpc.audit_messages import AuditMessages
from libs.rpc.times import time_of, timestamp
from services.key_vault.domain.anchor_audit import AuditVerdict
from services.key_vault.domain.key_use import KeyUseCount

MESSAGES = AuditMessages(
    pb.AuditEvent,
    {AuditOutcome.SUCCEEDED: pb.AUDIT_OUTCOME_SUCCEEDED, AuditOutcome.DENIED: pb.AUDIT_OUTCOME_DENIED},
)
_BREAKS = {
    ChainProblem.ALTERED: pb.AUDIT_BREAK_TYPE_ALTERED,
    ChainProblem.MISSING: pb.AUDIT_BREAK_TYPE_MISSING,
    ChainProblem.REORDERED: pb.AUDIT_BREAK_TYPE_REORDERED,
    ChainProblem.TRUNCATED: pb.AUDIT_BREAK_TYPE_TRUNCATED,
    ChainProblem.HEAD_FORGED: pb.AUDIT_BREAK_TYPE_HEAD_FORGED,
    ChainProblem.ANCHOR_MISMATCH: pb.AUDIT_BREAK_TYPE_ANCHOR_MISMATCH,
}


def verdict_message(verdict: AuditVerdict) -> pb.VerifyAuditLogResponse:
    """What the verification found."""
    found = verdict.chain.chain_break
    return pb.VerifyAuditLogResponse(
        intact=verdict.chain.is_intact,
        event_count=verdict.chain.checked,
        anchor_count=verdict.anchors,
        last_anchor_time=timestamp(verdict.last_anchor_time),
        first_break=None if found is None else pb.AuditBreak(sequence=found.sequence, type=_BREAKS[found.problem]),
    )


def key_use_scope(parent: str) -> tuple[Owner, KeyName | None]:
    """The owner, and the key when `parent` names one. Raises InvalidArgument."""
    if "/keys/" in parent:
        name = KeyName.parse(parent, field="parent")
        return name.owner, name
    return Owner.parse(parent), None


def since_of(request: pb.ListKeyUseRequest) -> datetime | None:
    """The time to begin at. Raises InvalidArgument."""
    with FieldChecks() as check:
        return time_of(check, "since", request.since) if request.HasField("since") else None


def key_use_message(use: KeyUseCount) -> pb.KeyUse:
    """How often a version was opened within an hour."""
    return pb.KeyUse(
        hour=timestamp(use.hour),
        key=str(use.name),
        key_uid=use.key_uid,
        version=use.version,
        service=use.service,
        count=use.count,
        last_vault_request_id=use.last_vault_request_id,
    )
