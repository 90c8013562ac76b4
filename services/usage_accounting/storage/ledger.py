"""The ledger and its hourly sums in the database: written together, read apart."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Connection, Row, Select, func, select, tuple_

from libs.core.money import NanoUsd
from libs.storage.prepared import Lookup, addition, insertion
from services.usage_accounting.domain.attempt import AttemptKey, Dimensions, EventKind, Outcome, TokenSource
from services.usage_accounting.domain.quota import QuotaMetric
from services.usage_accounting.domain.reports import HOUR_US, Grouping, RecordFilter, StatsQuery, StatsRow
from services.usage_accounting.domain.usage_event import Recorded, UsageEvent, UsageRecord
from services.usage_accounting.storage.encoding import (
    holds_of,
    holds_text,
    price_of,
    price_text,
    token_columns,
    tokens_of,
    within_64_bits,
)
from services.usage_accounting.storage.tables import (
    DIMENSIONS,
    ROLLUP_KEY,
    ROLLUP_SUMS,
    TOKENS,
    ledger_events,
    usage_hourly,
)

_BEFORE = ("kind", "correction", "tenant", "operation_id", "attempt")
_AFTER = (
    "token_source",
    "cost_nano_usd",
    "price",
    "finish_reason",
    "error_reason",
    "fallback",
    "start_us",
    "duration_us",
    "first_content_us",
    "record_us",
    "counted",
)
_COLUMNS = (*_BEFORE, *DIMENSIONS, "outcome", *TOKENS, *_AFTER)
_FIRST_DIMENSION = len(_BEFORE)
_OUTCOME = _FIRST_DIMENSION + len(DIMENSIONS)
_FIRST_TOKENS = _OUTCOME + 1
_FIRST_AFTER = _FIRST_TOKENS + len(TOKENS)

_ALL = select(*(ledger_events.c[name] for name in _COLUMNS))
_WITH_SEQUENCE = _ALL.add_columns(ledger_events.c.sequence)
_APPEND = insertion(ledger_events, _COLUMNS)
_OF_OPERATIONS = Lookup(_ALL, ledger_events.c.operation_id)
_ADD_UP = addition(usage_hourly, ROLLUP_KEY, ROLLUP_SUMS)
_SUMS = tuple(func.coalesce(func.sum(usage_hourly.c[name]), 0) for name in ROLLUP_SUMS)
_COST = _SUMS[ROLLUP_SUMS.index("cost_nano_usd")]
_TOTAL_TOKENS = func.coalesce(
    func.sum(sum((usage_hourly.c[name] for name in TOKENS[1:]), usage_hourly.c[TOKENS[0]])), 0
)
_GROUPS = {
    Grouping.PROVIDER: usage_hourly.c.provider,
    Grouping.MODEL: usage_hourly.c.model,
    Grouping.USER: usage_hourly.c.user_id,
    Grouping.TASK: usage_hourly.c.task,
    Grouping.KEY: usage_hourly.c.key_name,
    Grouping.RULE: usage_hourly.c.rule,
}


class StoredLedger:
    """`Ledger` within one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def of_operations(self, operation_ids: Collection[str]) -> dict[AttemptKey, Recorded]:
        """What is recorded of these calls."""
        first: dict[AttemptKey, UsageEvent] = {}
        corrections: dict[AttemptKey, UsageEvent] = {}
        for event in map(_event, _OF_OPERATIONS.rows(self._connection, operation_ids)):
            (corrections if event.kind is EventKind.CORRECTION else first)[event.key] = event
        return {
            key: Recorded(event, corrections[key].cost if key in corrections else None, key in corrections)
            for key, event in first.items()
        }

    def append(self, events: Sequence[UsageEvent]) -> None:
        """Write events, and add them to the hourly sums."""
        _APPEND.many(self._connection, [_row(event) for event in events])
        sums: dict[tuple[Any, ...], list[int]] = {}
        for event in events:
            dimensions = event.dimensions
            key = (
                event.key.tenant,
                event.start_us - event.start_us % HOUR_US,
                dimensions.user,
                dimensions.provider,
                dimensions.model,
                dimensions.key,
                dimensions.task,
                dimensions.rule,
            )
            added = _addends(event)
            known = sums.get(key)
            sums[key] = added if known is None else list(map(int.__add__, known, added))
        _ADD_UP.many(self._connection, [(*key, *map(within_64_bits, values)) for key, values in sums.items()])

    def used_since(self, tenant: str, metric: QuotaMetric, start_us: int) -> int:
        """From the sums, and from the ledger up to the first full hour: not every zone's midnight is a UTC hour."""
        full_hour_us = start_us + -start_us % HOUR_US
        names = TOKENS if metric is QuotaMetric.TOKENS else ("cost_nano_usd",)
        used = 0
        for table, time, end_us in (
            (usage_hourly, usage_hourly.c.hour_us >= full_hour_us, None),
            (ledger_events, ledger_events.c.start_us >= start_us, full_hour_us),
        ):
            sums = select(*(func.coalesce(func.sum(table.c[name]), 0) for name in names))
            sums = sums.where(table.c.tenant == tenant, time)
            if end_us is not None:
                sums = sums.where(ledger_events.c.start_us < end_us)
            used += sum(map(int, self._connection.execute(sums).one()))
        return used

    def records(self, query: RecordFilter, *, limit: int) -> Sequence[UsageRecord]:
        """Events, newest first."""
        if query.operation_id is not None:
            return self._records_of_operation(query, query.operation_id)[:limit]
        rows = self._connection.execute(records_of(query).limit(limit))
        return [UsageRecord(row.sequence, _event(row)) for row in rows]

    def _records_of_operation(self, query: RecordFilter, operation_id: str) -> list[UsageRecord]:
        """The few events of one call; sorted here, for SQLite would rather read all of the tenant in order."""
        rows = self._connection.execute(_WITH_SEQUENCE.where(ledger_events.c.operation_id == operation_id))
        records = [UsageRecord(row.sequence, _event(row)) for row in rows]
        return sorted(filter(query.admits, records), key=lambda record: record.cursor, reverse=True)

    def stats(self, query: StatsQuery, *, limit: int) -> Sequence[StatsRow]:
        """Sums by group."""
        groups = [_GROUPS[grouping] for grouping in query.group_by]
        chosen: Select[Any] = select(*groups, *_SUMS).where(
            usage_hourly.c.tenant == query.tenant,
            usage_hourly.c.hour_us >= query.start_us,
            usage_hourly.c.hour_us < query.end_us,
        )
        if query.user is not None:
            chosen = chosen.where(usage_hourly.c.user_id == query.user)
        if groups:
            chosen = chosen.group_by(*groups).order_by(_COST.desc(), _TOTAL_TOKENS.desc(), *groups)
        return [_stats(row, len(groups)) for row in self._connection.execute(chosen.limit(limit))]


