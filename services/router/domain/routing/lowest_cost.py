"""LOWEST_COST: what this call would likely cost decides; targets of unknown price come last."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def order(items: Sequence[T], costs: Sequence[int | None]) -> list[T]:
    """`items` by their `costs`, one for each; equal ones stay in the order they came in."""
    known = [math.inf if cost is None else cost for cost in costs]
    return [items[index] for index in sorted(range(len(items)), key=known.__getitem__)]
