"""Vectors as providers write them: lists of numbers, or little-endian floats of 32 bits in base64."""

from __future__ import annotations

import binascii
import math
import sys
from array import array
from collections.abc import Iterable

from services.router.providers.reading.json_values import malformed

_BIG_ENDIAN = sys.byteorder == "big"


def read_vectors(given: Iterable[object], count: int) -> tuple[array[float], ...]:
    """`count` vectors of one length. Raises ProviderError for anything else, and for numbers that are not finite."""
    try:
        vectors = tuple(map(_vector, given))
    except (TypeError, ValueError, OverflowError):
        raise malformed() from None
    length = len(vectors[0]) if vectors else 0
    if len(vectors) != count or not length or any(len(vector) != length for vector in vectors):
        raise malformed()
    return vectors


def _vector(values: object) -> array[float]:
    vector = array("f")
    if isinstance(values, list):
        vector.fromlist(values)
    elif isinstance(values, str):
        vector.frombytes(binascii.a2b_base64(values, strict_mode=True))
        if _BIG_ENDIAN:
            vector.byteswap()
    else:
        raise TypeError("a vector is numbers or text")
    if not _is_finite(vector):
        raise ValueError("a vector has finite numbers")
    return vector


def _is_finite(vector: array[float]) -> bool:
    # Exponents as large as those of infinity and NaN begin at 1.7e38, which no model gives: looking at the bytes that
    # hold them takes a tenth of the time that looking at the numbers does.
    highest = vector.tobytes()[0 if _BIG_ENDIAN else 3 :: vector.itemsize]
    return not (b"\x7f" in highest or b"\xff" in highest) or all(map(math.isfinite, vector))
