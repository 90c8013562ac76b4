"""Between messages and the audit log. Pure."""

from __future__ import annotations

from datetime import datetime

from gatehouse.keyvault.v1 import audit_service_pb2 as pb

from libs.core.audit import AuditFilter, AuditOutcome, ChainedEvent
from libs.core.audit_verification import ChainProblem
from libs.core.resource_names import MAX_NAME_LENGTH, KeyName, Owner
from libs.core.validation import FieldChecks
from services.key_vault.api.times import time_of, timestamp
from services.key_vault.domain.anchor_audit import AuditVerdict
from services.key_vault.domain.errors import invalid_field
from services.key_vault.domain.key_use import KeyUseCount

_OUTCOMES = {
    AuditOutcome.SUCCEEDED: pb.AUDIT_OUTCOME_SUCCEEDED,
    AuditOutcome.DENIED: pb.AUDIT_OUTCOME_DENIED,
}
_OUTCOME_OF = {message: outcome for outcome, message in _OUTCOMES.items()}
_BREAKS = {
    ChainProblem.ALTERED: pb.AUDIT_BREAK_TYPE_ALTERED,
    ChainProblem.MISSING: pb.AUDIT_BREAK_TYPE_MISSING,
    ChainProblem.REORDERED: pb.AUDIT_BREAK_TYPE_REORDERED,
    ChainProblem.TRUNCATED: pb.AUDIT_BREAK_TYPE_TRUNCATED,
    ChainProblem.HEAD_FORGED: pb.AUDIT_BREAK_TYPE_HEAD_FORGED,
    ChainProblem.ANCHOR_MISMATCH: pb.AUDIT_BREAK_TYPE_ANCHOR_MISMATCH,
}


def chain_named(parent: str) -> str:
    """The chain that `parent` names. Raises InvalidArgument."""
    owner = Owner.parse(parent)
    if owner.user is not None:
        raise invalid_field("parent", "must be platform or tenants/{tenant}: a tenant's users have no log of their own")
    return str(owner)


def audit_filter(message: pb.AuditFilter) -> AuditFilter:
    """The filter. Raises InvalidArgument."""
    with FieldChecks() as check:
        for field in ("actor", "action", "target"):
            check.text(f"filter.{field}", getattr(message, field), most=MAX_NAME_LENGTH)
        check.that(not message.outcome or message.outcome in _OUTCOME_OF, "filter.outcome", "is not an outcome")
        since = time_of(check, "filter.since", message.since) if message.HasField("since") else None
        until = time_of(check, "filter.until", message.until) if message.HasField("until") else None
    return AuditFilter(
        actor=message.actor or None,
        action=message.action or None,
        target=message.target or None,
        outcome=_OUTCOME_OF[message.outcome] if message.outcome else None,
        since=since,
        until=until,
    )


def event_message(chained: ChainedEvent) -> pb.AuditEvent:
    """The event at its place in the chain."""
    event = chained.event
    return pb.AuditEvent(
        sequence=chained.sequence,
        uid=event.event_id,
        time=timestamp(event.time),
        actor=event.actor,
        roles=event.roles,
        address=event.address,
        action=event.action,
        target=event.target,
        outcome=_OUTCOMES[event.outcome],
        reason=event.reason,
        request_id=event.request_id,
        details=event.details,
        previous_hash=chained.previous_hash,
        hash=chained.hash,
    )


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
