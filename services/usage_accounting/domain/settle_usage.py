"""Turns reservations into ledger events: exactly one for each attempt, and a correction for one that had lapsed."""

from __future__ import annotations

from collections.abc import Sequence

from libs.core.errors import GatehouseError
from libs.core.money import NanoUsd, TokenCounts
from services.usage_accounting.domain.attempt import AttemptKey, Dimensions, EventKind
from services.usage_accounting.domain.errors import reservation_not_found
from services.usage_accounting.domain.experiments import ArmAttempt, arm_attempt
from services.usage_accounting.domain.ports import Transaction, UsageStore
from services.usage_accounting.domain.quota import Quota, WindowKey
from services.usage_accounting.domain.reservation import Reservation
from services.usage_accounting.domain.usage_event import Receipt, Recorded, Settlement, UsageEvent
from services.usage_accounting.domain.window_changes import WindowChanges
from services.usage_accounting.domain.windows import WindowCalendar


async def settle_usage(
    store: UsageStore, calendar: WindowCalendar, settlements: Sequence[Settlement]
) -> list[Receipt | GatehouseError]:
    """Settle each of `settlements`; one result for each, in order. What has a receipt is on disk.

    Idempotent for ever. An item's error is `RESERVATION_NOT_FOUND`.
    """
    return await store.write(lambda transaction: _Batch(transaction, calendar, settlements).settle(settlements))


class _Batch:
    """The state that the items of one batch share."""

    def __init__(self, transaction: Transaction, calendar: WindowCalendar, settlements: Sequence[Settlement]) -> None:
        self._transaction = transaction
        self._calendar = calendar
        self._now_us = transaction.now_us
        self._live: dict[AttemptKey, Reservation] = transaction.reservations.of_operations(
            {settlement.key.operation_id for settlement in settlements}
        )
        # An attempt is either reserved or in the ledger, so the ledger is asked for the others only.
        others = {settlement.key.operation_id for settlement in settlements if settlement.key not in self._live}
        self._recorded: dict[AttemptKey, Recorded] = transaction.ledger.of_operations(others) if others else {}
        self._events: list[UsageEvent] = []
        self._arm_attempts: list[ArmAttempt] = []
        self._settled: list[AttemptKey] = []
        self._changes = WindowChanges()

    def settle(self, settlements: Sequence[Settlement]) -> list[Receipt | GatehouseError]:
        results = [self._settle_one(settlement) for settlement in settlements]
        if self._events:
            self._transaction.ledger.append(self._events)
            if self._arm_attempts:
                self._transaction.experiments.add(self._arm_attempts)
            self._changes.apply(self._transaction.windows)
        if self._settled:
            self._transaction.reservations.remove(self._settled)
        return results

    def _settle_one(self, settlement: Settlement) -> Receipt | GatehouseError:
        recorded = self._recorded.get(settlement.key)
        if recorded is not None:
            if recorded.first.kind is EventKind.LAPSED and not recorded.is_corrected:
                return self._correct(settlement, recorded.first)
            return Receipt(recorded.cost, already_settled=True)
        reservation = self._live.pop(settlement.key, None)
        if reservation is None:
            return reservation_not_found(settlement.key)
        price = reservation.price
        cost = None if price is None else price.cost(settlement.tokens)
        event = UsageEvent(
            EventKind.SETTLED,
            settlement.key,
            reservation.dimensions,
            settlement.outcome,
            settlement.tokens,
            settlement.token_source,
            cost,
            price,
            settlement.finish_reason,
            settlement.error_reason,
            settlement.fallback,
            settlement.start_us,
            settlement.duration_us,
            settlement.first_content_us,
            self._now_us,
            None,
        )
        self._changes.use_up(reservation.holds, tokens=settlement.tokens.total, cost=cost)
        self._settled.append(settlement.key)
        self._recorded[settlement.key] = Recorded(event, None, is_corrected=False)
        self._events.append(event)
        self._count_for_arm(settlement, reservation.dimensions, cost)
        return Receipt(cost, already_settled=False)

    def _correct(self, settlement: Settlement, lapsed: UsageEvent) -> Receipt:
        event = correct_lapsed(self._transaction, self._calendar, self._changes, settlement, lapsed)
        recorded = Recorded(lapsed, event.cost, is_corrected=True)
        self._recorded[settlement.key] = recorded
        self._events.append(event)
        self._count_for_arm(settlement, lapsed.dimensions, recorded.cost)
        return Receipt(recorded.cost, already_settled=False)

    def _count_for_arm(self, settlement: Settlement, dimensions: Dimensions, cost: NanoUsd | None) -> None:
        attempt = arm_attempt(settlement, dimensions, cost)
        if attempt is not None:
            self._arm_attempts.append(attempt)


def correct_lapsed(
    transaction: Transaction,
    calendar: WindowCalendar,
    changes: WindowChanges,
    settlement: Settlement,
    lapsed: UsageEvent,
) -> UsageEvent:
    """The event with the difference of `settlement` to what was taken for granted when the reservation lapsed.

    Adds to `changes` what this means for windows; the caller appends the event and applies the changes.
    """
    cost = None if lapsed.price is None else lapsed.price.cost(settlement.tokens)
    difference = None if cost is None else NanoUsd(cost - (lapsed.cost or 0))
    tokens = _difference(settlement.tokens, lapsed.tokens)
    counted = lapsed.counted or ()
    for hold in counted:
        changes.correct(hold.window, hold.metric, tokens=tokens.total, cost=difference)
    known = {hold.window.quota_uid for hold in counted}
    for quota in _quotas_since(transaction, lapsed):
        # Created after the lapse: it counted the estimate when it read what was used before it.
        if quota.uid not in known:
            window = calendar.window(quota.time_zone, quota.window, lapsed.start_us)
            key = WindowKey(quota.uid, window.start_us)
            changes.correct(key, quota.metric, tokens=tokens.total, cost=difference)
    return UsageEvent(
        EventKind.CORRECTION,
        settlement.key,
        lapsed.dimensions,
        settlement.outcome,
        tokens,
        settlement.token_source,
        difference,
        lapsed.price,
        settlement.finish_reason,
        settlement.error_reason,
        settlement.fallback,
        lapsed.start_us,
        settlement.duration_us,
        settlement.first_content_us,
        transaction.now_us,
        None,
    )


def _quotas_since(transaction: Transaction, lapsed: UsageEvent) -> list[Quota]:
    tenant = lapsed.key.tenant
    quotas = transaction.quotas.of_tenants({tenant}).get(tenant, [])
    return [quota for quota in quotas if quota.create_us >= lapsed.record_us]


def _difference(actual: TokenCounts, recorded: TokenCounts) -> TokenCounts:
    return TokenCounts(
        input_tokens=actual.input_tokens - recorded.input_tokens,
        cache_read_tokens=actual.cache_read_tokens - recorded.cache_read_tokens,
        cache_write_tokens=actual.cache_write_tokens - recorded.cache_write_tokens,
        output_tokens=actual.output_tokens - recorded.output_tokens,
        reasoning_tokens=actual.reasoning_tokens - recorded.reasoning_tokens,
    )
