"""The configuration in memory: what the use cases and the streams are tested with."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

from libs.core.errors import GatehouseError, InvalidArgument
from libs.core.resource_names import ModelName, Owner, ProviderName
from services.provider_config.domain.errors import model_exists, provider_exists
from services.provider_config.domain.model import Model
from services.provider_config.domain.ports import Request, Transaction
from services.provider_config.domain.provider import Provider, scope_of
from services.provider_config.domain.scope_size import model_bytes, provider_bytes
from services.provider_config.domain.snapshot import ProviderSnapshot, Snapshot

T = TypeVar("T")
NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)


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
    providers: dict[ProviderName, Provider] = field(default_factory=dict)
    models: dict[ModelName, Model] = field(default_factory=dict)
    responses: dict[tuple[str, str, str], tuple[bytes, bytes]] = field(default_factory=dict)


class _Providers:
    def __init__(self, state: _State) -> None:
        self._state = state

    def get(self, name: ProviderName) -> Provider | None:
        return self._state.providers.get(name)

    def page(self, owner: Owner, *, after: str | None, limit: int) -> Sequence[Provider]:
        found = sorted(
            (each for each in self._state.providers.values() if each.name.owner == owner),
            key=lambda each: each.name.provider,
        )
        return [each for each in found if after is None or each.name.provider > after][:limit]

    def default_of(self, owner: Owner) -> Provider | None:
        return next((each for each in self.page(owner, after=None, limit=10**6) if each.settings.is_default), None)

    def add(self, provider: Provider) -> None:
        if provider.name in self._state.providers:
            raise provider_exists(provider.name)
        self._state.providers[provider.name] = provider

    def put(self, provider: Provider) -> None:
        self._state.providers[provider.name] = provider

    def remove(self, provider: Provider) -> None:
        del self._state.providers[provider.name]
        models = self._state.models
        self._state.models = {name: model for name, model in models.items() if name.provider != provider.name}


class _Models:
    def __init__(self, state: _State) -> None:
        self._state = state

    def get(self, name: ModelName) -> Model | None:
        return self._state.models.get(name)

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

    def put(self, model: Model) -> None:
        self._state.models[model.name] = model

    def remove(self, model: Model) -> None:
        del self._state.models[model.name]


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


class MemoryTransaction:
    def __init__(self, state: _State) -> None:
        self._state = state
        self.providers = _Providers(state)
        self.models = _Models(state)
        self.requests = _Requests(state)

    def revision(self) -> int:
        return self._state.revision

    def advance(self, scope: Owner, *changed: object) -> int:
        self._state.revision += 1
        self._state.scopes[scope] = self._state.revision
        return self._state.revision

    def changes_since(self, revision: int) -> Mapping[Owner, int]:
        return {scope: changed for scope, changed in self._state.scopes.items() if changed > revision}

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
        )

    def scope_bytes(self, scope: Owner) -> int:
        return sum(
            provider_bytes(each.provider) + sum(map(model_bytes, each.models))
            for each in self.snapshot(scope).providers
        )


class MemoryStore:
    """Counts the reads, and fails them while `failure` is set."""

    def __init__(self, *, changed: Callable[[], None] = lambda: None) -> None:
        self._state = _State()
        self._changed = changed
        self.reads = 0
        self.failure: GatehouseError | None = None

    async def write(self, work: Callable[[Transaction], T]) -> T:
        attempt = copy.deepcopy(self._state)
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
