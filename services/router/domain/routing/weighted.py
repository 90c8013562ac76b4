"""WEIGHTED: by chance, each target first with its weight's share, and so on among the rest."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def order(items: Sequence[T], weights: Sequence[int], draws: Sequence[float]) -> list[T]:
    """`items` in an order drawn without replacement by `weights`; weight 0 comes after all others.

    `draws` are one for each item, uniform in [0, 1). Each item finishes a race after an exponential time of the rate of
    its weight: the first comes first with a probability of its share, also among what is left of more items (Efraimidis
    and Spirakis, 2006). So an item that drops out leaves the order of the others as it was.
    """
    times = [-math.log1p(-draw) / weight if weight else math.inf for weight, draw in zip(weights, draws, strict=True)]
    return [items[index] for index in sorted(range(len(items)), key=times.__getitem__)]
