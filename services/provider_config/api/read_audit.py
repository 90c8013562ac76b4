"""Between messages and the audit log. Pure."""

from __future__ import annotations

from gatehouse.providerconfig.v1 import audit_service_pb2 as pb

from libs.core.audit import AuditOutcome
from libs.core.audit_verification import ChainProblem, ChainVerification
from libs.rpc.audit_messages import AuditMessages

MESSAGES = AuditMessages(
    pb.AuditEvent,
    {AuditOutcome.SUCCEEDED: pb.AUDIT_OUTCOME_SUCCEEDED, AuditOutcome.DENIED: pb.AUDIT_OUTCOME_DENIED},
)
# None of an anchor: there are none.
_BREAKS = {
    ChainProblem.ALTERED: pb.AUDIT_BREAK_TYPE_ALTERED,
    ChainProblem.MISSING: pb.AUDIT_BREAK_TYPE_MISSING,
    ChainProblem.REORDERED: pb.AUDIT_BREAK_TYPE_REORDERED,
    ChainProblem.TRUNCATED: pb.AUDIT_BREAK_TYPE_TRUNCATED,
    ChainProblem.HEAD_FORGED: pb.AUDIT_BREAK_TYPE_HEAD_FORGED,
}


def verdict_message(verdict: ChainVerification) -> pb.VerifyAuditLogResponse:
    """What the verification found."""
    found = verdict.chain_break
    return pb.VerifyAuditLogResponse(
        intact=verdict.is_intact,
        event_count=verdict.checked,
        first_break=None if found is None else pb.AuditBreak(sequence=found.sequence, type=_BREAKS[found.problem]),
    )
