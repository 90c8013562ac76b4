"""The configuration in memory: what the use cases and the streams are tested with."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

from libs.core.audit import AuditEvent, AuditFilter, AuditHead, ChainedEvent, chain_hash, genesis_hash
from libs.core.audit_seal import HeadSeal
from libs.core.audit_verification import ChainVerification, verify_chain
from libs.core.errors import GatehouseError, InvalidArgument
from libs.core.resource_names import ModelName, Owner, ProviderName
from libs.core.secret import Secret
from services.provider_config.domain.errors import model_exists, provider_exists
from services.provider_config.domain.model import Model
from services.provider_config.domain.ports import Request, Transaction
from services.provider_config.domain.probe_ports import Hold
from services.provider_config.domain.provider import Provider, ProviderSettings, ProviderTest, scope_of
from services.provider_config.domain.route import RouteSettings
from services.provider_config.domain.scope_size import model_bytes, provider_bytes
from services.provider_config.domain.snapshot import Changes, ProviderSnapshot, Snapshot
from services.provider_config.domain.snapshot_news import changed_resource
from services.provider_config.domain.versions import MOST_KEPT, Version
from tests.unit.provider_config.memory_routing import (
    MemoryPolicies,
    MemoryPreferenceSets,
    MemoryProfiles,
    MemoryRoutes,
    RoutingState,
)

S = TypeVar("S")
T = TypeVar("T")
NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
SEAL = HeadSeal(Secret(b"seal of audit heads, not a secret"))


class FakeClock:
    """Time moved by hand."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        return NOW

    def monotonic(self) -> float:
        return self.seconds


@dataclass
class _State:
    revision: int = 0
    scopes: dict[Owner, int] = field(default_factory=dict)
    noted: dict[Owner, dict[str, int]] = field(default_factory=dict)
    floors: dict[Owner, int] = field(default_factory=dict)
    floor: int = 0
    content: str = ""
    providers: dict[ProviderName, Provider] = field(default_factory=dict)
    models: dict[ModelName, Model] = field(default_factory=dict)
    versions: dict[tuple[str, str, int], Version[Any]] = field(default_factory=dict)
    users: dict[str, set[tuple[ProviderName, str]]] = field(default_factory=dict)
    routing: RoutingState = field(default_factory=RoutingState)
    responses: dict[tuple[str, str, str], tuple[bytes, bytes]] = field(default_factory=dict)
    events: list[AuditEvent] = field(default_factory=list)
    tests: dict[str, tuple[str | None, datetime]] = field(default_factory=dict)


class _Providers:
    def __init__(self, state: _State) -> None:
        self._state = state

    def get(self, name: ProviderName) -> Provider | None:
        return self._state.providers.get(name)

    def called(self, names: Collection[ProviderName]) -> Mapping[ProviderName, Provider]:
        return {name: self._state.providers[name] for name in names if name in self._state.providers}

    def page(self, owner: Owner, *, after: str | None, limit: int) -> Sequence[Provider]:
        found = sorted(
            (each for each in self._state.providers.values() if each.name.owner == owner),
            key=lambda each: each.name.provider,
        )
        return [each for each in found if after is None or each.name.provider > after][:limit]

    def count(self, owner: Owner) -> int:
        return len(self.page(owner, after=None, limit=10**6))

    def default_of(self, owner: Owner) -> Provider | None:
        return next((each for each in self.page(owner, after=None, limit=10**6) if each.settings.is_default), None)

    def defaults_of_tasks(self, owner: Owner, tasks: Collection[str]) -> Sequence[Provider]:
        found = self.page(owner, after=None, limit=10**6)
        return [each for each in found if set(tasks) & set(each.settings.default_for_tasks)]

    def add(self, provider: Provider) -> None:
        if provider.name in self._state.providers:
            raise provider_exists(provider.name)
        self._state.providers[provider.name] = provider

    def put(self, provider: Provider) -> None:
        last_test = self._state.providers[provider.name].last_test
        self._state.providers[provider.name] = replace(provider, last_test=last_test)

    def put_test(self, provider: Provider, test: ProviderTest) -> None:
        present = self._state.providers[provider.name]
        self._state.providers[provider.name] = replace(present, last_test=test)

    def remove(self, provider: Provider) -> None:
        del self._state.providers[provider.name]
        models = self._state.models
        self._state.models = {name: model for name, model in models.items() if name.provider != provider.name}


