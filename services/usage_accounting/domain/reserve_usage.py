"""Holds quota for attempts before anything is sent to a provider."""

from __future__ import annotations

from collections.abc import Sequence

from libs.core.errors import GatehouseError
from libs.core.money import TokenPrices
from libs.core.provider_types import catalogue_type
from services.usage_accounting.domain.attempt import AttemptKey
from services.usage_accounting.domain.errors import price_unknown, quota_exceeded, reservation_exists
from services.usage_accounting.domain.ports import Prices, Transaction, UsageStore
from services.usage_accounting.domain.quota import Quota, QuotaMetric, QuotaState, WindowKey, WindowUse
from services.usage_accounting.domain.reservation import Grant, Hold, Reservation, ReservationRequest, upper_bound
from services.usage_accounting.domain.usage_event import Recorded
from services.usage_accounting.domain.windows import Window, WindowCalendar

_NOTHING = WindowUse(0, 0)


async def reserve_usage(
    store: UsageStore, prices: Prices, calendar: WindowCalendar, requests: Sequence[ReservationRequest]
) -> list[Grant | GatehouseError]:
    """Reserve for each of `requests`; one result for each, in order. What is granted is on disk.

    An item's error is `QUOTA_EXCEEDED`, `PRICE_UNKNOWN` or `RESERVATION_EXISTS`: it holds nothing then, and leaves
    the others alone. Items see what those before them hold.
    """
    pinned = [
        request.price
        or prices.find(
            catalogue_type(request.dimensions.provider_type, request.server),
            request.dimensions.provider_model_id,
            input_tokens=request.input_tokens_estimate,
        )
        for request in requests
    ]
    return await store.write(lambda transaction: _Batch(transaction, calendar, requests).reserve(requests, pinned))


class _Batch:
    """The state that the items of one batch share."""

    def __init__(
        self, transaction: Transaction, calendar: WindowCalendar, requests: Sequence[ReservationRequest]
    ) -> None:
        operations = {request.key.operation_id for request in requests}
        self._transaction = transaction
        self._now_us = transaction.now_us
        self._live: dict[AttemptKey, Reservation] = transaction.reservations.of_operations(operations)
        self._recorded: dict[AttemptKey, Recorded] = transaction.ledger.of_operations(operations)
        quotas = transaction.quotas.of_tenants({request.key.tenant for request in requests})
        self._quotas: dict[str, list[tuple[Quota, Window, WindowKey]]] = {}
        for tenant, of_tenant in quotas.items():
            self._quotas[tenant] = entries = []
            for quota in of_tenant:
                window = calendar.window(quota.time_zone, quota.window, self._now_us)
                entries.append((quota, window, WindowKey(quota.uid, window.start_us)))
        keys = [key for entries in self._quotas.values() for _, _, key in entries]
        self._use: dict[WindowKey, WindowUse] = transaction.windows.use(keys) if keys else {}
        self._added: list[Reservation] = []
        self._held: dict[WindowKey, WindowUse] = {}

    def reserve(
        self, requests: Sequence[ReservationRequest], prices: Sequence[TokenPrices | None]
    ) -> list[Grant | GatehouseError]:
        results = [self._reserve_one(request, price) for request, price in zip(requests, prices, strict=True)]
        if self._held:
            self._transaction.windows.hold(self._held)
        if self._added:
            self._transaction.reservations.add(self._added)
        return results

    def _reserve_one(self, request: ReservationRequest, price: TokenPrices | None) -> Grant | GatehouseError:
        key = request.key
        if key in self._recorded:
            return reservation_exists(key, settled=True)
        live = self._live.get(key)
        if live is not None:
            return Grant(live.price, live.lapse_us) if live.is_for(request) else reservation_exists(key, settled=False)
        holds = self._holds(request, price)
        if isinstance(holds, GatehouseError):
            return holds
        for hold in holds:
            use = self._use.get(hold.window, _NOTHING)
            self._use[hold.window] = WindowUse(use.used, use.held + hold.amount)
            held = self._held.get(hold.window, _NOTHING)
            self._held[hold.window] = WindowUse(0, held.held + hold.amount)
        lapse_us = self._now_us + request.lapse_after_us
        reservation = Reservation(
            key,
            request.dimensions,
            request.input_tokens_estimate,
            request.output_tokens_limit,
            price,
            holds,
            self._now_us,
            lapse_us,
        )
        self._added.append(reservation)
        self._live[key] = reservation
        return Grant(price, lapse_us)

    def _holds(self, request: ReservationRequest, price: TokenPrices | None) -> tuple[Hold, ...] | GatehouseError:
        """What to hold of each quota of the tenant, or why nothing."""
        entries = self._quotas.get(request.key.tenant)
        if not entries:
            return ()
        holds: list[Hold] = []
        exceeded: list[QuotaState] = []
        excess: list[int] = []
        for quota, window, key in entries:
            if price is None and quota.metric is QuotaMetric.COST:
                # First of all refusals: the others pass with time, this one does not.
                return price_unknown(f"{request.dimensions.provider}/models/{request.dimensions.model}", quota.name)
            amount = upper_bound(quota.metric, request.input_tokens_estimate, request.output_tokens_limit, price)
            use = self._use.get(key, _NOTHING)
            # A limit of 0 refuses also what costs nothing.
            if use.used + use.held + amount > quota.limit or not quota.limit:
                exceeded.append(QuotaState(quota=quota, use=use, start_us=window.start_us, reset_us=window.end_us))
                excess.append(amount)
            holds.append(Hold(key, quota.metric, amount))
        if exceeded:
            return quota_exceeded(exceeded, excess, now_us=self._now_us)
        return tuple(holds)
