"""The configuration in a database, and its transactions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection, func, select

from libs.core.audit_seal import HeadSeal
from libs.core.audit_verification import ChainVerification
from libs.core.resource_names import Owner, ProviderName
from libs.storage.audit_chain import carries_seal
from libs.storage.audit_repository import AuditRepository
from libs.storage.audit_verification import verify_in_pages
from libs.storage.database import Database
from services.provider_config.domain.ports import Transaction
from services.provider_config.domain.snapshot import Changes, ProviderSnapshot, Snapshot
from services.provider_config.storage.models import SqlModels
from services.provider_config.storage.policies import SqlPolicies
from services.provider_config.storage.preferences import SqlPreferenceSets
from services.provider_config.storage.profiles import SqlProfiles
from services.provider_config.storage.provider_json import decode_settings, encode_settings
from services.provider_config.storage.provider_references import users_of
from services.provider_config.storage.provider_tests import SqlProviderTests
from services.provider_config.storage.providers import SqlProviders
from services.provider_config.storage.requests import SqlRequests
from services.provider_config.storage.revisions import SqlRevisions
from services.provider_config.storage.route_bodies import route_body, route_settings
from services.provider_config.storage.routes import SqlRoutes
from services.provider_config.storage.tables import audit_log, models, preferences, profiles, providers, routes
from services.provider_config.storage.versions import SqlVersions

T = TypeVar("T")

MIGRATIONS = Path(__file__).parent / "migrations"
APPEND_ONLY = frozenset({audit_log.events.name})
"""The tables of which the service's own role may read and add rows only."""


class SqlTransaction:
    """One transaction."""

    def __init__(self, connection: Connection, seal: HeadSeal) -> None:
        self._connection = connection
        self.providers = SqlProviders(connection)
        self.provider_versions = SqlVersions(connection, "provider", encode=encode_settings, decode=decode_settings)
        self.provider_tests = SqlProviderTests(connection)
        self.models = SqlModels(connection)
        self.routes = SqlRoutes(connection)
        self.route_versions = SqlVersions(connection, "route", encode=route_body, decode=route_settings)
        self.policies = SqlPolicies(connection)
        self.preferences = SqlPreferenceSets(connection)
        self.profiles = SqlProfiles(connection)
        self.requests = SqlRequests(connection)
        self.audit = AuditRepository(connection, audit_log, seal)
        self._revisions = SqlRevisions(connection)
        self.advanced = False

    def lock(self) -> None:
        """Wait until no other transaction, of any replica, changes the configuration, and keep others out.

        Changes are rare and small, so one at a time is enough; in return there is no deadlock and no lost update,
        and revisions are committed in their order, which readers of `changes_since` rely on.
        """
        self._revisions.lock()

    def users_of(self, provider: ProviderName, model: str | None) -> Sequence[str]:
        """The names of the routes, preferences and profiles that name `provider`, or its `model`; sorted."""
        return users_of(self._connection, provider, model)

    def revision(self) -> int:
        """The revision of the last change, 0 before the first."""
        return self._revisions.present()

    def advance(self, scope: Owner, *changed: object) -> int:
        """Count a change of `scope`; its revision. `changed` are the names of what changed or is gone."""
        self.advanced = True
        return self._revisions.advance(scope, changed)

    def count_on(self, beyond: int) -> int:
        """Give out no revision up to `beyond`, and take what is held from before for unknown; the new revision."""
        return self._revisions.count_on(beyond)

    def compose(self, content: str) -> None:
        """Take what routers hold for unknown unless it was made of this `content` as well: it may lack something."""
        self._revisions.compose(content)

    def changes_since(self, revision: int) -> Changes:
        """The scopes changed after `revision`, each with the revision of its last change."""
        return self._revisions.changes_since(revision)

    def unchanged(self, held: Mapping[Owner, int]) -> AbstractSet[Owner]:
        """Those of the scopes in which nothing changed since the revision they are held at."""
        return self._revisions.unchanged(held)

    def changed_names(self, scope: Owner, *, since: int) -> AbstractSet[str] | None:
        """The names in `scope` that changed after a revision; None when that is not known any more, or never was."""
        return self._revisions.changed_names(scope, since=since)

    def snapshot(self, scope: Owner) -> Snapshot:
        """All that `scope` holds."""
        found = sorted(self.providers.of_scope(scope), key=lambda each: (each.settings.priority, str(each.name)))
        models_of = self.models.of_scope(scope, {each.uid: each.name for each in found})
        return Snapshot(
            scope=scope,
            revision=self.revision(),
            providers=[ProviderSnapshot(provider=each, models=models_of.get(each.uid, ())) for each in found],
            routes=self.routes.of_scope(scope),
            preferences=self.preferences.of_scope(scope),
            profiles=self.profiles.of_scope(scope),
            policy=self.policies.get(scope),
        )

    def scope_bytes(self, scope: Owner) -> int:
        """The sum of what each resource of the platform, a tenant with its users, or a user takes at most."""
        column = "scope" if scope.user is None else "owner"
        # Routes are the tenant's: they have no owner of their own.
        tables = (
            (providers, preferences, profiles, routes) if scope.user is None else (providers, preferences, profiles)
        )
        queries = [
            select(func.coalesce(func.sum(table.c.snapshot_bytes), 0)).where(table.c[column] == str(scope))
            for table in tables
        ]
        queries.append(
            select(func.coalesce(func.sum(models.c.snapshot_bytes), 0))
            .join(providers, providers.c.uid == models.c.provider_uid)
            .where(providers.c[column] == str(scope))
        )
        return sum(int(self._connection.scalars(query).one()) for query in queries)


class SqlConfigStore:
    """The configuration; `seal` is put on heads of audit chains, and `changed` called after a change is stored."""

    def __init__(self, database: Database, seal: HeadSeal, *, changed: Callable[[], None]) -> None:
        self._database = database
        self._seal = seal
        self._changed = changed

    async def write(self, work: Callable[[Transaction], T]) -> T:
        """Run `work` in a transaction that changes the configuration, one at a time over all replicas."""

        def locked(connection: Connection) -> tuple[T, bool]:
            transaction = SqlTransaction(connection, self._seal)
            transaction.lock()
            return work(transaction), transaction.advanced

        result, advanced = await self._database.write(locked)
        if advanced:
            self._changed()
        return result

    async def read(self, work: Callable[[Transaction], T]) -> T:
        """Run `work`, which changes nothing, on one snapshot."""
        return await self._database.read(lambda connection: work(SqlTransaction(connection, self._seal)))

    async def verify_audit(self, scope: str) -> ChainVerification:
        """Hold the audit chain of `scope` against its hashes and its sealed head. Raises Unavailable."""
        return await verify_in_pages(self._database, audit_log, scope, seal=self._seal)

    async def carries_our_seal(self) -> bool:
        """Whether any audit chain carries the seal of this process, or there is none yet. Raises Unavailable."""
        return await self._database.read(lambda connection: carries_seal(connection, audit_log, seal=self._seal))
