"""Which providers are being tried, or were just now."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, delete, insert, or_, select, update

from libs.core.resource_names import Owner, ProviderName
from services.provider_config.domain.probe_ports import Hold
from services.provider_config.storage.tables import provider_tests


class SqlProviderTests:
    """The tests as one transaction, alone with the configuration, sees them."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def forget(self, *, ended: datetime, beyond: datetime) -> None:
        """Forget the holds of all owners that have `ended` by a time, and those that last `beyond` another."""
        until = provider_tests.c.until
        self._connection.execute(delete(provider_tests).where(or_(until <= ended, until > beyond)))

    def held(self, owner: Owner) -> Sequence[Hold]:
        """The holds on providers of `owner`, whether they exist or not."""
        of_owner = provider_tests.c.name.startswith(f"{owner}/providers/", autoescape=True)
        rows = self._connection.execute(select(provider_tests).where(of_owner))
        return [Hold(name=row.name, under_way=row.uid is not None, until=row.until) for row in rows]

    def begin(self, name: ProviderName, uid: str, *, until: datetime) -> None:
        """Hold `name`, on which there is no hold, for the test `uid`; it is taken for lost at `until`."""
        self._connection.execute(insert(provider_tests).values(name=str(name), uid=uid, until=until))

    def end(self, name: ProviderName, uid: str, *, free_at: datetime) -> None:
        """The test `uid` has ended; the next may begin at `free_at`. Nothing happens if it was taken for lost."""
        mine = (provider_tests.c.name == str(name), provider_tests.c.uid == uid)
        self._connection.execute(update(provider_tests).where(*mine).values(uid=None, until=free_at))
