"""Gives back what was reserved for attempts that were never sent, also when the reservation has lapsed meanwhile."""

from __future__ import annotations

from collections.abc import Sequence

from libs.core.money import TokenCounts
from services.usage_accounting.domain.attempt import AttemptKey, EventKind, Outcome, TokenSource
from services.usage_accounting.domain.ports import Transaction, UsageStore
from services.usage_accounting.domain.settle_usage import correct_lapsed
from services.usage_accounting.domain.usage_event import Settlement, UsageEvent
from services.usage_accounting.domain.window_changes import WindowChanges
from services.usage_accounting.domain.windows import WindowCalendar

NOT_SENT = "NOT_SENT"
"""The error reason of a correction that a release wrote."""


async def release_usage(store: UsageStore, keys: Sequence[AttemptKey]) -> list[bool]:
    """Release each of `keys`: whether something was given back.

    A live reservation goes without a ledger event. One that lapsed is in the ledger as an estimate: a CORRECTION
    takes it down to zero tokens and zero cost, unless a correction is there already. Idempotent: what is unknown,
    settled, corrected or released before stays as it is.
    """

    def work(transaction: Transaction) -> list[bool]:
        live = transaction.reservations.of_operations({key.operation_id for key in keys})
        # An attempt is either reserved or in the ledger, so the ledger is asked for the others only.
        others = {key.operation_id for key in keys if key not in live}
        recorded = transaction.ledger.of_operations(others) if others else {}
        lapsed = {
            key: each.first
            for key, each in recorded.items()
            if each.first.kind is EventKind.LAPSED and not each.is_corrected
        }
        calendar = WindowCalendar()
        changes = WindowChanges()
        released: list[AttemptKey] = []
        events: list[UsageEvent] = []
        results: list[bool] = []
        for key in keys:
            reservation = live.pop(key, None)
            estimate = lapsed.pop(key, None)
            if reservation is not None:
                changes.give_back(reservation.holds)
                released.append(key)
            elif estimate is not None:
                correction = correct_lapsed(transaction, calendar, changes, _never_sent(estimate), estimate)
                # It took no time: counted as timed, it would lower the mean duration.
                events.append(correction._replace(duration_us=None))
            results.append(reservation is not None or estimate is not None)
        if events:
            transaction.ledger.append(events)
        changes.apply(transaction.windows)
        if released:
            transaction.reservations.remove(released)
        return results

    return await store.write(work)


def _never_sent(lapsed: UsageEvent) -> Settlement:
    return Settlement(
        lapsed.key,
        Outcome.FAILED,
        TokenCounts(),
        TokenSource.REPORTED,
        finish_reason="",
        error_reason=NOT_SENT,
        start_us=lapsed.start_us,
        duration_us=0,
        first_content_us=None,
        fallback=False,
    )
