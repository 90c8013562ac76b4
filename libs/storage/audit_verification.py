"""Verifies a stored chain in pages, so that its length costs time but no memory."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, func, select

from libs.core.audit import AuditHead, ChainedEvent
from libs.core.audit_seal import HeadSeal, SealedHead
from libs.core.audit_verification import ChainProblem, ChainVerification, ChainVerifier
from libs.storage.audit_chain import stored_head
from libs.storage.audit_tables import AuditTables, chained_event, event_columns
from libs.storage.database import Database

# A page takes some 20 ms, for which its reader thread serves nobody else.
PAGE = 1000


class PagedVerification:
    """One verification of the chain of `scope`, page by page: each `advance` may run in a transaction of its own.

    Between pages the chain may grow. Raises ValueError for anchors of other chains.
    """

    def __init__(self, tables: AuditTables, scope: str, *, seal: HeadSeal, anchors: Sequence[AuditHead] = ()) -> None:
        self._tables = tables
        self._scope = scope
        self._seal = seal
        self._verifier = ChainVerifier(scope, anchors=anchors)

    def advance(self, connection: Connection) -> ChainVerification | None:
        """Check the next page; what was found once the end or a break is reached.

        A work for `Database.read`: nothing changes here until everything is read, so that it can be run again.
        """
        page = self._page(connection)
        at_end = len(page) < PAGE
        head = self._head(connection) if at_end else None
        stored = self._count(connection) if at_end else 0
        verifier = self._verifier
        whole = all(verifier.follow_unreadable() if chained is None else verifier.follow(chained) for chained in page)
        if whole and not at_end:
            return None
        if whole and stored != verifier.sequence:
            # Rows that a page in ascending order passes by: of a table that lost its primary key.
            verifier.refuse(verifier.sequence, ChainProblem.REORDERED)
        return verifier.finish(head, self._seal)

    def _page(self, connection: Connection) -> list[ChainedEvent | None]:
        """The next events; None for a row that is none."""
        events = self._tables.events
        query = select(*event_columns(self._tables, connection.dialect)).where(events.c.scope == self._scope)
        if self._verifier.sequence:
            query = query.where(events.c.sequence > self._verifier.sequence)
        page: list[ChainedEvent | None] = []
        for row in connection.execute(query.order_by(events.c.sequence).limit(PAGE)):
            try:
                page.append(chained_event(row))
            except ValueError:
                page.append(None)
        return page

    def _head(self, connection: Connection) -> SealedHead | None:
        try:
            return stored_head(connection, self._tables, self._scope)
        except ValueError:
            # A head that nobody sealed.
            return SealedHead(head=AuditHead(scope=self._scope, sequence=0, hash=""), mac="")

    def _count(self, connection: Connection) -> int:
        events = self._tables.events
        return connection.scalars(select(func.count()).select_from(events).where(events.c.scope == self._scope)).one()


async def verify_in_pages(
    database: Database, tables: AuditTables, scope: str, *, seal: HeadSeal, anchors: Sequence[AuditHead] = ()
) -> ChainVerification:
    """Verify the chain of `scope`, giving others their turn at `database` between pages.

    Raises Unavailable, and ValueError for anchors of other chains.
    """
    verification = PagedVerification(tables, scope, seal=seal, anchors=anchors)
    while (result := await database.read(verification.advance)) is None:
        pass
    return result


def verify(
    connection: Connection, tables: AuditTables, scope: str, *, seal: HeadSeal, anchors: Sequence[AuditHead] = ()
) -> ChainVerification:
    """Verify the chain of `scope` on one snapshot: every link and hash, the head and its seal, every anchor.

    Raises ValueError for anchors of other chains. In a service that serves others meanwhile, use `verify_in_pages`.
    """
    verification = PagedVerification(tables, scope, seal=seal, anchors=anchors)
    while (result := verification.advance(connection)) is None:
        pass
    return result
