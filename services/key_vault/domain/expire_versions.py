"""Destroying what need not be kept: retired versions after a time, old notifications, old counts of key use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from libs.core.audit_authors import Occasion
from libs.core.clock import Clock
from libs.core.errors import GatehouseError, Unavailable
from libs.core.resource_names import KeyName
from services.key_vault.domain.author import GATEHOUSE
from services.key_vault.domain.commands import DestroyKeyVersion
from services.key_vault.domain.destroy_key_version import destroy_key_version
from services.key_vault.domain.ports import KeyStore, KeyTransaction

NOTIFICATIONS_KEPT = timedelta(days=90)
KEY_USE_KEPT = timedelta(days=400)
"""A year and the month in which it is looked at."""
_MOST_TOGETHER = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionExpirer:
    """`kept` is how long a version stays after it retired."""

    store: KeyStore
    clock: Clock
    new_uid: Callable[[], str]
    kept: timedelta

    async def __call__(self) -> None:
        """Destroy every version that retired too long ago, and forget old notifications and counts of key use.

        A key that cannot be changed keeps no other from it. Raises Unavailable, and the first such error at the end.
        """
        now = self.clock.now()
        before = now - self.kept
        failed: dict[KeyName, GatehouseError] = {}
        while True:
            # Those that failed come again, and must not fill the page.
            names = await self.store.read(partial(_retired, before, _MOST_TOGETHER + len(failed)))
            due = [name for name in names if name not in failed]
            for name in due:
                try:
                    await self.store.write(partial(self._expire, name, before, now))
                except Unavailable:
                    raise
                except GatehouseError as error:
                    failed[name] = error
            if not due:
                break
        await self.store.write(lambda transaction: transaction.statuses.forget_notifications(now - NOTIFICATIONS_KEPT))
        await self.store.write(lambda transaction: transaction.uses.forget(now - KEY_USE_KEPT))
        if failed:
            raise next(iter(failed.values()))

    def _expire(self, name: KeyName, before: datetime, now: datetime, transaction: KeyTransaction) -> None:
        key = transaction.keys.get(name)
        if key is None:
            return
        for version in key.versions:
            retired = version.usable_until
            if version.destroy_time is None and retired is not None and retired < before:
                command = DestroyKeyVersion(name=name, author=GATEHOUSE, version=version.number)
                destroy_key_version(transaction, command, Occasion(now=now, uid=self.new_uid()))


def _retired(before: datetime, limit: int, transaction: KeyTransaction) -> Sequence[KeyName]:
    return transaction.keys.retired_before(before, limit=limit)
