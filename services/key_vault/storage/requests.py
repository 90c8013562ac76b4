"""The repository of remembered requests."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from libs.storage.idempotency import recall, remember
from services.key_vault.domain.ports import KeyAnswer, Request
from services.key_vault.storage.answers import decode, encode
from services.key_vault.storage.tables import requests


class RequestRepository:
    """Answers of the last 24 hours inside one transaction: what was said then, whatever became of the key."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def recall(self, request: Request, *, now: datetime) -> KeyAnswer | None:
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
        return None if stored is None else decode(stored)

    def remember(self, request: Request, answer: KeyAnswer, *, now: datetime) -> None:
        """See `Requests`."""
        remember(
            self._connection,
            requests,
            scope=request.caller,
            method=request.method,
            request_id=request.request_id,
            digest=request.digest,
            response=encode(answer),
            now=now,
        )
