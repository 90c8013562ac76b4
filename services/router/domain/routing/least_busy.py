"""LEAST_BUSY: the less busy of two targets drawn by chance.

Two choices spread calls nearly as well as comparing all, and routers that do not see each other's calls do not all send
theirs to the same target (Mitzenmacher, 2001).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def order(items: Sequence[T], under_way: Sequence[int], draws: Sequence[float]) -> list[T]:
    """`items` in an order drawn by `draws`, but for the first two: of them the one with fewer calls `under_way` leads.

    `draws` are one for each item, uniform in [0, 1).
    """
    drawn = sorted(range(len(items)), key=draws.__getitem__)
    if len(drawn) > 1 and under_way[drawn[1]] < under_way[drawn[0]]:
        drawn[0], drawn[1] = drawn[1], drawn[0]
    return [items[index] for index in drawn]
