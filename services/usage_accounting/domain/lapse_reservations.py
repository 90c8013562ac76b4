"""Settles reservations nobody settled in time, as the estimate they were reserved for."""

from __future__ import annotations

from libs.core.money import TokenCounts
from services.usage_accounting.domain.attempt import MICROSECONDS, EventKind, Outcome, TokenSource
from services.usage_accounting.domain.ports import Transaction, UsageStore
from services.usage_accounting.domain.reservation import Reservation
from services.usage_accounting.domain.usage_event import UsageEvent
from services.usage_accounting.domain.window_changes import WindowChanges

MOST_TOGETHER = 256


async def lapse_reservations(store: UsageStore) -> int:
    """Settle what is due, up to 256 reservations; how many there were.

    Several replicas may do it at once: each reservation lapses once.
    """

    def work(transaction: Transaction) -> int:
        now_us = transaction.now_us
        due = transaction.reservations.due(at_us=now_us, limit=MOST_TOGETHER)
        if due:
            changes = WindowChanges()
            events = [_event(reservation, now_us, changes) for reservation in due]
            transaction.ledger.append(events)
            changes.apply(transaction.windows)
            transaction.reservations.remove([reservation.key for reservation in due])
        return len(due)

    # Looked for without the writer: most of the time there is nothing to do.
    if await seconds_to_next_lapse(store) > 0:
        return 0
    return await store.write(work)


async def seconds_to_next_lapse(store: UsageStore) -> float:
    """How long until the next reservation lapses: at most 0 when one is due, infinity without any."""

    def work(transaction: Transaction) -> float:
        lapse_us = transaction.reservations.next_lapse_us()
        return float("inf") if lapse_us is None else (lapse_us - transaction.now_us) / MICROSECONDS

    return await store.read(work)


def _event(reservation: Reservation, now_us: int, changes: WindowChanges) -> UsageEvent:
    tokens = TokenCounts(input_tokens=reservation.input_tokens_estimate, output_tokens=reservation.output_tokens_limit)
    price = reservation.price
    cost = None if price is None else price.cost(tokens)
    changes.use_up(reservation.holds, tokens=tokens.total, cost=cost)
    return UsageEvent(
        EventKind.LAPSED,
        reservation.key,
        reservation.dimensions,
        Outcome.UNKNOWN,
        tokens,
        TokenSource.ESTIMATED,
        cost,
        price,
        finish_reason="",
        error_reason="",
        fallback=False,
        start_us=reservation.reserved_us,
        duration_us=None,
        first_content_us=None,
        record_us=now_us,
        counted=reservation.holds,
    )
