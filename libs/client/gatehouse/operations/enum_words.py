"""Values of the protos' enums by the words that callers write."""

from __future__ import annotations

from typing import Protocol, TypeVar

_Value_co = TypeVar("_Value_co", bound=int, covariant=True)


class NamedValues(Protocol[_Value_co]):
    """What is used of a generated enum; the first name is `…_UNSPECIFIED`."""

    def keys(self) -> list[str]:
        """The names."""
        ...

    def Value(self, name: str) -> _Value_co:  # noqa: N802 - protobuf's name
        """The value of a name."""
        ...


def named(enum: NamedValues[_Value_co], option: str, word: str | None) -> _Value_co:
    """`flex` -> SERVICE_TIER_FLEX; the unspecified value for None. Raises ValueError that names the words."""
    unspecified, *names = enum.keys()
    if word is None:
        return enum.Value(unspecified)
    prefix = unspecified.removesuffix("UNSPECIFIED")
    if (name := f"{prefix}{word.upper()}") in names:
        return enum.Value(name)
    known = ", ".join(each.removeprefix(prefix).lower() for each in names)
    raise ValueError(f"{option} is one of {known}, not {word!r}")
