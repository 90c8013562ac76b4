"""Taking a copy of an audit chain: the copy is an entry itself."""

from __future__ import annotations

from collections.abc import Sequence

from libs.core.audit import ChainedEvent
from libs.core.audit_authors import Author, Occasion, audit_event
from services.key_vault.domain.ports import KeyTransaction

MOST_TOGETHER = 500
"""Events read and sent at a time."""


def begin_export(
    transaction: KeyTransaction, scope: str, author: Author, occasion: Occasion, *, after_sequence: int
) -> None:
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


def following(scope: str, after_sequence: int, transaction: KeyTransaction) -> Sequence[ChainedEvent]:
    """The next events of the copy, at most MOST_TOGETHER; none at the end."""
    return transaction.audit.following(scope, after=after_sequence, limit=MOST_TOGETHER)
