"""Quotas, their windows and the requests that created them, in the database."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import Connection, Row, bindparam, case, delete, func, insert, select, update

from libs.core.resource_names import QuotaName
from libs.storage.idempotency import recall, remember
from libs.storage.prepared import MOST, Lookup, Prepared, addition
from services.usage_accounting.domain.ports import Request
from services.usage_accounting.domain.quota import Quota, QuotaMetric, QuotaWindow, WindowKey, WindowUse
from services.usage_accounting.storage.encoding import INT64_MOST, within_64_bits
from services.usage_accounting.storage.tables import quota_windows, quotas, remembered_requests

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_COLUMNS = tuple(column.name for column in quotas.columns)
_ALL = select(quotas)
_OF_TENANTS = Lookup(_ALL.order_by(quotas.c.tenant, quotas.c.quota_id), quotas.c.tenant)
_HOLD = addition(quota_windows, ("quota_uid", "start_us"), ("used", "held"))
_USE = Lookup(
    select(quota_windows).where(quota_windows.c.start_us >= bindparam("earliest")),
    quota_windows.c.quota_uid,
    leading=["earliest"],
)
_SETTLE = Prepared(
    lambda _: (
        update(quota_windows)
        .values(
            used=case(
                (quota_windows.c.used > bindparam("most_before"), MOST),
                else_=quota_windows.c.used + bindparam("more_used"),
            ),
            held=quota_windows.c.held + bindparam("more_held"),
        )
        .where(
            quota_windows.c.quota_uid == bindparam("uid_of_row"), quota_windows.c.start_us == bindparam("start_of_row")
        )
    ),
    ("most_before", "more_used", "more_held", "uid_of_row", "start_of_row"),
)


class StoredQuotas:
    """`Quotas` within one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, name: QuotaName) -> Quota | None:
        """The quota called `name`."""
        chosen = _ALL.where(quotas.c.tenant == name.tenant, quotas.c.quota_id == name.quota)
        row = self._connection.execute(chosen).one_or_none()
        return None if row is None else _quota(row)

    def of_tenants(self, tenants: Collection[str]) -> dict[str, list[Quota]]:
        """All quotas of these tenants."""
        found: dict[str, list[Quota]] = {}
        for row in _OF_TENANTS.rows(self._connection, tenants):
            found.setdefault(row[0], []).append(_quota(row))
        return found

    def page(self, tenant: str, *, after: str, limit: int) -> Sequence[Quota]:
        """A tenant's quotas by id."""
        chosen = _ALL.where(quotas.c.tenant == tenant, quotas.c.quota_id > after)
        return [_quota(row) for row in self._connection.execute(chosen.order_by(quotas.c.quota_id).limit(limit))]

    def count(self, tenant: str) -> int:
        """How many a tenant has."""
        return self._connection.execute(
            select(func.count()).select_from(quotas).where(quotas.c.tenant == tenant)
        ).scalar_one()

    def add(self, quota: Quota) -> None:
        """Store a new quota."""
        self._connection.execute(insert(quotas).values(_values(quota)))

    def put(self, quota: Quota) -> None:
        """Store a new version."""
        self._connection.execute(update(quotas).where(quotas.c.uid == quota.uid).values(_values(quota)))

    def remove(self, quota: Quota) -> None:
        """Remove a quota and its windows."""
        self._connection.execute(delete(quota_windows).where(quota_windows.c.quota_uid == quota.uid))
        self._connection.execute(delete(quotas).where(quotas.c.uid == quota.uid))


class StoredWindows:
    """`Windows` within one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def use(self, keys: Collection[WindowKey]) -> dict[WindowKey, WindowUse]:
        """Those that have an entry."""
        # Windows of one batch start at few instants: the quotas' uids alone would find all that ever were.
        earliest = min(key.start_us for key in keys)
        rows = _USE.rows(self._connection, {key.quota_uid for key in keys}, earliest)
        return {WindowKey(uid, start_us): WindowUse(used, held) for uid, start_us, used, held in map(tuple, rows)}

    def hold(self, amounts: Mapping[WindowKey, WindowUse]) -> None:
        """Add to windows, making their entries if need be."""
        _HOLD.many(self._connection, [(*key, *map(within_64_bits, use)) for key, use in amounts.items()])

    def settle(self, changes: Mapping[WindowKey, WindowUse]) -> None:
        """Add to windows that have an entry."""
        rows = []
        for key, use in changes.items():
            used, held = within_64_bits(use.used), within_64_bits(use.held)
            rows.append((INT64_MOST - max(used, 0), used, held, *key))
        _SETTLE.many(self._connection, rows)


class StoredRequests:
    """`Requests` within one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def recall(self, request: Request, *, now_us: int) -> Quota | None:
        """The answer to `request`."""
        stored = recall(
            self._connection,
            remembered_requests,
            scope=request.caller,
            method=request.method,
            request_id=request.request_id,
            digest=request.digest,
            now=_time(now_us),
        )
        return None if stored is None else _quota(orjson.loads(stored))

    def remember(self, request: Request, quota: Quota, *, now_us: int) -> None:
        """Keep the answer to `request`."""
        remember(
            self._connection,
            remembered_requests,
            scope=request.caller,
            method=request.method,
            request_id=request.request_id,
            digest=request.digest,
            response=orjson.dumps(list(_values(quota).values())),
            now=_time(now_us),
        )


def _values(quota: Quota) -> dict[str, Any]:
    values = (
        quota.name.tenant,
        quota.name.quota,
        quota.uid,
        quota.version,
        quota.display_name,
        quota.metric.value,
        quota.window.value,
        quota.time_zone,
        quota.limit,
        quota.create_us,
        quota.update_us,
    )
    return dict(zip(_COLUMNS, values, strict=True))


def _quota(row: Row[Any] | Sequence[Any]) -> Quota:
    tenant, quota_id, uid, version, display_name, metric, window, time_zone, limit, create_us, update_us = tuple(row)
    return Quota(
        name=QuotaName(tenant, quota_id),
        uid=uid,
        version=version,
        display_name=display_name,
        metric=QuotaMetric(metric),
        window=QuotaWindow(window),
        time_zone=time_zone,
        limit=limit,
        create_us=create_us,
        update_us=update_us,
    )


def _time(instant_us: int) -> datetime:
    return _EPOCH + timedelta(microseconds=instant_us)
