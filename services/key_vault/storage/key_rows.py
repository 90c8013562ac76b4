"""Keys and versions as rows hold them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row

from libs.core.resource_names import KeyName, Owner
from services.key_vault.domain.key import Key, KeyState, KeyVersion, VaultSecretRef
from services.key_vault.storage.statuses import status_of

_SEALED = re.compile(r"vault:v([0-9]{1,9}):")


def owner_of(row: Row[Any]) -> Owner:
    """The owner in a row with the columns `tenant` and `user_id`."""
    return Owner(row.tenant or None, row.user_id or None)


def name_of(row: Row[Any]) -> KeyName:
    """The name in a row with the owner's columns and `key_id`."""
    return KeyName(owner_of(row), row.key_id)


def key_of(row: Row[Any], versions: Sequence[KeyVersion]) -> Key:
    """The key in a row of `keys` with its status; `versions` are newest first."""
    return Key(
        name=name_of(row),
        uid=row.uid,
        revision=row.revision,
        provider_type=row.provider_type,
        origin=row.origin,
        display_name=row.display_name,
        labels=row.labels,
        state=KeyState(row.state),
        version=row.version,
        last_version=row.last_version,
        versions=tuple(versions),
        create_time=row.create_time,
        update_time=row.update_time,
        rotate_time=row.rotate_time,
        status=status_of(row),
    )


def changing_columns(key: Key) -> dict[str, Any]:
    """The columns of `keys` that change in the life of a key."""
    fallback = key.fallback
    return {
        "revision": key.revision,
        "provider_type": key.provider_type,
        "origin": key.origin,
        "display_name": key.display_name,
        "labels": dict(key.labels),
        "fingerprint": key.current.fingerprint,
        "state": key.state.value,
        "version": key.version,
        "last_version": key.last_version,
        "fallback_version": 0 if fallback is None else fallback.number,
        "fallback_until": None if fallback is None else fallback.usable_until,
        "update_time": key.update_time,
        "rotate_time": key.rotate_time,
    }


def version_of(row: Row[Any]) -> KeyVersion:
    """The version in a row of `key_versions`."""
    return KeyVersion(
        number=row.version,
        mask=row.mask,
        fingerprint=row.fingerprint,
        create_time=row.create_time,
        vault_secret=VaultSecretRef(row.vault_secret, row.vault_secret_version) if row.vault_secret else None,
        usable_until=row.usable_until,
        overlaps=row.overlaps,
        destroy_time=row.destroy_time,
    )


def version_columns(version: KeyVersion) -> dict[str, Any]:
    """The columns of `key_versions` that stay as they are, with what identifies the version in its key."""
    secret = version.vault_secret
    return {
        "version": version.number,
        "mask": version.mask,
        "fingerprint": version.fingerprint,
        "create_time": version.create_time,
        "vault_secret": "" if secret is None else secret.id,
        "vault_secret_version": 0 if secret is None else secret.version,
        "overlaps": version.overlaps,
    }


def ciphertext_columns(ciphertext: str) -> dict[str, Any]:
    """The columns of `key_versions` about what is sealed; `ciphertext` is empty when nothing is."""
    match = _SEALED.match(ciphertext)
    return {"ciphertext": ciphertext, "sealing_key_version": 0 if match is None else int(match[1])}
