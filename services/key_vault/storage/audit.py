"""The repository of audit chains."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from libs.core.audit import AuditEvent, AuditFilter, AuditHead, ChainedEvent
from libs.core.audit_seal import HeadSeal
from libs.storage.audit_chain import append, heads, list_events
from services.key_vault.storage.tables import audit_log

_ALL = AuditFilter()


class AuditRepository:
    """Audit chains inside one transaction; their heads carry `seal`."""

    def __init__(self, connection: Connection, seal: HeadSeal) -> None:
        self._connection = connection
        self._seal = seal

    def append(self, event: AuditEvent) -> None:
        """See `AuditLog`. Raises FailedPrecondition `AUDIT_LOG_DAMAGED`."""
        append(self._connection, audit_log, event, seal=self._seal)

    def page(self, scope: str, wanted: AuditFilter, *, before: int | None, limit: int) -> Sequence[ChainedEvent]:
        """See `AuditLog`."""
        return list_events(self._connection, audit_log, scope, wanted, before_sequence=before, limit=limit)

    def following(self, scope: str, *, after: int, limit: int) -> Sequence[ChainedEvent]:
        """See `AuditLog`."""
        return list_events(
            self._connection, audit_log, scope, _ALL, after_sequence=after, limit=limit, newest_first=False
        )

    def heads(self) -> Sequence[AuditHead]:
        """See `AuditLog`."""
        return heads(self._connection, audit_log, seal=self._seal)