class MemoryVersions(Generic[S]):
    """What resources of one `kind` were."""

    def __init__(self, versions: dict[tuple[str, str, int], Version[Any]], kind: str) -> None:
        self._versions = versions
        self._kind = kind

    def add(self, uid: str, version: Version[S]) -> None:
        self._versions[self._kind, uid, version.version] = version
        self._versions.pop((self._kind, uid, version.version - MOST_KEPT), None)

    def get(self, uid: str, version: int) -> Version[S] | None:
        return self._versions.get((self._kind, uid, version))

    def page(self, uid: str, *, before: int | None, limit: int) -> Sequence[Version[S]]:
        found = sorted(self._numbers(uid), reverse=True)
        return [self._versions[self._kind, uid, number] for number in found if before is None or number < before][
            :limit
        ]

    def remove(self, uid: str) -> None:
        for number in self._numbers(uid):
            del self._versions[self._kind, uid, number]

    def _numbers(self, uid: str) -> list[int]:
        return [number for kind, of, number in self._versions if (kind, of) == (self._kind, uid)]


class _Models:
    def __init__(self, state: _State) -> None:
        self._state = state

    def get(self, name: ModelName) -> Model | None:
        return self._state.models.get(name)

    def called(self, names: Collection[ModelName]) -> Mapping[ModelName, Model]:
        return {name: self._state.models[name] for name in names if name in self._state.models}

    def with_enabled(self, providers: Collection[Provider]) -> AbstractSet[ProviderName]:
        named = {provider.name for provider in providers}
        return {name.provider for name, model in self._state.models.items() if model.settings.enabled} & named

    def page(self, provider: Provider, *, after: str | None, limit: int) -> Sequence[Model]:
        found = sorted(
            (each for each in self._state.models.values() if each.name.provider == provider.name),
            key=lambda each: each.name.model,
        )
        return [each for each in found if after is None or each.name.model > after][:limit]

    def add(self, model: Model, provider: Provider) -> None:
        if model.name in self._state.models:
            raise model_exists(model.name)
        self._state.models[model.name] = model

    def add_all(self, models: Sequence[Model], provider: Provider) -> None:
        for model in models:
            self.add(model, provider)

    def put(self, model: Model) -> None:
        self._state.models[model.name] = model

    def remove(self, model: Model) -> None:
        del self._state.models[model.name]


class _ProviderTests:
    def __init__(self, state: _State) -> None:
        self._tests = state.tests

    def forget(self, *, ended: datetime, beyond: datetime) -> None:
        for name, (_, until) in list(self._tests.items()):
            if until <= ended or until > beyond:
                del self._tests[name]

    def held(self, owner: Owner) -> Sequence[Hold]:
        return [
            Hold(name=name, under_way=uid is not None, until=until)
            for name, (uid, until) in self._tests.items()
            if ProviderName.parse(name).owner == owner
        ]

    def begin(self, name: ProviderName, uid: str, *, until: datetime) -> None:
        self._tests[str(name)] = (uid, until)

    def end(self, name: ProviderName, uid: str, *, free_at: datetime) -> None:
        if self._tests.get(str(name), ("", free_at))[0] == uid:
            self._tests[str(name)] = (None, free_at)


class _Requests:
    def __init__(self, state: _State) -> None:
        self._state = state

    def recall(self, request: Request, *, now: datetime) -> bytes | None:
        stored = self._state.responses.get((request.caller, request.method, request.request_id))
        if stored is None:
            return None
        if stored[0] != request.digest:
            raise InvalidArgument("REQUEST_ID_REUSED", "request_id was used for a different request")
        return stored[1]

    def remember(self, request: Request, response: bytes, *, now: datetime) -> None:
        self._state.responses[request.caller, request.method, request.request_id] = (request.digest, response)


class _AuditLog:
    """Events in the order they came; a filter that is not empty is for databases."""

    def __init__(self, state: _State) -> None:
        self._state = state

    def append(self, event: AuditEvent) -> None:
        self._state.events.append(event)

    def page(self, scope: str, wanted: AuditFilter, *, before: int | None, limit: int) -> Sequence[ChainedEvent]:
        assert wanted == AuditFilter()
        return [each for each in reversed(self.chain(scope)) if before is None or each.sequence < before][:limit]

    def following(self, scope: str, *, after: int, limit: int) -> Sequence[ChainedEvent]:
        return self.chain(scope)[after : after + limit]

    def chain(self, scope: str) -> Sequence[ChainedEvent]:
        """All events of a scope."""
        chain: list[ChainedEvent] = []
        events = [each for each in self._state.events if each.scope == scope]
        previous = genesis_hash(scope)
        for sequence, event in enumerate(events, start=1):
            found = chain_hash(previous, sequence, event)
            chain.append(ChainedEvent(sequence=sequence, previous_hash=previous, hash=found, event=event))
            previous = found
        return chain


