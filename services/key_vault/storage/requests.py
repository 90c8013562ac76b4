"""The repository of remembered requests."""

from __future__ import annotations

from datetime import datetime

import orjson
from sqlalchemy import Connection

from libs.core.resource_names import KeyName
from libs.storage.idempotency import recall, remember
from services.key_vault.domain.key import Key, KeyState
from services.key_vault.domain.ports import Request
from services.key_vault.storage.tables import requests


class RequestRepository:
    """Answers of the last 24 hours inside one transaction: a key's metadata as it was then."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def recall(self, request: Request, *, now: datetime) -> Key | None:
        """See `Requests`."""
        stored = recall(
            self._connection,
            requests,
            scope=request.caller,
            method=request.method,
            request_id=request.request_id,
            digest=request.digest,
            now=now,
        )
        return None if stored is None else _decode(stored)

    def remember(self, request: Request, key: Key, *, now: datetime) -> None:
        """See `Requests`."""
        remember(
            self._connection,
            requests,
            scope=request.caller,
            method=request.method,
            request_id=request.request_id,
            digest=request.digest,
            response=_encode(key),
            now=now,
        )


def _encode(key: Key) -> bytes:
    return orjson.dumps(
        {
            "name": str(key.name),
            "uid": key.uid,
            "revision": key.revision,
            "provider_type": key.provider_type,
            "origin": key.origin,
            "display_name": key.display_name,
            "labels": dict(key.labels),
            "mask": key.mask,
            "fingerprint": key.fingerprint,
            "state": key.state.value,
            "version": key.version,
            "create_time": key.create_time.isoformat(),
            "update_time": key.update_time.isoformat(),
            "rotate_time": key.rotate_time and key.rotate_time.isoformat(),
        }
    )


def _decode(stored: bytes) -> Key:
    fields = orjson.loads(stored)
    rotate_time = fields.pop("rotate_time")
    return Key(
        name=KeyName.parse(fields.pop("name")),
        state=KeyState(fields.pop("state")),
        create_time=datetime.fromisoformat(fields.pop("create_time")),
        update_time=datetime.fromisoformat(fields.pop("update_time")),
        rotate_time=rotate_time and datetime.fromisoformat(rotate_time),
        **fields,
    )
