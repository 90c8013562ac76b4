"""The audit chains of a service as one transaction sees them."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from libs.core.audit import AuditEvent, AuditFilter, AuditHead, ChainedEvent
from libs.core.audit_seal import HeadSeal
from libs.storage.audit_chain import append, heads, list_events
from libs.storage.audit_tables import AuditTables

_ALL = AuditFilter()


class AuditRepository:
    """What the port `AuditLog` of a service asks for, over `tables`; the heads carry `seal`."""

    def __init__(self, connection: Connection, tables: AuditTables, seal: HeadSeal) -> None:
        self._connection = connection
        self._tables = tables
        self._seal = seal

    def append(self, event: AuditEvent) -> None:
        """Add an event to the chain it names. Raises FailedPrecondition `AUDIT_LOG_DAMAGED`."""
        append(self._connection, self._tables, event, seal=self._seal)

    def page(self, scope: str, wanted: AuditFilter, *, before: int | None, limit: int) -> Sequence[ChainedEvent]:
        """Up to `limit` events, newest first, those before the sequence `before`."""
        return list_events(self._connection, self._tables, scope, wanted, before_sequence=before, limit=limit)

    def following(self, scope: str, *, after: int, limit: int) -> Sequence[ChainedEvent]:
        """Up to `limit` events in their order, those after the sequence `after`."""
        return list_events(
            self._connection, self._tables, scope, _ALL, after_sequence=after, limit=limit, newest_first=False
        )

    def heads(self) -> Sequence[AuditHead]:
        """The ends of all chains that carry the seal."""
        return heads(self._connection, self._tables, seal=self._seal)
