"""Gives reservations back that were never used."""

from __future__ import annotations

from collections.abc import Sequence

from services.usage_accounting.domain.attempt import AttemptKey
from services.usage_accounting.domain.ports import Transaction, UsageStore
from services.usage_accounting.domain.window_changes import WindowChanges


async def release_usage(store: UsageStore, keys: Sequence[AttemptKey]) -> list[bool]:
    """Release each of `keys`: whether a reservation was there. No ledger event; idempotent."""

    def work(transaction: Transaction) -> list[bool]:
        live = transaction.reservations.of_operations({key.operation_id for key in keys})
        changes = WindowChanges()
        released: list[AttemptKey] = []
        results: list[bool] = []
        for key in keys:
            reservation = live.pop(key, None)
            results.append(reservation is not None)
            if reservation is not None:
                changes.give_back(reservation.holds)
                released.append(key)
        if released:
            changes.apply(transaction.windows)
            transaction.reservations.remove(released)
        return results

    return await store.write(work)
