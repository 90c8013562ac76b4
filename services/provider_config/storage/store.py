"""The configuration in a database, and its transactions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from sqlalchemy import Connection, func, insert, select, update

from libs.core.resource_names import Owner
from libs.storage.database import Database
from services.provider_config.domain.ports import Transaction
from services.provider_config.domain.snapshot import ProviderSnapshot, Snapshot
from services.provider_config.storage.models import SqlModels
from services.provider_config.storage.providers import SqlProviders
from services.provider_config.storage.requests import SqlRequests
from services.provider_config.storage.tables import models, providers, revisions, scopes

T = TypeVar("T")


class SqlTransaction:
    """One transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.providers = SqlProviders(connection)
        self.models = SqlModels(connection)
        self.requests = SqlRequests(connection)
        self.advanced = False

    def lock(self) -> None:
        """Wait until no other transaction, of any replica, changes the configuration, and keep others out.

        Changes are rare and small, so one at a time is enough; in return there is no deadlock and no lost update,
        and revisions are committed in their order, which readers of `changes_since` rely on.
        """
        self._connection.execute(select(revisions.c.revision).with_for_update()).one()

    def revision(self) -> int:
        """The revision of the last change, 0 before the first."""
        return int(self._connection.scalars(select(revisions.c.revision)).one())

    def advance(self, scope: Owner, *changed: object) -> int:
        """Count a change of `scope`; its revision. `changed` are the names of what changed or is gone."""
        self._connection.execute(update(revisions).values(revision=revisions.c.revision + 1))
        revision = self.revision()
        changed = self._connection.execute(update(scopes).where(scopes.c.scope == str(scope)).values(revision=revision))
        if not changed.rowcount:
            self._connection.execute(insert(scopes).values(scope=str(scope), revision=revision))
        self.advanced = True
        return revision

    def changes_since(self, revision: int) -> Mapping[Owner, int]:
        """The scopes changed after `revision`, each with the revision of its last change."""
        query = select(scopes.c.scope, scopes.c.revision).where(scopes.c.revision > revision)
        return {Owner.parse(row.scope): row.revision for row in self._connection.execute(query)}

    def snapshot(self, scope: Owner) -> Snapshot:
        """All that `scope` holds."""
        found = sorted(self.providers.of_scope(scope), key=lambda each: (each.settings.priority, str(each.name)))
        models_of = self.models.of_scope(scope, {each.uid: each.name for each in found})
        return Snapshot(
            scope=scope,
            revision=self.revision(),
            providers=[ProviderSnapshot(provider=each, models=models_of.get(each.uid, ())) for each in found],
        )

    def scope_bytes(self, scope: Owner) -> int:
        """The sum of `provider_bytes` and `model_bytes` over `scope`."""
        of_providers = select(func.coalesce(func.sum(providers.c.snapshot_bytes), 0)).where(
            providers.c.scope == str(scope)
        )
        of_models = (
            select(func.coalesce(func.sum(models.c.snapshot_bytes), 0))
            .join(providers, providers.c.uid == models.c.provider_uid)
            .where(providers.c.scope == str(scope))
        )
        return sum(int(self._connection.scalars(query).one()) for query in (of_providers, of_models))


class SqlConfigStore:
    """The configuration. `changed` is called after a change is stored."""

    def __init__(self, database: Database, *, changed: Callable[[], None]) -> None:
        self._database = database
        self._changed = changed

    async def write(self, work: Callable[[Transaction], T]) -> T:
        """Run `work` in a transaction that changes the configuration, one at a time over all replicas."""

        def locked(connection: Connection) -> tuple[T, bool]:
            transaction = SqlTransaction(connection)
            transaction.lock()
            return work(transaction), transaction.advanced

        result, advanced = await self._database.write(locked)
        if advanced:
            self._changed()
        return result

    async def read(self, work: Callable[[Transaction], T]) -> T:
        """Run `work`, which changes nothing, on one snapshot."""
        return await self._database.read(lambda connection: work(SqlTransaction(connection)))
