"""The repository of keys' statuses, and of what their owners are told."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, insert, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite

from libs.core.resource_names import KeyName, Owner
from services.key_vault.domain.key import Condition, KeyStatus
from services.key_vault.domain.key_outcome import KeyNotification, NotificationType
from services.key_vault.domain.ports import StoredStatus
from services.key_vault.storage.tables import key_notifications, key_status, keys

STATUS_COLUMNS = tuple(column for column in key_status.columns if column.name != "key_uid")

_UID_OF_NAME = select(keys.c.uid).where(keys.c.name == bindparam("name")).scalar_subquery()


class KeyStatusRepository:
    """Statuses and notifications inside one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def load(self, names: Collection[KeyName], *, notified_since: datetime) -> Mapping[KeyName, StoredStatus]:
        """See `KeyStatuses`. Two queries."""
        by_text = {str(name): name for name in names}
        called_so = keys.c.name.in_(by_text)
        told: defaultdict[str, set[NotificationType]] = defaultdict(set)
        for uid, type_ in self._connection.execute(
            select(keys.c.uid, key_notifications.c.type)
            .join(
                key_notifications,
                (key_notifications.c.key_uid == keys.c.uid) & (key_notifications.c.version == keys.c.version),
            )
            .where(called_so, key_notifications.c.create_time >= notified_since)
        ):
            told[uid].add(NotificationType(type_))
        rows = self._connection.execute(
            select(keys.c.name, keys.c.uid, keys.c.version, keys.c.create_time, keys.c.rotate_time, *STATUS_COLUMNS)
            .outerjoin(key_status)
            .where(called_so)
        )
        return {
            by_text[row.name]: StoredStatus(
                key_uid=row.uid,
                version=row.version,
                since=row.rotate_time or row.create_time,
                status=status_of(row),
                notified=frozenset(told[row.uid]),
            )
            for row in rows
        }

    def put(self, statuses: Mapping[str, KeyStatus]) -> None:
        """See `KeyStatuses`."""
        if not statuses:
            return
        construct = postgresql.insert if self._connection.dialect.name == "postgresql" else sqlite.insert
        new = construct(key_status)
        self._connection.execute(
            new.on_conflict_do_update(
                index_elements=[key_status.c.key_uid],
                set_={column.name: new.excluded[column.name] for column in STATUS_COLUMNS},
            ),
            [{"key_uid": uid, **asdict(status)} for uid, status in statuses.items()],
        )

    def notify(self, notifications: Sequence[KeyNotification]) -> None:
        """See `KeyStatuses`. The keys exist."""
        if not notifications:
            return
        self._connection.execute(
            insert(key_notifications).values(key_uid=_UID_OF_NAME),
            [
                {
                    "uid": each.uid,
                    "name": str(each.key),
                    "tenant": each.key.owner.tenant or "",
                    "user_id": each.key.owner.user or "",
                    "key_id": each.key.key,
                    "version": each.version,
                    "type": each.type.value,
                    "create_time": each.create_time,
                }
                for each in notifications
            ],
        )

    def notifications(
        self, owner: Owner, *, before: tuple[datetime, str] | None, limit: int
    ) -> Sequence[KeyNotification]:
        """See `KeyStatuses`."""
        table = key_notifications
        query = select(table).where(table.c.tenant == (owner.tenant or ""))
        if owner.user is not None:
            query = query.where(table.c.user_id == owner.user)
        if before is not None:
            place = (table.c.create_time, table.c.uid)
            query = query.where(tuple_(*place) < tuple_(*before, types=[column.type for column in place]))
        query = query.order_by(table.c.create_time.desc(), table.c.uid.desc()).limit(limit)
        return [_notification(row) for row in self._connection.execute(query)]

    def forget_notifications(self, before: datetime) -> None:
        """See `KeyStatuses`."""
        self._connection.execute(delete(key_notifications).where(key_notifications.c.create_time < before))


def status_of(row: Row[Any]) -> KeyStatus:
    """The status in a row with STATUS_COLUMNS; all of them are null for a key that has none yet."""
    if row.condition is None:
        return KeyStatus()
    return KeyStatus(
        condition=Condition(row.condition),
        condition_time=row.condition_time,
        last_use_time=row.last_use_time,
        last_success_time=row.last_success_time,
        last_rejection_time=row.last_rejection_time,
        last_exhaustion_time=row.last_exhaustion_time,
    )


def _notification(row: Row[Any]) -> KeyNotification:
    return KeyNotification(
        uid=row.uid,
        key=KeyName(Owner(row.tenant or None, row.user_id or None), row.key_id),
        version=row.version,
        type=NotificationType(row.type),
        create_time=row.create_time,
    )
