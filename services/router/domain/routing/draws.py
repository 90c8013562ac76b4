"""Chance that a seed decides: the same for a session in every router and every version of Python."""

from __future__ import annotations

import hashlib
import struct

_STEPS = 2**32


class Draws:
    """Uniform draws in [0, 1) from one seed of 64 bits.

    Made with a hash: seeding Python's own generator takes longer than the rest of a plan's chance.
    """

    __slots__ = ("_seed", "_taken")

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._taken = 0

    def take(self, number: int) -> list[float]:
        """The next draws; each call gives others."""
        self._taken += 1
        digest = hashlib.shake_128(struct.pack("<QI", self._seed, self._taken)).digest(4 * number)
        return [step / _STEPS for step in struct.unpack(f"<{number}I", digest)]
