"""Responses remembered for repeated requests."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from libs.storage.idempotency import recall, remember
from services.provider_config.domain.ports import Request
from services.provider_config.storage import tables


class SqlRequests:
    """The remembered requests as one transaction sees them."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def recall(self, request: Request, *, now: datetime) -> bytes | None:
        """The response to `request`. Raises InvalidArgument `REQUEST_ID_REUSED`."""
        return recall(
            self._connection,
            tables.requests,
            scope=request.caller,
            method=request.method,
            request_id=request.request_id,
            digest=request.digest,
            now=now,
        )

    def remember(self, request: Request, response: bytes, *, now: datetime) -> None:
        """Keep the response to `request`; only after `recall` found none."""
        remember(
            self._connection,
            tables.requests,
            scope=request.caller,
            method=request.method,
            request_id=request.request_id,
            digest=request.digest,
            response=response,
            now=now,
        )
