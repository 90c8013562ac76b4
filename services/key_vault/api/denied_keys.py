"""Callers that reached for a key that is not for them, on their way into the audit log."""

from __future__ import annotations

from collections.abc import Callable

from libs.core.audit_authors import Author
from libs.core.resource_names import KeyName
from libs.rpc.denial_recorder import DenialRecorder
from services.key_vault.domain.errors import Reason
from services.key_vault.domain.permission import Bearer


def key_denial(recorder: DenialRecorder) -> Callable[[Bearer, KeyName, str], None]:
    """What `KeyAccessor` tells, in a request, that a call of a bearer was to be made with a key that is not for it."""

    def denied(bearer: Bearer, name: KeyName, request_id: str) -> None:
        author = Author(actor=bearer.actor, roles=bearer.roles, request_id=request_id)
        recorder.add(author, bearer.tenant, action="AccessKeys", target=str(name), reason=Reason.PERMISSION_DENIED)

    return denied
