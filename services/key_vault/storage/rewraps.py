"""The repository of the last run of re-wrapping."""

from __future__ import annotations

from dataclasses import asdict

from sqlalchemy import Connection, delete, insert, select

from services.key_vault.domain.rewrap_run import RewrapRun
from services.key_vault.storage.tables import rewrap_run

_ONLY = 1


class RewrapRepository:
    """The run inside one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self) -> RewrapRun | None:
        """See `Rewraps`."""
        row = self._connection.execute(select(rewrap_run)).one_or_none()
        if row is None:
            return None
        return RewrapRun(
            uid=row.uid,
            sealing_key_version=row.sealing_key_version,
            total=row.total,
            remaining=row.remaining,
            failed=row.failed,
            start_time=row.start_time,
            end_time=row.end_time,
            after_uid=row.after_uid,
            after_version=row.after_version,
        )

    def put(self, run: RewrapRun) -> None:
        """See `Rewraps`."""
        self._connection.execute(delete(rewrap_run))
        self._connection.execute(insert(rewrap_run).values(id=_ONLY, **asdict(run)))
