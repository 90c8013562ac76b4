"""Finding what opening a key needs: the queries that every call of every tenant waits for."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, select

from libs.core.resource_names import KeyName
from libs.storage.prepared import Lookup
from services.key_vault.domain.key import KeyState, SealedKey, VaultSecretRef
from services.key_vault.storage.tables import key_versions, keys

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

_COLUMNS = (
    keys.c.name,
    keys.c.uid,
    keys.c.state,
    keys.c.origin,
    keys.c.version.label("current_version"),
    keys.c.fallback_version,
    keys.c.fallback_until,
    key_versions.c.version,
    key_versions.c.usable_until,
    key_versions.c.overlaps,
    key_versions.c.ciphertext,
    key_versions.c.vault_secret,
    key_versions.c.vault_secret_version,
)
_OF_KEY = key_versions.c.key_uid == keys.c.uid
_CURRENT = Lookup(
    select(*_COLUMNS).join(key_versions, _OF_KEY & (key_versions.c.version == keys.c.version)), keys.c.name
)
_ALL = Lookup(select(*_COLUMNS).join(key_versions, _OF_KEY & key_versions.c.destroy_time.is_(None)), keys.c.name)


def current_versions(connection: Connection, names: Collection[KeyName]) -> dict[KeyName, SealedKey]:
    """The version in use of those of `names` that exist; one query for up to 256 names."""
    by_text = {str(name): name for name in names}
    return {row.name: row for row in (_sealed(row, by_text) for row in _CURRENT.rows(connection, by_text))}


def named_versions(
    connection: Connection, versions: Collection[tuple[KeyName, int]]
) -> dict[tuple[KeyName, int], SealedKey]:
    """Those of `versions` that exist and are not destroyed; one query for up to 256 names."""
    by_text = {str(name): name for name, _ in versions}
    # All versions of these keys: there are few, and only calls that fall back ask for one.
    found = (_sealed(row, by_text) for row in _ALL.rows(connection, by_text))
    return {(row.name, row.version): row for row in found if (row.name, row.version) in versions}


def _sealed(row: Row[Any], by_text: dict[str, KeyName]) -> SealedKey:
    (
        text, uid, state, origin, current_version, fallback_version, fallback_until,
        version, usable_until, overlaps, ciphertext, vault_secret, vault_secret_version,
    ) = tuple(row)  # fmt: skip
    return SealedKey(
        name=by_text[text],
        uid=uid,
        state=KeyState(state),
        origin=origin,
        version=version,
        is_current=version == current_version,
        usable_until=_time(usable_until),
        overlaps=bool(overlaps),
        ciphertext=ciphertext,
        vault_secret=VaultSecretRef(vault_secret, vault_secret_version) if vault_secret else None,
        fallback_version=fallback_version,
        fallback_until=_time(fallback_until),
    )


def _time(microseconds: int | None) -> datetime | None:
    return None if microseconds is None else _EPOCH + microseconds * _MICROSECOND
