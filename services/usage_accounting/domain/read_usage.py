"""Reads the ledger: its events one by one, sums over them, and what they say of the arms of an experiment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from services.usage_accounting.domain.errors import invalid_field
from services.usage_accounting.domain.experiments import ArmStats, ExperimentQuery
from services.usage_accounting.domain.ports import Transaction, UsageStore
from services.usage_accounting.domain.reports import (
    DEFAULT_PERIOD_US,
    HOUR_US,
    MOST_ROWS,
    RecordFilter,
    Stats,
    StatsQuery,
)
from services.usage_accounting.domain.usage_event import UsageRecord


async def list_usage_records(store: UsageStore, query: RecordFilter, *, limit: int) -> Sequence[UsageRecord]:
    """Up to `limit` events, those of the attempts that began last first."""
    return await store.read(lambda transaction: transaction.ledger.records(query, limit=limit))


async def get_usage_stats(store: UsageStore, query: StatsQuery) -> Stats:
    """Sums by group and in total. Raises InvalidArgument when the period ends before it begins."""

    def work(transaction: Transaction) -> Stats:
        end_us = transaction.now_us + 1 if query.end_us is None else query.end_us
        start_us = end_us - DEFAULT_PERIOD_US if query.start_us is None else query.start_us
        start_us, end_us = _whole_hours(start_us, end_us)
        hours = replace(query, start_us=start_us, end_us=end_us)
        return Stats(
            rows=tuple(transaction.ledger.stats(hours, limit=MOST_ROWS)),
            total=transaction.ledger.stats(replace(hours, group_by=()), limit=1)[0],
        )

    return await store.read(work)


async def get_experiment_stats(store: UsageStore, query: ExperimentQuery) -> Sequence[ArmStats]:
    """How the arms did that had calls, by id. Raises InvalidArgument when the period ends before it begins."""

    def work(transaction: Transaction) -> Sequence[ArmStats]:
        end_us = transaction.now_us + 1 if query.end_us is None else query.end_us
        start_us, end_us = _whole_hours(query.start_us or 0, end_us)
        sums = transaction.experiments.sums(replace(query, start_us=start_us, end_us=end_us))
        return [ArmStats.of(each) for each in sums]

    return await store.read(work)


def _whole_hours(start_us: int, end_us: int) -> tuple[int, int]:
    if start_us >= end_us:
        raise invalid_field("start_time", "must be before end_time")
    return start_us - start_us % HOUR_US, end_us + -end_us % HOUR_US
