"""Writes and lists the audit log inside a transaction: an event is stored with the change it records, or neither is.

def work(connection):
    …
    append(connection, tables, event, seal=seal)
"""

from __future__ import annotations

import logging
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError

from libs.core.audit import AuditEvent, AuditFilter, AuditHead, ChainedEvent, chain_hash, genesis_hash
from libs.core.audit_seal import HeadSeal, SealedHead
from libs.core.errors import FailedPrecondition
from libs.storage.audit_tables import (
    AuditTables,
    chained_event,
    event_columns,
    event_values,
    head_columns,
    sealed_head,
)

_log = logging.getLogger(__name__)


def append(connection: Connection, tables: AuditTables, event: AuditEvent, *, seal: HeadSeal) -> ChainedEvent:
    """Add `event` at the end of its chain and move the sealed head there.

    Correct with any number of replicas: whoever appends to a chain holds its head's row until the transaction ends.
    Transactions that append to several chains should be alone (one advisory lock for all), or they may meet in a
    deadlock, which `Database.write` resolves by running one of them again.

    Raises FailedPrecondition `AUDIT_LOG_DAMAGED` when the stored head does not carry the seal or its place is taken: to
    go on would put the deployment's own seal on what somebody else wrote. Let it leave the work.
    """
    end = _head_to_move(connection, tables, event.scope, seal)
    sequence = end.sequence + 1
    chained = ChainedEvent(
        sequence=sequence, previous_hash=end.hash, hash=chain_hash(end.hash, sequence, event), event=event
    )
    _insert(connection, tables, chained)
    moved = AuditHead(scope=event.scope, sequence=sequence, hash=chained.hash)
    connection.execute(
        update(tables.heads).where(tables.heads.c.scope == event.scope).values(_head_values(seal.seal(moved)))
    )
    return chained


def list_events(
    connection: Connection,
    tables: AuditTables,
    scope: str,
    wanted: AuditFilter,
    *,
    after_sequence: int | None = None,
    before_sequence: int | None = None,
    limit: int,
    newest_first: bool = True,
) -> list[ChainedEvent]:
    """Up to `limit` events of `scope` that `wanted` lets through, by sequence; the bounds are exclusive.

    For the next page give the last sequence as `before_sequence`, or as `after_sequence` when the oldest come first.
    The order comes from an index, so that any page of a long chain costs the same; only a filter that few events pass
    makes the database look further. What is listed is not verified. Raises FailedPrecondition `AUDIT_LOG_DAMAGED` for
    a row that is no event.
    """
    events = tables.events
    query = select(*event_columns(tables, connection.dialect)).where(
        events.c.scope == scope, *_conditions(events, wanted)
    )
    if after_sequence is not None:
        query = query.where(events.c.sequence > after_sequence)
    if before_sequence is not None:
        query = query.where(events.c.sequence < before_sequence)
    order = events.c.sequence.desc() if newest_first else events.c.sequence.asc()
    rows = connection.execute(query.order_by(order).limit(limit)).all()
    try:
        return [chained_event(row) for row in rows]
    except ValueError:
        damaged = _damaged(scope, "a row is no event")
    raise damaged


def heads(connection: Connection, tables: AuditTables, *, seal: HeadSeal) -> list[AuditHead]:
    """The ends of all chains, for anchoring, by scope.

    A row that is no head, or does not carry the seal, is left out: it must neither be vouched for nor keep the other
    chains from being anchored. Its own verification tells.
    """
    found = []
    for row in connection.execute(select(*head_columns(tables, connection.dialect)).order_by(tables.heads.c.scope)):
        try:
            sealed = sealed_head(row)
        except ValueError:
            sealed = None
        if sealed is not None and seal.is_on(sealed):
            found.append(sealed.head)
        else:
            _log.error("a row of %s is no head that was sealed here: verify the audit log", tables.heads.name)
    return found


def carries_seal(connection: Connection, tables: AuditTables, *, seal: HeadSeal) -> bool:
    """Whether any chain carries `seal`, or there is none yet: False says that another deployment's seal is here."""
    total = connection.scalars(select(func.count()).select_from(tables.heads)).one()
    return not total or bool(heads(connection, tables, seal=seal))


def stored_head(connection: Connection, tables: AuditTables, scope: str, *, to_move: bool = False) -> SealedHead | None:
    """The head of `scope` as it is stored; `to_move` keeps its row from others until the transaction ends.

    Raises ValueError for what is no head.
    """
    query = select(*head_columns(tables, connection.dialect)).where(tables.heads.c.scope == scope)
    rows = connection.execute(query.with_for_update() if to_move else query).all()
    if len(rows) > 1:
        # Only in a table that lost its primary key.
        raise ValueError("a chain has one head")
    return sealed_head(rows[0]) if rows else None


def _head_to_move(connection: Connection, tables: AuditTables, scope: str, seal: HeadSeal) -> AuditHead:
    try:
        sealed = stored_head(connection, tables, scope, to_move=True)
        if sealed is None:
            _start(connection, tables, scope, seal)
            sealed = stored_head(connection, tables, scope, to_move=True)
    except ValueError:
        sealed = None
    if sealed is None or not seal.is_on(sealed):
        raise _damaged(scope, "its head does not carry the deployment's seal, and what cannot be recorded is not done")
    return sealed.head


def _insert(connection: Connection, tables: AuditTables, chained: ChainedEvent) -> None:
    try:
        connection.execute(insert(tables.events), event_values(chained))
    except IntegrityError:
        # From the primary key, or on SQLite from the trigger that guards it.
        damaged = _damaged(
            chained.event.scope, "there are events after its head, and what cannot be recorded is not done"
        )
    else:
        return
    raise damaged


def _start(connection: Connection, tables: AuditTables, scope: str, seal: HeadSeal) -> None:
    # Two replicas may both have found no head. The second one's INSERT waits for the first one's transaction and then
    # does nothing; the head it reads next is the one that the first has moved.
    start = AuditHead(scope=scope, sequence=0, hash=genesis_hash(scope))
    construct = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    connection.execute(construct(tables.heads).values(_head_values(seal.seal(start))).on_conflict_do_nothing())


def _head_values(sealed: SealedHead) -> dict[str, Any]:
    head = sealed.head
    return {"scope": head.scope, "sequence": head.sequence, "hash": head.hash, "mac": sealed.mac}


def _conditions(events: Table, wanted: AuditFilter) -> list[ColumnElement[bool]]:
    equal = {
        "actor": wanted.actor,
        "action": wanted.action,
        "target": wanted.target,
        "outcome": None if wanted.outcome is None else wanted.outcome.value,
    }
    conditions: list[ColumnElement[bool]] = [
        events.c[name] == value for name, value in equal.items() if value is not None
    ]
    if wanted.since is not None:
        conditions.append(events.c.time >= wanted.since)
    if wanted.until is not None:
        conditions.append(events.c.time < wanted.until)
    return conditions


def _damaged(scope: str, problem: str) -> FailedPrecondition:
    return FailedPrecondition(
        "AUDIT_LOG_DAMAGED",
        f"the audit log of {scope} was changed from outside, or is sealed with another key: {problem}. Verify the log, "
        "see that every replica has the same sealing key, and restore the database from a backup if rows were changed.",
        metadata={"scope": scope},
    )
