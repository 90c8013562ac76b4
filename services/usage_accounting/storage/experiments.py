"""The hourly sums of experiments in the database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, func, select

from libs.storage.prepared import addition
from services.usage_accounting.domain.confidence import Moments
from services.usage_accounting.domain.experiments import ArmAttempt, ArmSums, ExperimentQuery
from services.usage_accounting.domain.reports import HOUR_US
from services.usage_accounting.storage.encoding import token_columns, tokens_of
from services.usage_accounting.storage.tables import (
    COST_SQUARES,
    COST_SUM,
    DURATION_SQUARES,
    EXPERIMENT_KEY,
    EXPERIMENT_SUMS,
    FIRST_CONTENT_SQUARES,
    TOKENS,
    experiment_hourly,
)
from services.usage_accounting.storage.wide_integers import digits_of, integer_of

_ADD_UP = addition(experiment_hourly, EXPERIMENT_KEY, EXPERIMENT_SUMS)
_SUMS = tuple(func.sum(experiment_hourly.c[name]).label(name) for name in EXPERIMENT_SUMS)


class StoredExperiments:
    """`Experiments` within one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, attempts: Sequence[ArmAttempt]) -> None:
        """Add attempts to the sums of their arms and hours."""
        sums: dict[tuple[Any, ...], list[int]] = {}
        for attempt in attempts:
            hour_us = attempt.start_us - attempt.start_us % HOUR_US
            key = (attempt.tenant, attempt.experiment, hour_us, attempt.arm)
            added = _addends(attempt)
            known = sums.get(key)
            sums[key] = added if known is None else list(map(int.__add__, known, added))
        _ADD_UP.many(self._connection, [(*key, *values) for key, values in sums.items()])

    def sums(self, query: ExperimentQuery) -> Sequence[ArmSums]:
        """The sums by arm, in the order of their ids."""
        columns = experiment_hourly.c
        chosen = select(columns.arm, *_SUMS).where(
            columns.tenant == query.tenant, columns.experiment == query.experiment
        )
        if query.start_us is not None:
            chosen = chosen.where(columns.hour_us >= query.start_us)
        if query.end_us is not None:
            chosen = chosen.where(columns.hour_us < query.end_us)
        found = map(_sums, self._connection.execute(chosen.group_by(columns.arm)))
        return sorted(found, key=lambda sums: sums.arm)


def _addends(attempt: ArmAttempt) -> list[int]:
    """What an attempt adds, in the order of EXPERIMENT_SUMS."""
    duration_us = attempt.duration_us if attempt.has_succeeded else 0
    first_content_us = attempt.first_content_us or 0
    cost = attempt.cost or 0
    return [
        1,
        int(attempt.has_succeeded),
        duration_us,
        *digits_of(duration_us**2, len(DURATION_SQUARES)),
        int(attempt.first_content_us is not None),
        first_content_us,
        *digits_of(first_content_us**2, len(FIRST_CONTENT_SQUARES)),
        int(attempt.cost is not None),
        *digits_of(cost, len(COST_SUM)),
        *digits_of(cost**2, len(COST_SQUARES)),
        *token_columns(attempt.tokens),
    ]


def _sums(row: Row[Any]) -> ArmSums:
    # A sum of 64-bit integers comes as Decimal from PostgreSQL.
    sums = dict(zip(EXPERIMENT_SUMS, map(int, row[1:]), strict=True))

    def wide(names: Sequence[str]) -> int:
        return integer_of(sums[name] for name in names)

    return ArmSums(
        arm=row.arm,
        calls=sums["calls"],
        succeeded=sums["succeeded"],
        durations_us=Moments(sums["succeeded"], sums["duration_us"], wide(DURATION_SQUARES)),
        first_contents_us=Moments(sums["contents"], sums["first_content_us"], wide(FIRST_CONTENT_SQUARES)),
        costs_nano_usd=Moments(sums["priced"], wide(COST_SUM), wide(COST_SQUARES)),
        tokens=tokens_of(sums[name] for name in TOKENS),
    )
