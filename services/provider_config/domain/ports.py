"""What the use cases need of the world: a store with transactions.

The functions inside a transaction are synchronous and may be run again, so they take time and ids as arguments.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeVar

from libs.core.audit_log import AuditLog
from libs.core.audit_verification import ChainVerification
from libs.core.resource_names import KeyName, ModelName, Owner, ProviderName
from services.provider_config.domain.model import Model
from services.provider_config.domain.probe_ports import ProviderTests
from services.provider_config.domain.provider import Provider, ProviderSettings, ProviderTest
from services.provider_config.domain.route import RouteSettings
from services.provider_config.domain.routing_ports import Policies, PreferenceSets, Profiles, Routes
from services.provider_config.domain.snapshot import Changes, Snapshot
from services.provider_config.domain.versions import Versions

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a repeated request is recognised by. `digest`: of the request without its id."""

    caller: str
    method: str
    request_id: str
    digest: bytes


class Providers(Protocol):
    """The stored providers."""

    def get(self, name: ProviderName) -> Provider | None:
        """The provider called `name`."""
        ...

    def called(self, names: Collection[ProviderName]) -> Mapping[ProviderName, Provider]:
        """Those of the providers called `names` that there are; hundreds are read at once."""
        ...

    def page(self, owner: Owner, *, after: str | None, limit: int) -> Sequence[Provider]:
        """Up to `limit` providers of exactly `owner`, by id, those after the id `after`."""
        ...

    def count(self, owner: Owner) -> int:
        """How many exactly `owner` has."""
        ...

    def default_of(self, owner: Owner) -> Provider | None:
        """The one provider of `owner` that has `is_default`."""
        ...

    def defaults_of_tasks(self, owner: Owner, tasks: Collection[str]) -> Sequence[Provider]:
        """The providers of `owner` that are the default for any of `tasks`."""
        ...

    def add(self, provider: Provider) -> None:
        """Store a new provider. Raises AlreadyExists `PROVIDER_EXISTS`."""
        ...

    def put(self, provider: Provider) -> None:
        """Store a new version of a provider, but for its `last_test`."""
        ...

    def put_test(self, provider: Provider, test: ProviderTest) -> None:
        """Store what a test of a provider found; for everybody but its readers that is no change."""
        ...

    def remove(self, provider: Provider) -> None:
        """Remove a provider and its models."""
        ...


class Models(Protocol):
    """The stored models."""

    def get(self, name: ModelName) -> Model | None:
        """The model called `name`."""
        ...

    def called(self, names: Collection[ModelName]) -> Mapping[ModelName, Model]:
        """Those of the models called `names` that there are; hundreds are read at once."""
        ...

    def with_enabled(self, providers: Collection[Provider]) -> AbstractSet[ProviderName]:
        """The names of those of `providers` that have any model that is enabled."""
        ...

    def page(self, provider: Provider, *, after: str | None, limit: int) -> Sequence[Model]:
        """Up to `limit` models of `provider`, by id, those after the id `after`."""
        ...

    def add(self, model: Model, provider: Provider) -> None:
        """Store a new model of `provider`. Raises AlreadyExists `MODEL_EXISTS`."""
        ...

    def add_all(self, models: Sequence[Model], provider: Provider) -> None:
        """Store new models of `provider`, of which none is there yet; thousands are stored at once."""
        ...

    def put(self, model: Model) -> None:
        """Store a new version of a model."""
        ...

    def remove(self, model: Model) -> None:
        """Remove a model."""
        ...


class Requests(Protocol):
    """The responses of the last 24 hours."""

    def recall(self, request: Request, *, now: datetime) -> bytes | None:
        """The response to `request`. Raises InvalidArgument `REQUEST_ID_REUSED`."""
        ...

    def remember(self, request: Request, response: bytes, *, now: datetime) -> None:
        """Keep the response to `request`; only after `recall` found none."""
        ...


