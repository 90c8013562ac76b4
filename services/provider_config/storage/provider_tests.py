"""Which providers are being tried, or were just now."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, delete, insert, select, update

from libs.core.resource_names import ProviderName
from services.provider_config.domain.probe_ports import Hold
from services.provider_config.storage.tables import provider_tests


class SqlProviderTests:
    """The tests as one transaction, alone with the configuration, sees them."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def begin(self, name: ProviderName, uid: str, *, now: datetime, until: datetime) -> Hold | None:
        """Hold `name` for the test `uid`, which is taken for lost at `until`; or why that cannot be."""
        # What holds nobody up any more goes, whoever's it was: names need not exist to be tried.
        self._connection.execute(delete(provider_tests).where(provider_tests.c.until <= now))
        query = select(provider_tests).where(provider_tests.c.name == str(name))
        row = self._connection.execute(query).one_or_none()
        if row is not None:
            return Hold(under_way=row.uid is not None, until=row.until)
        self._connection.execute(insert(provider_tests).values(name=str(name), uid=uid, until=until))
        return None

    def end(self, name: ProviderName, uid: str, *, free_at: datetime) -> None:
        """The test `uid` has ended; the next may begin at `free_at`. Nothing happens if it was taken for lost."""
        mine = (provider_tests.c.name == str(name), provider_tests.c.uid == uid)
        self._connection.execute(update(provider_tests).where(*mine).values(uid=None, until=free_at))
