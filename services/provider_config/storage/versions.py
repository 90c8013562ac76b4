"""Stored versions of resources."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection, Row, delete, insert, select

from services.provider_config.domain.versions import MOST_KEPT, Version
from services.provider_config.storage.tables import versions

S = TypeVar("S")


class SqlVersions(Generic[S]):
    """The versions of resources of one `kind` as one transaction sees them.

    `encode` makes what JSON can hold of a resource's settings, `decode` settings of that: also of what an older
    release encoded, which knew fewer of them.
    """

    def __init__(
        self, connection: Connection, kind: str, *, encode: Callable[[S], Any], decode: Callable[[Any], S]
    ) -> None:
        self._connection = connection
        self._kind = kind
        self._encode = encode
        self._decode = decode

    def add(self, uid: str, version: Version[S]) -> None:
        """Keep a new version, and forget the one that came MOST_KEPT before it."""
        values = {
            "kind": self._kind,
            "uid": uid,
            "version": version.version,
            "changed_by": version.changed_by,
            "change_time": version.change_time,
            "settings": self._encode(version.settings),
        }
        self._connection.execute(insert(versions).values(**values))
        self._connection.execute(
            delete(versions).where(*self._of(uid), versions.c.version <= version.version - MOST_KEPT)
        )

    def get(self, uid: str, version: int) -> Version[S] | None:
        """The version of that number, if it is still kept."""
        query = select(versions).where(*self._of(uid), versions.c.version == version)
        row = self._connection.execute(query).one_or_none()
        return None if row is None else self._version(row)

    def page(self, uid: str, *, before: int | None, limit: int) -> Sequence[Version[S]]:
        """Up to `limit` versions, newest first, those before the number `before`."""
        query = select(versions).where(*self._of(uid)).order_by(versions.c.version.desc()).limit(limit)
        if before is not None:
            query = query.where(versions.c.version < before)
        return [self._version(row) for row in self._connection.execute(query)]

    def remove(self, uid: str) -> None:
        """Forget all versions of a resource."""
        self._connection.execute(delete(versions).where(*self._of(uid)))

    def _of(self, uid: str) -> tuple[Any, ...]:
        return versions.c.kind == self._kind, versions.c.uid == uid

    def _version(self, row: Row[Any]) -> Version[S]:
        return Version(
            version=row.version,
            changed_by=row.changed_by,
            change_time=row.change_time,
            settings=self._decode(row.settings),
        )