class MemoryTransaction:
    def __init__(self, state: _State) -> None:
        self._state = state
        self.providers = _Providers(state)
        self.provider_versions: MemoryVersions[ProviderSettings] = MemoryVersions(state.versions, "provider")
        self.models = _Models(state)
        self.routes = MemoryRoutes(state.routing)
        self.route_versions: MemoryVersions[RouteSettings] = MemoryVersions(state.versions, "route")
        self.policies = MemoryPolicies(state.routing)
        self.preferences = MemoryPreferenceSets(state.routing)
        self.profiles = MemoryProfiles(state.routing)
        self.requests = _Requests(state)
        self.audit = _AuditLog(state)
        self.provider_tests = _ProviderTests(state)

    def users_of(self, provider: ProviderName, model: str | None) -> Sequence[str]:
        told = {
            user
            for user, named in self._state.users.items()
            if any(name == provider and model in {None, of} for name, of in named)
        }
        return sorted(told | self._state.routing.naming(provider, model))

    def revision(self) -> int:
        return self._state.revision

    def advance(self, scope: Owner, *changed: object) -> int:
        self._state.revision += 1
        revision = self._state.scopes[scope] = self._state.revision
        for name in changed:
            changed_resource(str(name))
            self._state.noted.setdefault(scope, {})[str(name)] = revision
        if not changed:
            self._state.floors[scope] = revision
        return revision

    def count_on(self, beyond: int) -> int:
        if self._state.revision <= beyond:
            self._state.revision = self._state.floor = beyond + 1
        return self._state.revision

    def compose(self, content: str) -> None:
        if self._state.content != content and self._state.revision:
            self.count_on(self._state.revision)
        self._state.content = content

    def changes_since(self, revision: int) -> Changes:
        found = {scope: changed for scope, changed in self._state.scopes.items() if changed > revision}
        known = self._state.floor <= revision <= self._state.revision
        return Changes(revision=self._state.revision, scopes=found, anew=not known)

    def unchanged(self, held: Mapping[Owner, int]) -> AbstractSet[Owner]:
        return {
            scope
            for scope, revision in held.items()
            if self._state.floor <= revision <= self._state.revision and self._state.scopes.get(scope, 0) <= revision
        }

    def changed_names(self, scope: Owner, *, since: int) -> AbstractSet[str] | None:
        if not max(self._state.floor, self._state.floors.get(scope, 0)) <= since <= self._state.revision:
            return None
        return {name for name, revision in self._state.noted.get(scope, {}).items() if revision > since}

    def snapshot(self, scope: Owner) -> Snapshot:
        found = [each for each in self._state.providers.values() if scope_of(each.name.owner) == scope]
        found.sort(key=lambda each: (each.settings.priority, str(each.name)))
        return Snapshot(
            scope=scope,
            revision=self._state.revision,
            providers=[
                ProviderSnapshot(provider=each, models=self.models.page(each, after=None, limit=10**6))
                for each in found
            ],
            routes=self.routes.of_scope(scope),
            preferences=self.preferences.of_scope(scope),
            profiles=self.profiles.of_scope(scope),
            policy=self.policies.get(scope),
        )

    def scope_bytes(self, scope: Owner) -> int:
        return sum(
            provider_bytes(each.provider) + sum(map(model_bytes, each.models))
            for each in self.snapshot(Owner(scope.tenant)).providers
            if scope.covers(each.provider.name.owner)
        ) + self._state.routing.size(scope)


class MemoryStore:
    """Counts the reads, and fails them while `failure` is set."""

    def __init__(self, *, changed: Callable[[], None] = lambda: None) -> None:
        self._state = _State()
        self._changed = changed
        self.reads = 0
        self.failure: GatehouseError | None = None

    def let_use(self, user: str, provider: ProviderName, model: str = "") -> None:
        """Let a resource called `user` name `provider`, or its `model`."""
        self._state.users.setdefault(user, set()).add((provider, model))

    @property
    def events(self) -> Sequence[AuditEvent]:
        """What was recorded so far."""
        return tuple(self._state.events)

    def forget_everything(self) -> None:
        """Be put back to the time before the first change."""
        self._state = _State()

    async def write(self, work: Callable[[Transaction], T]) -> T:
        # Events never change, and the mapping in them refuses to be copied.
        attempt = copy.deepcopy(self._state, {id(event): event for event in self._state.events})
        result = work(MemoryTransaction(attempt))
        advanced = attempt.revision > self._state.revision
        self._state = attempt
        if advanced:
            self._changed()
        return result

    async def read(self, work: Callable[[Transaction], T]) -> T:
        self.reads += 1
        if self.failure is not None:
            raise self.failure
        return work(MemoryTransaction(self._state))

    async def verify_audit(self, scope: str) -> ChainVerification:
        chain = MemoryTransaction(self._state).audit.chain(scope)
        head = AuditHead(scope=scope, sequence=len(chain), hash=chain[-1].hash) if chain else None
        return verify_chain(chain, scope=scope, head=None if head is None else SEAL.seal(head), seal=SEAL)
