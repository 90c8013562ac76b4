"""Integers wider than 64 bits as several columns, so that any database adds them up exactly.

An integer is written in digits to the base 2**32, the lowest first, a column of 64 bits for each. Digits are added
up column by column and never carried: up to 2**31 integers have a sum whose digits all fit.
"""

from __future__ import annotations

from collections.abc import Iterable

_BITS = 32
_MASK = (1 << _BITS) - 1


def digit_names(name: str, width: int) -> tuple[str, ...]:
    """The columns of an integer of `width` digits, the lowest first."""
    return tuple(f"{name}_{place}" for place in range(width))


def digits_of(value: int, width: int) -> tuple[int, ...]:
    """`value` in `width` digits, the lowest first. Raises ValueError when it is negative or too wide."""
    if not 0 <= value < 1 << _BITS * width:
        raise ValueError(f"not an integer of {width} digits of {_BITS} bits")
    return tuple(value >> _BITS * place & _MASK for place in range(width))


def integer_of(digits: Iterable[int]) -> int:
    """The integer of `digits`, which may also be sums of digits."""
    return sum(digit << _BITS * place for place, digit in enumerate(digits))
