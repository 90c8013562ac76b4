"""Taking in what providers said about keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from libs.core.clock import Clock
from libs.core.resource_names import KeyName
from services.key_vault.domain.key import KeyStatus
from services.key_vault.domain.key_outcome import (
    QUIET,
    KeyNotification,
    KeyOutcome,
    credible,
    merged,
    notification_type,
)
from services.key_vault.domain.ports import KeyStore, KeyTransaction


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeRecorder:
    """Merges reports into the keys' statuses; `notified` is told of each notification once it is stored."""

    store: KeyStore
    clock: Clock
    new_uid: Callable[[], str]
    notified: Callable[[KeyNotification], None]

    async def __call__(self, outcomes: Sequence[KeyOutcome]) -> None:
        """Store them. Outcomes of keys that are gone are dropped. Raises Unavailable."""
        now = self.clock.now()
        for notification in await self.store.write(lambda transaction: self._merge(transaction, outcomes, now)):
            self.notified(notification)

    def _merge(
        self, transaction: KeyTransaction, outcomes: Sequence[KeyOutcome], now: datetime
    ) -> list[KeyNotification]:
        found = transaction.statuses.load({outcome.name for outcome in outcomes}, notified_since=now - QUIET)
        after: dict[KeyName, KeyStatus] = {name: stored.status for name, stored in found.items()}
        for outcome in outcomes:
            if outcome.name in found:
                stored = found[outcome.name]
                after[outcome.name] = merged(
                    after[outcome.name],
                    credible(outcome, since=stored.since, now=now),
                    is_current=outcome.version == stored.version,
                    now=now,
                )
        notifications = []
        for name, stored in found.items():
            # What the reports of a batch come to is told, not each of them: their order says nothing.
            told = notification_type(stored.status.condition, after[name].condition)
            if told is not None and told not in stored.notified:
                notifications.append(
                    KeyNotification(uid=self.new_uid(), key=name, version=stored.version, type=told, create_time=now)
                )
        transaction.statuses.put({found[name].key_uid: status for name, status in after.items()})
        transaction.statuses.notify(notifications)
        return notifications
