"""Answers to requests as JSON, to be remembered for a day."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import orjson

from libs.core.resource_names import KeyName
from services.key_vault.domain.key import Condition, Key, KeyState, KeyStatus, KeyVersion, VaultSecretRef
from services.key_vault.domain.ports import KeyAnswer


def encode(answer: KeyAnswer) -> bytes:
    """`answer` as JSON."""
    key = answer.key
    return orjson.dumps(
        {
            "key": {
                "name": str(key.name),
                "uid": key.uid,
                "revision": key.revision,
                "provider_type": key.provider_type,
                "origin": key.origin,
                "display_name": key.display_name,
                "labels": dict(key.labels),
                "state": key.state,
                "version": key.version,
                "last_version": key.last_version,
                # Dataclasses of JSON's own types, enums and times: orjson writes their fields.
                "versions": key.versions,
                "create_time": key.create_time,
                "update_time": key.update_time,
                "rotate_time": key.rotate_time,
                "status": key.status,
            },
            "duplicates": [str(name) for name in answer.duplicates],
            "hidden_duplicates": answer.hidden_duplicates,
        }
    )


def decode(stored: bytes) -> KeyAnswer:
    """What `encode` was given."""
    fields = orjson.loads(stored)
    return KeyAnswer(
        key=_key(fields["key"]),
        duplicates=tuple(map(KeyName.parse, fields["duplicates"])),
        hidden_duplicates=fields["hidden_duplicates"],
    )


def _key(fields: dict[str, Any]) -> Key:
    decoded = {
        "name": KeyName.parse(fields["name"]),
        "state": KeyState(fields["state"]),
        "versions": tuple(map(_version, fields["versions"])),
        "status": _status(fields["status"]),
    }
    return Key(**fields | _times(fields, "create_time", "update_time", "rotate_time") | decoded)


def _version(fields: dict[str, Any]) -> KeyVersion:
    secret = fields["vault_secret"]
    decoded = {"vault_secret": None if secret is None else VaultSecretRef(**secret)}
    return KeyVersion(**fields | _times(fields, "create_time", "usable_until", "destroy_time") | decoded)


def _status(fields: dict[str, Any]) -> KeyStatus:
    condition = Condition(fields.pop("condition"))
    return KeyStatus(condition=condition, **_times(fields, *fields))


def _times(fields: dict[str, Any], *names: str) -> dict[str, datetime | None]:
    return {name: fields[name] and datetime.fromisoformat(fields[name]) for name in names}
