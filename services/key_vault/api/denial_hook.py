"""Refusals by authorization on their way into the audit log."""

from __future__ import annotations

from libs.core.audit_authors import Author
from libs.rpc.denials import Denial, DenialHook
from services.key_vault.domain.denials import DenialRecorder


def denial_hook(recorder: DenialRecorder) -> DenialHook:
    """What records a denial before it is answered."""

    async def record(denial: Denial) -> None:
        caller = denial.caller
        author = Author(
            actor=caller.actor,
            roles=tuple(sorted(role.value for role in caller.roles)),
            address=denial.address,
            request_id=denial.request_id,
        )
        recorder.add(
            author,
            caller.tenant,
            action=denial.method.rpartition("/")[2],
            target=denial.resource or "",
            reason=denial.reason,
        )
        await recorder.store()

    return record
