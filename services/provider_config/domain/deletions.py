"""Deleting what other resources may name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

MOST_NAMED = 100
"""How many resources an answer or an error names at most; all are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deleted:
    """A resource is gone as of `revision`; `still_named_by`: up to MOST_NAMED resources that name it all the same."""

    revision: int
    still_named_by: Sequence[str]


def still_named(users: Sequence[str]) -> Mapping[str, str]:
    """A detail of `record`: how many resources named what was deleted."""
    return {"still_named_by": str(len(users))} if users else {}
