"""A value that must not be seen: provider keys, tokens, passwords."""

from __future__ import annotations

import hmac
from typing import Never


class Secret:
    """Holds bytes and shows them to nobody who does not ask with `reveal()`.

    It has no useful `repr`, `str` or `format`, refuses pickling, copying and JSON (it is no str), and compares
    in constant time. Python cannot wipe memory, so keep a Secret only as long as the expression that needs it.
    """

    __slots__ = ("__value",)

    def __init__(self, value: bytes) -> None:
        self.__value = value

    def reveal(self) -> bytes:
        """The value itself. Call it in the expression that sends it and nowhere else."""
        return self.__value

    def mask(self) -> str:
        """The last four characters for people to recognise a key by; fewer than 12 characters show nothing."""
        text = self.__value.decode("utf-8", "replace")
        return f"…{text[-4:]}" if len(text) >= _SHORTEST_MASKED else "…"

    def __len__(self) -> int:
        return len(self.__value)

    def __bool__(self) -> bool:
        return bool(self.__value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self.__value, other.reveal())

    __hash__ = None  # type: ignore[assignment]  # a hash would be a handle to compare secrets by

    def __repr__(self) -> str:
        return "Secret(…)"

    __str__ = __repr__

    def __format__(self, format_spec: str) -> str:
        return repr(self)

    def __reduce_ex__(self, protocol: object) -> Never:
        raise TypeError("a Secret cannot be pickled or copied")

    def __getstate__(self) -> Never:
        # Python's own would hand the value to libraries that serialise without pickle.
        raise TypeError("a Secret cannot be pickled or copied")


# Showing four of fewer than twelve characters would give too much of a short key away.
_SHORTEST_MASKED = 12
