"""The repository of key use."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Executable, Row, Select, bindparam, delete, or_, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite

from libs.core.resource_names import KeyName, Owner
from libs.storage.prepared import Prepared
from services.key_vault.domain.errors import invalid_field
from services.key_vault.domain.key_use import KeyUseCount
from services.key_vault.storage.tables import key_use

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_COLUMNS = tuple(column.name for column in key_use.columns)
# What `_cursor` makes and the columns can hold: a client may send anything.
_CURSOR = re.compile(r"([0-9]{1,17}) ([!-~]{1,255}) ([!-~]{1,36}) ([0-9]{1,9}) ([!-~]{1,63})")
# Within an hour, in this order.
_WITHIN_HOUR = (key_use.c.name, key_use.c.key_uid, key_use.c.version, key_use.c.service)


def _addition(dialect: str) -> Executable:
    construct = postgresql.insert if dialect == "postgresql" else sqlite.insert
    insert = construct(key_use).values({name: bindparam(name) for name in _COLUMNS})
    return insert.on_conflict_do_update(
        index_elements=list(key_use.primary_key.columns),
        set_={
            "count": key_use.c.count + insert.excluded["count"],
            "last_vault_request_id": insert.excluded["last_vault_request_id"],
        },
    )


# Every replica adds up to a few hundred counts every second.
_ADD = Prepared(_addition, _COLUMNS)


class KeyUseRepository:
    """How often keys were opened, inside one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, uses: Sequence[KeyUseCount]) -> None:
        """See `KeyUses`."""
        if uses:
            _ADD.many(self._connection, [_row(use) for use in uses])

    def forget(self, before: datetime) -> None:
        """See `KeyUses`."""
        self._connection.execute(delete(key_use).where(key_use.c.hour < before))

    def page(
        self, owner: Owner, key: KeyName | None, *, since: datetime | None, after: str | None, limit: int
    ) -> Sequence[tuple[str, KeyUseCount]]:
        """See `KeyUses`. Within an hour by key, version and service.

        Raises InvalidArgument for an `after` that was not given out here.
        """
        if key is not None and not owner.covers(key.owner):
            return []
        query = _of_owner(owner) if key is None else select(key_use).where(key_use.c.name == str(key))
        if since is not None:
            query = query.where(key_use.c.hour >= since)
        if after is not None:
            hour, *place = _place(after)
            behind = tuple_(*_WITHIN_HOUR) > tuple_(*place)
            query = query.where(key_use.c.hour <= hour, or_(key_use.c.hour < hour, behind))
        query = query.order_by(key_use.c.hour.desc(), *_WITHIN_HOUR).limit(limit)
        return [(_cursor(use), use) for use in map(_use, self._connection.execute(query))]


def _of_owner(owner: Owner) -> Select[Any]:
    query = select(key_use).where(key_use.c.tenant == (owner.tenant or ""))
    return query if owner.user is None else query.where(key_use.c.user_id == owner.user)


def _row(use: KeyUseCount) -> tuple[Any, ...]:
    owner = use.name.owner
    return (
        (use.hour - _EPOCH) // _MICROSECOND,
        use.key_uid,
        use.version,
        use.service,
        str(use.name),
        owner.tenant or "",
        owner.user or "",
        use.count,
        use.last_vault_request_id,
    )


def _use(row: Row[Any]) -> KeyUseCount:
    return KeyUseCount(
        hour=row.hour,
        name=KeyName.parse(row.name),
        key_uid=row.key_uid,
        version=row.version,
        service=row.service,
        # By position: a row is a tuple, whose own `count` counts its values.
        count=row[_COLUMNS.index("count")],
        last_vault_request_id=row.last_vault_request_id,
    )


def _cursor(use: KeyUseCount) -> str:
    return f"{(use.hour - _EPOCH) // _MICROSECOND} {use.name} {use.key_uid} {use.version} {use.service}"


def _place(cursor: str) -> tuple[datetime, str, str, int, str]:
    match = _CURSOR.fullmatch(cursor)
    if match is None:
        raise invalid_field("page_token", "is not a token this service issued")
    hour, name, key_uid, version, service = match.groups()
    return _EPOCH + int(hour) * _MICROSECOND, name, key_uid, int(version), service
