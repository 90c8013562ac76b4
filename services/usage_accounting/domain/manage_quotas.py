"""Creates, reads, changes and removes quotas."""

from __future__ import annotations

from collections.abc import Sequence

from libs.core.resource_names import QuotaName
from services.usage_accounting.domain.attempt import AttemptKey
from services.usage_accounting.domain.errors import etag_mismatch, invalid_field, quota_exists, quota_not_found
from services.usage_accounting.domain.ports import Request, Transaction, UsageStore
from services.usage_accounting.domain.quota import (
    MOST_PER_TENANT,
    NewQuota,
    Quota,
    QuotaChange,
    QuotaState,
    WindowKey,
    WindowUse,
)
from services.usage_accounting.domain.reservation import Hold
from services.usage_accounting.domain.windows import WindowCalendar

_NOTHING = WindowUse(0, 0)


async def create_quota(
    store: UsageStore,
    calendar: WindowCalendar,
    new: NewQuota,
    *,
    uid: str,
    request: Request | None = None,
    validate_only: bool = False,
) -> Quota:
    """Create `new`, which counts at once what its current window has seen and holds for calls under way.

    A `request` seen within 24 hours gets its first answer. Raises AlreadyExists `QUOTA_EXISTS`, InvalidArgument
    `REQUEST_ID_REUSED`, and InvalidArgument when the tenant has 100 quotas.
    """

    def work(transaction: Transaction) -> Quota:
        now_us = transaction.now_us
        if request is not None and (known := transaction.requests.recall(request, now_us=now_us)) is not None:
            return known
        if transaction.quotas.get(new.name) is not None:
            raise quota_exists(new.name)
        if transaction.quotas.count(new.name.tenant) >= MOST_PER_TENANT:
            raise invalid_field("parent", f"has {MOST_PER_TENANT} quotas, which is the most a tenant can have")
        quota = Quota(
            name=new.name,
            uid=uid,
            version=1,
            display_name=new.display_name,
            metric=new.metric,
            window=new.window,
            time_zone=new.time_zone,
            limit=new.limit,
            create_us=now_us,
            update_us=now_us,
        )
        if not validate_only:
            transaction.quotas.add(quota)
            _count_the_past(transaction, calendar, quota)
            if request is not None:
                transaction.requests.remember(request, quota, now_us=now_us)
        return quota

    return await (store.read(work) if validate_only else store.write(work))


def _count_the_past(transaction: Transaction, calendar: WindowCalendar, quota: Quota) -> None:
    """Open the quota's current window with what was used in it, and with what calls under way may use."""
    tenant = quota.name.tenant
    window = calendar.window(quota.time_zone, quota.window, transaction.now_us)
    key = WindowKey(quota.uid, window.start_us)
    used = transaction.ledger.used_since(tenant, quota.metric, window.start_us)
    held = 0
    holds: dict[AttemptKey, Sequence[Hold]] = {}
    for reservation in transaction.reservations.of_tenant(tenant):
        amount = reservation.bound(quota.metric)
        holds[reservation.key] = (*reservation.holds, Hold(key, quota.metric, amount))
        held += amount
    if holds:
        transaction.reservations.replace_holds(holds)
    transaction.windows.hold({key: WindowUse(used, held)})


async def get_quota(store: UsageStore, name: QuotaName) -> Quota:
    """The quota called `name`. Raises NotFound `QUOTA_NOT_FOUND`."""
    return await store.read(lambda transaction: _existing(transaction, name))


async def list_quotas(store: UsageStore, tenant: str, *, after: str, limit: int) -> Sequence[Quota]:
    """Up to `limit` quotas of a tenant by id, those after the id `after`."""
    return await store.read(lambda transaction: transaction.quotas.page(tenant, after=after, limit=limit))


async def update_quota(store: UsageStore, name: QuotaName, change: QuotaChange, *, etag: str) -> Quota:
    """Change a quota; what is used and held stays. Raises `QUOTA_NOT_FOUND`; `ETAG_MISMATCH` for a stale `etag`."""

    def work(transaction: Transaction) -> Quota:
        quota = _seen(transaction, name, etag).changed(change, now_us=transaction.now_us)
        transaction.quotas.put(quota)
        return quota

    return await store.write(work)


async def delete_quota(store: UsageStore, name: QuotaName, *, etag: str) -> None:
    """Remove a quota; calls under way go on without it. Raises as `update_quota`."""
    await store.write(lambda transaction: transaction.quotas.remove(_seen(transaction, name, etag)))


async def quota_state(store: UsageStore, calendar: WindowCalendar, name: QuotaName) -> QuotaState:
    """How much of a quota is used now. Raises NotFound `QUOTA_NOT_FOUND`."""

    def work(transaction: Transaction) -> QuotaState:
        quota = _existing(transaction, name)
        window = calendar.window(quota.time_zone, quota.window, transaction.now_us)
        key = WindowKey(quota.uid, window.start_us)
        use = transaction.windows.use([key]).get(key, _NOTHING)
        return QuotaState(quota=quota, use=use, start_us=window.start_us, reset_us=window.end_us)

    return await store.read(work)


def _existing(transaction: Transaction, name: QuotaName) -> Quota:
    quota = transaction.quotas.get(name)
    if quota is None:
        raise quota_not_found(name)
    return quota


def _seen(transaction: Transaction, name: QuotaName, etag: str) -> Quota:
    quota = _existing(transaction, name)
    if etag and etag != quota.etag:
        raise etag_mismatch(name)
    return quota