def records_of(query: RecordFilter) -> Select[Any]:
    """The SELECT of a listing of more than one call: reads its rows from an index, in their order."""
    columns = ledger_events.c
    chosen = _WITH_SEQUENCE.where(columns.tenant == query.tenant)
    if query.user is not None:
        chosen = chosen.where(columns.user_id == query.user)
    if query.start_us is not None:
        chosen = chosen.where(columns.start_us >= query.start_us)
    if query.after is not None:
        chosen = chosen.where(tuple_(columns.start_us, columns.sequence) < tuple_(*query.after))
    elif query.end_us is not None:
        # A place in the listing lies before the end anyway; two upper bounds confuse SQLite's choice of an index.
        chosen = chosen.where(columns.start_us < query.end_us)
    return chosen.order_by(columns.start_us.desc(), columns.sequence.desc())


def _addends(event: UsageEvent) -> list[int]:
    """What `event` adds to its hour, in the order of ROLLUP_SUMS."""
    corrects = event.kind is EventKind.CORRECTION
    return [
        0 if corrects else 1,
        1 if event.outcome is Outcome.SUCCEEDED else 0,
        1 if event.fallback else 0,
        *token_columns(event.tokens),
        event.cost or 0,
        1 if event.cost is None and not corrects else 0,
        0 if event.duration_us is None else 1,
        event.duration_us or 0,
    ]


def _row(event: UsageEvent) -> tuple[Any, ...]:
    (
        kind, key, dimensions, outcome, tokens, token_source, cost, price, finish_reason, error_reason, fallback,
        start_us, duration_us, first_content_us, record_us, counted,
    ) = event  # fmt: skip
    return (
        kind.value,
        int(kind is EventKind.CORRECTION),
        *key,
        *dimensions,
        outcome.value,
        *token_columns(tokens),
        token_source.value,
        cost,
        price_text(price),
        finish_reason,
        error_reason,
        int(fallback),
        start_us,
        duration_us,
        first_content_us,
        record_us,
        None if counted is None else holds_text(counted),
    )


def _event(row: Row[Any]) -> UsageEvent:
    kind, _, tenant, operation_id, attempt = row[:_FIRST_DIMENSION]
    (
        token_source, cost, price, finish_reason, error_reason, fallback, start_us, duration_us, first_content_us,
        record_us, counted,
    ) = row[_FIRST_AFTER : _FIRST_AFTER + len(_AFTER)]  # fmt: skip
    return UsageEvent(
        EventKind(kind),
        AttemptKey(tenant, operation_id, attempt),
        Dimensions(*row[_FIRST_DIMENSION:_OUTCOME]),
        Outcome(row[_OUTCOME]),
        tokens_of(row[_FIRST_TOKENS:_FIRST_AFTER]),
        TokenSource(token_source),
        None if cost is None else NanoUsd(cost),
        price_of(price),
        finish_reason,
        error_reason,
        bool(fallback),
        start_us,
        duration_us,
        first_content_us,
        record_us,
        None if counted is None else holds_of(counted),
    )


def _stats(row: Row[Any], groups: int) -> StatsRow:
    # A sum of 64-bit integers comes as Decimal from PostgreSQL.
    sums = [int(value) for value in row[groups:]]
    attempts, succeeded, fallbacks, *tokens, cost, unpriced, timed, duration_us = sums
    return StatsRow(
        group=tuple(row[:groups]),
        attempts=attempts,
        succeeded=succeeded,
        fallbacks=fallbacks,
        tokens=tokens_of(tokens),
        cost_nano_usd=cost,
        unpriced_attempts=unpriced,
        timed_attempts=timed,
        duration_us=duration_us,
    )
