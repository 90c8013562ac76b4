"""Vectors made from the words of a text: the same text has the same vector, and texts that share words are near."""

from __future__ import annotations

import math
from hashlib import blake2b

from libs.sandbox.tokens import split_tokens

DEFAULT_DIMENSIONS = 256
MIN_DIMENSIONS, MAX_DIMENSIONS = 8, 4096

_PLACES = 8
# Of the whole text, so that a text without words has a direction too and word order makes a difference.
_OWN_WEIGHT = 0.25


def vector_for(text: str, dimensions: int | None = None) -> tuple[float, ...]:
    """A vector of unit length."""
    size = DEFAULT_DIMENSIONS if dimensions is None else dimensions
    vector = [0.0] * size
    _add(vector, f"text:{text}", _OWN_WEIGHT)
    for token in split_tokens(text):
        word = token.strip().lower()
        if word:
            _add(vector, f"word:{word}", 1.0)
    length = math.sqrt(sum(value * value for value in vector))
    if not length:
        # What the words add up to can be nothing.
        vector[0] = length = 1.0
    return tuple(value / length for value in vector)


def _add(vector: list[float], seed: str, weight: float) -> None:
    digest = blake2b(seed.encode("utf-8", "surrogatepass"), digest_size=3 * _PLACES).digest()
    for place in range(0, len(digest), 3):
        index = int.from_bytes(digest[place : place + 2], "big") % len(vector)
        vector[index] += weight * (digest[place + 2] - 127.5) / 127.5
