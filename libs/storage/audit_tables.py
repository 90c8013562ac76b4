"""The tables of an audit log, and how an event becomes a row and is read back from one that nobody vouches for."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Dialect,
    Index,
    LargeBinary,
    MetaData,
    Row,
    String,
    Table,
    Text,
    case,
    cast,
    func,
    type_coerce,
)

from libs.core import audit
from libs.core.audit import AuditEvent, AuditHead, AuditOutcome, ChainedEvent
from libs.core.audit_encoding import from_unix_microseconds
from libs.core.audit_seal import SealedHead
from libs.core.resource_names import MAX_NAME_LENGTH
from libs.storage.types import Int64, JsonText, UtcDateTime

_SCOPE = String(audit.MAX_SCOPE_LENGTH)
_DIGEST = String(64)

_EVENT_COLUMNS = (
    "sequence", "previous_hash", "hash", "scope", "event_id", "time", "actor", "roles", "address", "action", "target",
    "outcome", "reason", "request_id", "details",
)  # fmt: skip
_HEAD_COLUMNS = ("scope", "sequence", "hash", "mac")


@dataclass(frozen=True, slots=True)
class AuditTables:
    """The tables of one audit log: `events` are only ever added, `heads` move with them."""

    events: Table
    heads: Table


def audit_tables(metadata: MetaData) -> AuditTables:
    """The tables `audit_events` and `audit_heads`, for a service's `tables.py` and its migration.

    The revision that creates `audit_events` protects it too: see `libs.storage.audit_protection.protect`.
    """
    events = Table(
        "audit_events",
        metadata,
        Column("scope", _SCOPE, primary_key=True),
        Column("sequence", Int64, primary_key=True, autoincrement=False),
        Column("event_id", String(36), nullable=False),
        Column("time", UtcDateTime, nullable=False),
        Column("actor", String(MAX_NAME_LENGTH), nullable=False),
        Column("roles", JsonText, nullable=False),
        Column("address", String(audit.MAX_ADDRESS_LENGTH), nullable=False),
        Column("action", String(audit.MAX_ACTION_LENGTH), nullable=False),
        Column("target", String(MAX_NAME_LENGTH), nullable=False),
        Column("outcome", String(16), nullable=False),
        Column("reason", String(audit.MAX_REASON_LENGTH), nullable=False),
        Column("request_id", String(audit.MAX_REQUEST_ID_LENGTH), nullable=False),
        Column("details", JsonText, nullable=False),
        Column("previous_hash", _DIGEST, nullable=False),
        Column("hash", _DIGEST, nullable=False),
        Index("ix_audit_events_time", "scope", "time"),
        # With the sequence, so that the pages of a filtered list come from the index in their order.
        Index("ix_audit_events_actor", "scope", "actor", "sequence"),
        Index("ix_audit_events_target", "scope", "target", "sequence"),
        # On SQLite the rows lie in the order of the chain, and the primary key is the only way to replace one.
        sqlite_with_rowid=False,
    )
    heads = Table(
        "audit_heads",
        metadata,
        Column("scope", _SCOPE, primary_key=True),
        Column("sequence", Int64, nullable=False),
        Column("hash", _DIGEST, nullable=False),
        Column("mac", _DIGEST, nullable=False),
    )
    return AuditTables(events, heads)


def event_values(chained: ChainedEvent) -> dict[str, Any]:
    """The row of `chained`."""
    event = chained.event
    return {
        "scope": event.scope,
        "sequence": chained.sequence,
        "event_id": event.event_id,
        "time": event.time,
        "actor": event.actor,
        "roles": list(event.roles),
        "address": event.address,
        "action": event.action,
        "target": event.target,
        "outcome": event.outcome.value,
        "reason": event.reason,
        "request_id": event.request_id,
        "details": dict(event.details),
        "previous_hash": chained.previous_hash,
        "hash": chained.hash,
    }


def event_columns(tables: AuditTables, dialect: Dialect) -> Sequence[ColumnElement[Any]]:
    """What to select so that `chained_event` can read it, whatever somebody has put there."""
    return _as_stored(tables.events, _EVENT_COLUMNS, dialect.name)


def head_columns(tables: AuditTables, dialect: Dialect) -> Sequence[ColumnElement[Any]]:
    """What to select so that `sealed_head` can read it, whatever somebody has put there."""
    return _as_stored(tables.heads, _HEAD_COLUMNS, dialect.name)


def chained_event(row: Row[Any]) -> ChainedEvent:
    """The event in a row of `event_columns`. Raises ValueError for a row that `append` never wrote."""
    event = AuditEvent(
        scope=_text(row.scope),
        event_id=_text(row.event_id),
        time=from_unix_microseconds(_integer(row.time)),
        actor=_text(row.actor),
        roles=_roles(row.roles),
        address=_text(row.address),
        action=_text(row.action),
        target=_text(row.target),
        outcome=AuditOutcome(_text(row.outcome)),
        reason=_text(row.reason),
        request_id=_text(row.request_id),
        details=_details(row.details),
    )
    return ChainedEvent(
        sequence=_integer(row.sequence), previous_hash=_text(row.previous_hash), hash=_text(row.hash), event=event
    )


def sealed_head(row: Row[Any]) -> SealedHead:
    """The head in a row of `head_columns`. Raises ValueError for a row that `append` never wrote."""
    head = AuditHead(scope=_text(row.scope), sequence=_integer(row.sequence), hash=_text(row.hash))
    return SealedHead(head=head, mac=_text(row.mac))


# Making the columns takes as long as the query itself.
@functools.cache
def _as_stored(table: Table, names: Sequence[str], dialect: str) -> Sequence[ColumnElement[Any]]:
    return tuple(_column_as_stored(table.c[name], dialect).label(name) for name in names)


def _column_as_stored(column: Column[Any], dialect: str) -> ColumnElement[Any]:
    """The column, but not through its type, which fails on values it never made."""
    is_integer = isinstance(column.type, Int64 | UtcDateTime)
    if dialect != "sqlite":
        return type_coerce(column, BigInteger if is_integer else Text)
    # Any column of SQLite holds any type, and its driver fails on text that is not UTF-8: text comes as its bytes, and
    # what is of another type than the column as null.
    if is_integer:
        return case((func.typeof(column) == "integer", type_coerce(column, BigInteger)))
    return case((func.typeof(column) == "text", cast(column, LargeBinary)))


def _text(value: object) -> str:
    match value:
        case str():
            return value
        case bytes():
            return value.decode()
        case _:
            raise ValueError("the column holds no text")


def _integer(value: object) -> int:
    if type(value) is not int:
        raise ValueError("the column holds no integer")
    return value


def _roles(value: object) -> tuple[str, ...]:
    text = _text(value)
    roles = orjson.loads(text)
    if type(roles) is not list or not all(type(role) is str for role in roles):
        raise ValueError("the column holds no list of texts")
    _check_as_written(roles, text)
    return tuple(roles)


def _details(value: object) -> dict[str, str]:
    text = _text(value)
    details: dict[str, str] = orjson.loads(text)
    if type(details) is not dict or not all(type(each) is str for each in details.values()):
        raise ValueError("the column holds no map of texts")
    _check_as_written(details, text)
    return details


def _check_as_written(found: object, text: str) -> None:
    # The hash is over what the text means, which other spaces or repeated names would leave as it is.
    if orjson.dumps(found, option=orjson.OPT_SORT_KEYS).decode() != text:
        raise ValueError("the column does not hold JSON as it was written")
