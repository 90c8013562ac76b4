"""LOWEST_LATENCY: the average time to the first content decides; who was not tried lately is tried."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def order(items: Sequence[T], latencies: Sequence[float | None], tried: Sequence[bool]) -> list[T]:
    """`items` by their `latencies` in seconds; equal ones stay in the order they came in.

    Those of unknown latency come first, unless they are being `tried` or were lately, without success: then they come
    last, so that not all calls of a busy moment go where nothing is known, nor each call where calls fail.
    """
    times = [
        latency if latency is not None else (math.inf if is_tried else -1.0)
        for latency, is_tried in zip(latencies, tried, strict=True)
    ]
    return [items[index] for index in sorted(range(len(items)), key=times.__getitem__)]
