"""What a resource was: its last versions, for people to look at and to go back to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, Protocol, TypeVar

S = TypeVar("S")

MOST_KEPT = 100
# A version may take a megabyte.
_READ_TOGETHER = 8


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


def newest_first(versions: Versions[S], uid: str, *, before: int | None) -> Iterator[Version[S]]:
    """The kept versions of a resource, those before the number `before`, few read at a time."""
    while page := versions.page(uid, before=before, limit=_READ_TOGETHER):
        yield from page
        before = page[-1].version
