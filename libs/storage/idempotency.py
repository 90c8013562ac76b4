"""Remembers the response to a `request_id` (AIP-155), so that a repeated request gets it instead of a second effect.

A method's work calls `recall` first and `remember` last, in the transaction that has the effect:

    def work(connection):
        stored = recall(connection, requests, scope=…, method=…, request_id=…, digest=…, now=now)
        if stored is not None:
            return stored
        …
        remember(connection, requests, …, response=response, now=now)

A response is stored as it is: a method whose response holds a secret must not be remembered.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime, timedelta

from sqlalchemy import (
    Column,
    Connection,
    Index,
    LargeBinary,
    MetaData,
    String,
    Table,
    and_,
    delete,
    func,
    insert,
    select,
    tuple_,
)

from libs.core.errors import FieldViolation, InvalidArgument
from libs.storage.types import UtcDateTime

REMEMBERED_FOR = timedelta(hours=24)
# Every new request clears away up to this many expired ones, so the table shrinks faster than it grows.
_PURGED_TOGETHER = 20


def request_table(metadata: MetaData, name: str = "remembered_requests") -> Table:
    """The table, for a service's `tables.py` and its migration."""
    return Table(
        name,
        metadata,
        Column("scope", String(512), primary_key=True),
        Column("method", String(200), primary_key=True),
        Column("request_id", String(64), primary_key=True),
        Column("digest", LargeBinary, nullable=False),
        Column("response", LargeBinary, nullable=False),
        Column("expire_time", UtcDateTime, nullable=False),
        Index(f"ix_{name}_expire_time", "expire_time"),
    )


def recall(
    connection: Connection, table: Table, *, scope: str, method: str, request_id: str, digest: bytes, now: datetime
) -> bytes | None:
    """The response stored for this request within the last 24 hours, None when there is none.

    `scope`: within which the id is unique, such as the caller's tenant and subject. `digest`: of the request
    without its id. On PostgreSQL a second request with the same id waits here until the first one's transaction
    ends, also on other replicas. Raises InvalidArgument `REQUEST_ID_REUSED` when the id came with another request.
    """
    if connection.dialect.name == "postgresql":
        key = hashlib.sha256(f"{table.name}\0{scope}\0{method}\0{request_id}".encode()).digest()
        connection.execute(select(func.pg_advisory_xact_lock(int.from_bytes(key[:8], signed=True))))
    row = connection.execute(
        select(table.c.digest, table.c.response).where(
            table.c.scope == scope,
            table.c.method == method,
            table.c.request_id == request_id,
            table.c.expire_time > now,
        )
    ).one_or_none()
    if row is None:
        return None
    if not hmac.compare_digest(bytes(row.digest), digest):
        description = "was used for a different request within the last 24 hours"
        raise InvalidArgument(
            "REQUEST_ID_REUSED",
            f"request_id {description}",
            metadata={"field": "request_id"},
            field_violations=(FieldViolation(field="request_id", description=description),),
        )
    return bytes(row.response)


def remember(
    connection: Connection,
    table: Table,
    *,
    scope: str,
    method: str,
    request_id: str,
    digest: bytes,
    response: bytes,
    now: datetime,
) -> None:
    """Store `response` for 24 hours; only after `recall` found none. Clears some expired rows away."""
    key = (table.c.scope, table.c.method, table.c.request_id)
    own = and_(table.c.scope == scope, table.c.method == method, table.c.request_id == request_id)
    connection.execute(delete(table).where(own, table.c.expire_time <= now))
    # SKIP LOCKED (PostgreSQL; nothing on SQLite): two replicas that clear at once must not wait for each other.
    expired = (
        select(*key)
        .where(table.c.expire_time <= now)
        .order_by(table.c.expire_time)
        .limit(_PURGED_TOGETHER)
        .with_for_update(skip_locked=True)
    )
    connection.execute(delete(table).where(tuple_(*key).in_(expired)))
    connection.execute(
        insert(table).values(
            scope=scope,
            method=method,
            request_id=request_id,
            digest=digest,
            response=response,
            expire_time=now + REMEMBERED_FOR,
        )
    )
