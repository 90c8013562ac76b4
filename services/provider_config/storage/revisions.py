"""What changed when: the revisions of the configuration and of each scope, and which names changed."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from itertools import islice
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from libs.core.resource_names import Owner
from services.provider_config.domain.snapshot import Changes
from services.provider_config.domain.snapshot_news import changed_resource
from services.provider_config.storage.tables import changes, revisions, scopes

# Of each scope at least this many names are remembered that changed last, gone ones included, and at most twice as
# many. A router that missed more is sent the whole scope.
_REMEMBERED = 256
# Both databases take at least ten times as many parameters in a statement.
_TOGETHER = 500


class SqlRevisions:
    """The revisions as one transaction sees them."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def lock(self) -> None:
        """Wait until no other transaction, of any replica, changes the configuration, and keep others out."""
        self._connection.execute(select(revisions.c.revision).with_for_update()).one()

    def present(self) -> int:
        """The revision of the last change, 0 before the first."""
        return int(self._connection.scalars(select(revisions.c.revision)).one())

    def advance(self, scope: Owner, changed: Sequence[object]) -> int:
        """Count a change of `scope`, in the resources called `changed`; its revision.

        Raises ValueError for names whose changes could not be sent.
        """
        self._connection.execute(update(revisions).values(revision=revisions.c.revision + 1))
        revision = self.present()
        known = self._scope(scope)
        now = {"revision": revision, "noted": revision}
        if known is None:
            self._connection.execute(insert(scopes).values(scope=str(scope), floor=0, **now))
        else:
            self._connection.execute(update(scopes).where(scopes.c.scope == str(scope)).values(**now))
            if known.noted != known.revision:
                self._forget(str(scope), known.revision)
        names = {str(each) for each in changed}
        for name in names:
            changed_resource(name)
        if names:
            self._note(str(scope), names, revision)
        else:
            # Something changed, and nobody said what.
            self._forget(str(scope), revision)
        return revision

    def count_on(self, beyond: int) -> int:
        """Give out no revision up to `beyond`, and take what is held from before for unknown; the new revision."""
        revision = self.present()
        if revision <= beyond:
            revision = beyond + 1
            self._connection.execute(update(revisions).values(revision=revision, floor=revision))
        return revision

    def compose(self, content: str) -> None:
        """Take what routers hold for unknown unless it was made of this `content` as well: it may lack something."""
        row = self._connection.execute(select(revisions.c.revision, revisions.c.content)).one()
        if row.content != content:
            self._connection.execute(update(revisions).values(content=content))
            if row.revision:
                self.count_on(row.revision)

    def changes_since(self, revision: int) -> Changes:
        """The scopes changed after `revision`, each with the revision of its last change."""
        present, floor = self._bounds()
        query = select(scopes.c.scope, scopes.c.revision).where(scopes.c.revision > revision)
        found = {Owner.parse(row.scope): row.revision for row in self._connection.execute(query)}
        return Changes(revision=present, scopes=found, anew=not floor <= revision <= present)

    def unchanged(self, held: Mapping[Owner, int]) -> AbstractSet[Owner]:
        """Those of the scopes in which nothing changed since the revision they are held at."""
        present, floor = self._bounds()
        last: dict[str, int] = {}
        for part in _parts([str(scope) for scope in held]):
            query = select(scopes.c.scope, scopes.c.revision).where(scopes.c.scope.in_(part))
            last.update({row.scope: row.revision for row in self._connection.execute(query)})
        return {
            scope
            for scope, revision in held.items()
            if floor <= revision <= present and last.get(str(scope), 0) <= revision
        }

    def changed_names(self, scope: Owner, *, since: int) -> AbstractSet[str] | None:
        """The names in `scope` that changed after a revision; None when that is not known any more, or never was."""
        present, floor = self._bounds()
        known = self._scope(scope)
        if known is not None:
            floor = max(floor, known.floor)
        if not floor <= since <= present or (known is not None and known.noted != known.revision):
            return None
        query = select(changes.c.name).where(changes.c.scope == str(scope), changes.c.revision > since)
        return set(self._connection.scalars(query))

    def _bounds(self) -> tuple[int, int]:
        row = self._connection.execute(select(revisions.c.revision, revisions.c.floor)).one()
        return row.revision, row.floor

    def _scope(self, scope: Owner) -> Row[Any] | None:
        return self._connection.execute(select(scopes).where(scopes.c.scope == str(scope))).one_or_none()

    def _note(self, scope: str, names: Collection[str], revision: int) -> None:
        for part in _parts(names):
            self._connection.execute(delete(changes).where(changes.c.scope == scope, changes.c.name.in_(part)))
            self._connection.execute(
                insert(changes), [{"scope": scope, "name": name, "revision": revision} for name in part]
            )
        of_scope = changes.c.scope == scope
        remembered = self._connection.scalars(select(func.count()).select_from(changes).where(of_scope)).one()
        if remembered > 2 * _REMEMBERED:
            newest_first = select(changes.c.revision).where(of_scope).order_by(changes.c.revision.desc())
            self._forget(scope, self._connection.scalars(newest_first.offset(_REMEMBERED).limit(1)).one())

    def _forget(self, scope: str, up_to: int) -> None:
        """Know no longer what changed in `scope` up to a revision."""
        self._connection.execute(delete(changes).where(changes.c.scope == scope, changes.c.revision <= up_to))
        self._connection.execute(update(scopes).where(scopes.c.scope == scope).values(floor=up_to))


def _parts(names: Collection[str]) -> Iterator[Sequence[str]]:
    rest = iter(names)
    while part := list(islice(rest, _TOGETHER)):
        yield part
