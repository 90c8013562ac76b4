"""The repository of keys."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, insert, select, update

from libs.core.resource_names import KeyName, Owner
from libs.storage.conflicts import on_duplicate
from services.key_vault.domain.errors import key_exists
from services.key_vault.domain.key import Key, KeyState, SealedKey
from services.key_vault.storage.tables import key_versions, keys

# Built once: the batch query is the one every call of every tenant waits for.
_SEALED = (
    select(keys.c.name, keys.c.uid, keys.c.version, keys.c.origin, key_versions.c.ciphertext)
    .join(key_versions, (key_versions.c.key_uid == keys.c.uid) & (key_versions.c.version == keys.c.version))
    .where(keys.c.name.in_(bindparam("names", expanding=True)), keys.c.state == KeyState.ACTIVE.value)
)


class KeyRepository:
    """Keys inside one transaction. `locking`: what is read is about to be changed."""

    def __init__(self, connection: Connection, *, locking: bool) -> None:
        self._connection = connection
        self._locking = locking

    def get(self, name: KeyName) -> Key | None:
        """See `Keys`. In a writing transaction the row stays as it is until that ends."""
        query = select(keys).where(keys.c.name == str(name))
        row = self._connection.execute(query.with_for_update() if self._locking else query).one_or_none()
        return None if row is None else _key(row)

    def page(self, owner: Owner, *, after: str | None, limit: int) -> Sequence[Key]:
        """See `Keys`."""
        query = select(keys).where(keys.c.tenant == (owner.tenant or ""), keys.c.user_id == (owner.user or ""))
        if after is not None:
            query = query.where(keys.c.key_id > after)
        return [_key(row) for row in self._connection.execute(query.order_by(keys.c.key_id).limit(limit))]

    def sealed(self, names: Collection[KeyName]) -> Mapping[KeyName, SealedKey]:
        """See `Keys`."""
        by_text = {str(name): name for name in names}
        found = {}
        for text, uid, version, origin, ciphertext in self._connection.execute(_SEALED, {"names": list(by_text)}):
            name = by_text[text]
            found[name] = SealedKey(name=name, uid=uid, version=version, origin=origin, ciphertext=ciphertext)
        return found

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
            self._connection.execute(insert(keys).values(**identity, **_changeable(key)))
        self._add_version(key, ciphertext)

    def replace_material(self, key: Key, ciphertext: str) -> None:
        """See `Keys`."""
        self._connection.execute(delete(key_versions).where(key_versions.c.key_uid == key.uid))
        self._connection.execute(update(keys).where(keys.c.uid == key.uid).values(**_changeable(key)))
        self._add_version(key, ciphertext)

    def remove(self, key: Key) -> None:
        """See `Keys`."""
        self._connection.execute(delete(key_versions).where(key_versions.c.key_uid == key.uid))
        self._connection.execute(delete(keys).where(keys.c.uid == key.uid))

    def _add_version(self, key: Key, ciphertext: str) -> None:
        self._connection.execute(
            insert(key_versions).values(key_uid=key.uid, version=key.version, ciphertext=ciphertext)
        )


def _changeable(key: Key) -> dict[str, Any]:
    return {
        "revision": key.revision,
        "provider_type": key.provider_type,
        "origin": key.origin,
        "display_name": key.display_name,
        "labels": dict(key.labels),
        "mask": key.mask,
        "fingerprint": key.fingerprint,
        "state": key.state.value,
        "version": key.version,
        "update_time": key.update_time,
        "rotate_time": key.rotate_time,
    }


def _key(row: Row[Any]) -> Key:
    return Key(
        name=KeyName(Owner(row.tenant or None, row.user_id or None), row.key_id),
        uid=row.uid,
        revision=row.revision,
        provider_type=row.provider_type,
        origin=row.origin,
        display_name=row.display_name,
        labels=row.labels,
        mask=row.mask,
        fingerprint=row.fingerprint,
        state=KeyState(row.state),
        version=row.version,
        create_time=row.create_time,
        update_time=row.update_time,
        rotate_time=row.rotate_time,
    )
