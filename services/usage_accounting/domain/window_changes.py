"""Collects what a batch changes in windows, so that each window is written once."""

from __future__ import annotations

from collections.abc import Iterable

from libs.core.money import NanoUsd
from services.usage_accounting.domain.ports import Windows
from services.usage_accounting.domain.quota import QuotaMetric, WindowKey, WindowUse
from services.usage_accounting.domain.reservation import Hold

_NOTHING = WindowUse(0, 0)


class WindowChanges:
    """Sums of changes by window."""

    def __init__(self) -> None:
        self._changes: dict[WindowKey, WindowUse] = {}

    def give_back(self, holds: Iterable[Hold]) -> None:
        """Nothing was used of what is held."""
        for hold in holds:
            self._add(hold.window, 0, -hold.amount)

    def use_up(self, holds: Iterable[Hold], *, tokens: int, cost: NanoUsd | None) -> None:
        """`tokens` and `cost` were used of what is held, or more than that; an unknown cost counts nothing."""
        for hold in holds:
            self._add(hold.window, _amount(hold.metric, tokens, cost), -hold.amount)

    def correct(self, window: WindowKey, metric: QuotaMetric, *, tokens: int, cost: NanoUsd | None) -> None:
        """Add differences to what was counted as used."""
        self._add(window, _amount(metric, tokens, cost), 0)

    def apply(self, windows: Windows) -> None:
        """Write all of it."""
        if self._changes:
            windows.settle(self._changes)

    def _add(self, window: WindowKey, used: int, held: int) -> None:
        before = self._changes.get(window, _NOTHING)
        self._changes[window] = WindowUse(before.used + used, before.held + held)


def _amount(metric: QuotaMetric, tokens: int, cost: NanoUsd | None) -> int:
    return tokens if metric is QuotaMetric.TOKENS else cost or 0
