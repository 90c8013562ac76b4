"""The repository of keys and their versions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Select,
    bindparam,
    delete,
    func,
    insert,
    select,
    tuple_,
    update,
)

from libs.core.resource_names import KeyName, Owner
from libs.storage.conflicts import on_duplicate
from services.key_vault.domain.errors import key_exists
from services.key_vault.domain.key import Condition, Key, KeyOutline, KeyVersion, SealedKey
from services.key_vault.domain.ports import KeyFilter, WrappedVersion
from services.key_vault.storage.key_outlines import key_outlines
from services.key_vault.storage.key_rows import (
    changing_columns,
    ciphertext_columns,
    key_of,
    name_of,
    owner_of,
    version_columns,
    version_of,
)
from services.key_vault.storage.sealed_keys import current_versions, named_versions
from services.key_vault.storage.statuses import STATUS_COLUMNS, KeyStatusRepository
from services.key_vault.storage.tables import key_status, key_versions, keys

_WITH_STATUS = select(keys, *STATUS_COLUMNS).outerjoin(key_status)
_OWNER: Sequence[Column[Any]] = (keys.c.tenant, keys.c.user_id)
_NAME: Sequence[Column[Any]] = (*_OWNER, keys.c.key_id)


class KeyRepository:
    """Keys inside one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, name: KeyName) -> Key | None:
        """See `Keys`. In a writing transaction nobody else writes."""
        found = self._keys(_WITH_STATUS.where(keys.c.name == str(name)))
        return found[0] if found else None

    def page(self, owner: Owner, wanted: KeyFilter, *, after: tuple[str, str] | None, limit: int) -> Sequence[Key]:
        """See `Keys`."""
        query = _WITH_STATUS.where(keys.c.tenant == (owner.tenant or ""), *_conditions(wanted))
        one_user = owner.user is not None or not wanted.include_users
        if one_user:
            query = query.where(keys.c.user_id == (owner.user or ""))
        if after is not None:
            # With one user, SQLite reads on from this place only when it is told of the id alone.
            user, key_id = after
            place = tuple_(keys.c.user_id, keys.c.key_id) > tuple_(user, key_id)
            query = query.where(keys.c.key_id > key_id if one_user else place)
        return self._keys(query.order_by(keys.c.user_id, keys.c.key_id).limit(limit))

    def sealed(self, names: Collection[KeyName]) -> Mapping[KeyName, SealedKey]:
        """See `Keys`."""
        return current_versions(self._connection, names)

    def sealed_versions(self, versions: Collection[tuple[KeyName, int]]) -> Mapping[tuple[KeyName, int], SealedKey]:
        """See `Keys`."""
        return named_versions(self._connection, versions)

    def outlines(self, names: Collection[KeyName]) -> Mapping[KeyName, KeyOutline]:
        """See `Keys`."""
        return key_outlines(self._connection, names)

    def add(self, key: Key, ciphertext: str) -> None:
        """See `Keys`."""
        name = key.name
        identity = {
            "uid": key.uid,
            "name": str(name),
            "tenant": name.owner.tenant or "",
            "user_id": name.owner.user or "",
            "key_id": name.key,
            "create_time": key.create_time,
        }
        with on_duplicate(key_exists(name)):
            self._connection.execute(insert(keys).values(**identity, **changing_columns(key)))
        self._add_current(key, ciphertext)

    def add_version(self, key: Key, ciphertext: str) -> None:
        """See `Keys`."""
        self._add_current(key, ciphertext)
        self.put(key)

    def put(self, key: Key) -> None:
        """See `Keys`."""
        self._connection.execute(update(keys).where(keys.c.uid == key.uid).values(**changing_columns(key)))
        of_key = key_versions.c.key_uid == key.uid
        kept = [each.number for each in key.versions]
        self._connection.execute(delete(key_versions).where(of_key, key_versions.c.version.not_in(kept)))
        self._connection.execute(
            update(key_versions).where(of_key, key_versions.c.version == bindparam("number")),
            [
                {
                    "number": each.number,
                    "usable_until": each.usable_until,
                    "overlaps": each.overlaps,
                    "destroy_time": each.destroy_time,
                }
                for each in key.versions
            ],
        )
        self._connection.execute(
            update(key_versions)
            .where(of_key, key_versions.c.destroy_time.is_not(None))
            .values(**ciphertext_columns(""))
        )
        # A new version begins without what was said of the old one.
        KeyStatusRepository(self._connection).put({key.uid: key.status})

    def remove(self, key: Key) -> None:
        """See `Keys`. Versions and status go with their key: the schema says so."""
        self._connection.execute(delete(keys).where(keys.c.uid == key.uid))

    def with_fingerprint(self, owner: Owner, fingerprint: str) -> Sequence[KeyName]:
        """See `Keys`."""
        same = (keys.c.tenant == (owner.tenant or ""), keys.c.fingerprint == fingerprint)
        return [name_of(row) for row in self._connection.execute(select(*_NAME).where(*same))]

    def retired_before(self, time: datetime, *, limit: int) -> Sequence[KeyName]:
        """See `Keys`."""
        query = (
            select(*_NAME)
            .join(key_versions, key_versions.c.key_uid == keys.c.uid)
            .where(key_versions.c.destroy_time.is_(None), key_versions.c.usable_until < time)
        )
        return [name_of(row) for row in self._connection.execute(query.distinct().limit(limit))]

    def wrapped_below(
        self, sealing_key_version: int, *, after: tuple[str, int] | None, limit: int
    ) -> Sequence[WrappedVersion]:
        """See `Keys`."""
        place = (key_versions.c.key_uid, key_versions.c.version)
        # The `+ 0` keeps the databases off the index on this column, for which they would sort all that is left to do.
        # The page is cut before the keys are joined, or PostgreSQL may read all of those.
        page = select(*place, key_versions.c.ciphertext).where(
            _wrapped_below(key_versions.c.sealing_key_version + 0, sealing_key_version)
        )
        if after is not None:
            page = page.where(tuple_(*place) > tuple_(*after))
        found = page.order_by(*place).limit(limit).subquery()
        query: Select[Any] = select(*_OWNER, found).join(keys, keys.c.uid == found.c.key_uid)
        return [
            WrappedVersion(owner=owner_of(row), key_uid=row.key_uid, version=row.version, ciphertext=row.ciphertext)
            for row in self._connection.execute(query.order_by(found.c.key_uid, found.c.version))
        ]

    def count_wrapped_below(self, sealing_key_version: int) -> int:
        """See `Keys`."""
        below = _wrapped_below(key_versions.c.sealing_key_version, sealing_key_version)
        return self._connection.execute(select(func.count()).select_from(key_versions).where(below)).scalar_one()

    def replace_ciphertext(self, wrapped: WrappedVersion, ciphertext: str) -> None:
        """See `Keys`."""
        same = (
            key_versions.c.key_uid == wrapped.key_uid,
            key_versions.c.version == wrapped.version,
            key_versions.c.ciphertext == wrapped.ciphertext,
        )
        self._connection.execute(update(key_versions).where(*same).values(**ciphertext_columns(ciphertext)))

    def _keys(self, query: Select[Any]) -> list[Key]:
        rows = self._connection.execute(query).all()
        if not rows:
            return []
        versions = self._versions([row.uid for row in rows])
        return [key_of(row, versions[row.uid]) for row in rows]

    def _versions(self, uids: Sequence[str]) -> Mapping[str, list[KeyVersion]]:
        query = select(key_versions).where(key_versions.c.key_uid.in_(uids)).order_by(key_versions.c.version.desc())
        versions: defaultdict[str, list[KeyVersion]] = defaultdict(list)
        for row in self._connection.execute(query):
            versions[row.key_uid].append(version_of(row))
        return versions

    def _add_current(self, key: Key, ciphertext: str) -> None:
        columns = version_columns(key.current) | ciphertext_columns(ciphertext)
        self._connection.execute(insert(key_versions).values(key_uid=key.uid, **columns))


def _conditions(wanted: KeyFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.provider_type is not None:
        conditions.append(keys.c.provider_type == wanted.provider_type)
    if wanted.state is not None:
        conditions.append(keys.c.state == wanted.state.value)
    if wanted.condition is not None:
        condition = func.coalesce(key_status.c.condition, Condition.UNKNOWN.value)
        conditions.append(condition == wanted.condition.value)
    return conditions


def _wrapped_below(column: ColumnElement[int], sealing_key_version: int) -> ColumnElement[bool]:
    # 0 is for what is not sealed.
    return column.between(1, sealing_key_version - 1)
