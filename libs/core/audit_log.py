"""The audit log as the transactions of a service show it, and what every service does with it there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from libs.core.audit import AuditEvent, AuditFilter, ChainedEvent
from libs.core.audit_authors import Author, Occasion, audit_event

EXPORTED_TOGETHER = 500
"""Events of an export that are read and sent at a time."""


class AuditLog(Protocol):
    """The audit chains. Nothing in them is ever changed."""

    def append(self, event: AuditEvent) -> None:
        """Add an event to the chain it names. Raises FailedPrecondition `AUDIT_LOG_DAMAGED`."""
        ...

    def page(self, scope: str, wanted: AuditFilter, *, before: int | None, limit: int) -> Sequence[ChainedEvent]:
        """Up to `limit` events, newest first, those before the sequence `before`."""
        ...

    def following(self, scope: str, *, after: int, limit: int) -> Sequence[ChainedEvent]:
        """Up to `limit` events in their order, those after the sequence `after`."""
        ...


class Audited(Protocol):
    """A transaction that has the audit log among what it changes."""

    @property
    def audit(self) -> AuditLog:
        """The audit chains."""
        ...


def append_all(events: Sequence[AuditEvent], transaction: Audited) -> None:
    """Add `events` to their chains. Raises FailedPrecondition `AUDIT_LOG_DAMAGED`."""
    for event in events:
        transaction.audit.append(event)


def begin_export(transaction: Audited, scope: str, author: Author, occasion: Occasion, *, after_sequence: int) -> None:
    """Record that `author` takes a copy of the chain `scope`, all of it after `after_sequence`."""
    transaction.audit.append(
        audit_event(
            author,
            "ExportAuditEvents",
            scope=scope,
            target="",
            now=occasion.now,
            uid=occasion.uid,
            details={"after_sequence": str(after_sequence)},
        )
    )


def following(scope: str, after_sequence: int, transaction: Audited) -> Sequence[ChainedEvent]:
    """The next events of an export, at most EXPORTED_TOGETHER; none at the end."""
    return transaction.audit.following(scope, after=after_sequence, limit=EXPORTED_TOGETHER)