class Transaction(Protocol):
    """One consistent view; in `ConfigStore.write`, alone with the configuration until it ends."""

    @property
    def providers(self) -> Providers:
        """The providers."""
        ...

    @property
    def provider_versions(self) -> Versions[ProviderSettings]:
        """What the providers were."""
        ...

    @property
    def models(self) -> Models:
        """The models."""
        ...

    @property
    def routes(self) -> Routes:
        """The routes."""
        ...

    @property
    def route_versions(self) -> Versions[RouteSettings]:
        """What routes were."""
        ...

    @property
    def policies(self) -> Policies:
        """The policies of tenants."""
        ...

    @property
    def preferences(self) -> PreferenceSets:
        """The preferences of users."""
        ...

    @property
    def profiles(self) -> Profiles:
        """The profiles."""
        ...

    @property
    def provider_tests(self) -> ProviderTests:
        """Which providers are being tried."""
        ...

    @property
    def requests(self) -> Requests:
        """The remembered requests."""
        ...

    @property
    def audit(self) -> AuditLog:
        """The audit chains."""
        ...

    def users_of(self, provider: ProviderName, model: str | None) -> Sequence[str]:
        """The names of the routes, preferences and profiles that name `provider`, or its `model`; sorted."""
        ...

    def revision(self) -> int:
        """The revision of the last change, 0 before the first."""
        ...

    def advance(self, scope: Owner, *changed: object) -> int:
        """Count a change of `scope`; its revision. `changed` are the names of what changed or is gone."""
        ...

    def count_on(self, beyond: int) -> int:
        """Give out no revision up to `beyond`, and take what anybody holds from before for unknown; the new revision.

        For a database that was put back to an older state. Where it has gone on beyond that already, nothing happens.
        """
        ...

    def compose(self, content: str) -> None:
        """Take what routers hold for unknown unless it was made of this `content` as well: it may lack something."""
        ...

    def changes_since(self, revision: int) -> Changes:
        """The scopes changed after `revision`, each with the revision of its last change."""
        ...

    def unchanged(self, held: Mapping[Owner, int]) -> AbstractSet[Owner]:
        """Those of the scopes in which nothing changed since the revision they are held at."""
        ...

    def snapshot(self, scope: Owner) -> Snapshot:
        """All that `scope` holds."""
        ...

    def changed_names(self, scope: Owner, *, since: int) -> AbstractSet[str] | None:
        """The names in `scope` that changed after a revision; None when that is not known any more, or never was."""
        ...

    def scope_bytes(self, scope: Owner) -> int:
        """The sum of what each resource of the platform, of a tenant with its users, or of a user takes in a snapshot.

        At most, that is.
        """
        ...


class KeyUsability(enum.Enum):
    """Whether a key could be opened; as in `key_access_service.proto`."""

    USABLE = "USABLE"
    MISSING = "MISSING"
    DISABLED = "DISABLED"
    ORIGIN_MISMATCH = "ORIGIN_MISMATCH"
    NO_VERSION = "NO_VERSION"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyCheck:
    """What key_vault knows of a key. `origin`: the one it was entered for, empty when it does not exist.

    `refused_by_provider`: when it was last used, or its credit is used up. It can be opened all the same.
    """

    usability: KeyUsability
    origin: str = ""
    refused_by_provider: bool = False


class KeyChecks(Protocol):
    """What can be asked of key_vault about keys without opening them."""

    async def check(self, wanted: Sequence[tuple[KeyName, str]]) -> Sequence[KeyCheck]:
        """The findings about keys, each to be sent to an origin (empty: any), in their order; at most 256.

        Raises Unavailable.
        """
        ...


class AddressChecks(Protocol):
    """What can be found out about providers' addresses."""

    async def problem(self, base_url: str) -> str | None:
        """Why `base_url`, in which the rules see nothing wrong, must not be called; None when it may be.

        To follow the field's name in a sentence.
        """
        ...


class ConfigStore(Protocol):
    """The configuration."""

    async def write(self, work: Callable[[Transaction], T]) -> T:
        """Run `work` in a transaction that changes the configuration; its exception undoes everything.

        Revisions become visible in their order. Raises Unavailable.
        """
        ...

    async def read(self, work: Callable[[Transaction], T]) -> T:
        """Run `work`, which changes nothing, on one snapshot. Raises Unavailable."""
        ...

    async def verify_audit(self, scope: str) -> ChainVerification:
        """Hold the audit chain of `scope` against its hashes and its sealed head. Raises Unavailable."""
        ...
