"""What a resource was: its last versions, for people to look at and to go back to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, Protocol, TypeVar

S = TypeVar("S")

MOST_KEPT = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Version(Generic[S]):
    """The settings of a resource since one of its changes. `version` counts them from 1.

    `changed_by`: a resource name; empty for a change from before versions were kept.
    """

    version: int
    changed_by: str
    change_time: datetime
    settings: S


class Versions(Protocol[S]):
    """The stored versions of all resources of one kind, by their uid."""

    def add(self, uid: str, version: Version[S]) -> None:
        """Keep a new version, and forget the one that came MOST_KEPT before it."""
        ...

    def get(self, uid: str, version: int) -> Version[S] | None:
        """The version of that number, if it is still kept."""
        ...

    def page(self, uid: str, *, before: int | None, limit: int) -> Sequence[Version[S]]:
        """Up to `limit` versions, newest first, those before the number `before`."""
        ...

    def remove(self, uid: str) -> None:
        """Forget all versions of a resource."""
        ...
