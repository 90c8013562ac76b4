"""What the use cases need of the world: a store with transactions.

The functions inside a transaction are synchronous and may be run again, so they take time and ids as arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeVar

from libs.core.audit import AuditEvent, AuditFilter, ChainedEvent
from libs.core.resource_names import ModelName, Owner, ProviderName
from services.provider_config.domain.model import Model
from services.provider_config.domain.provider import Provider
from services.provider_config.domain.snapshot import Snapshot

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

    def page(self, owner: Owner, *, after: str | None, limit: int) -> Sequence[Provider]:
        """Up to `limit` providers of exactly `owner`, by id, those after the id `after`."""
        ...

    def default_of(self, owner: Owner) -> Provider | None:
        """The one provider of `owner` that has `is_default`."""
        ...

    def add(self, provider: Provider) -> None:
        """Store a new provider. Raises AlreadyExists `PROVIDER_EXISTS`."""
        ...

    def put(self, provider: Provider) -> None:
        """Store a new version of a provider."""
        ...

    def remove(self, provider: Provider) -> None:
        """Remove a provider and its models."""
        ...


class Models(Protocol):
    """The stored models."""

    def get(self, name: ModelName) -> Model | None:
        """The model called `name`."""
        ...

    def page(self, provider: Provider, *, after: str | None, limit: int) -> Sequence[Model]:
        """Up to `limit` models of `provider`, by id, those after the id `after`."""
        ...

    def add(self, model: Model, provider: Provider) -> None:
        """Store a new model of `provider`. Raises AlreadyExists `MODEL_EXISTS`."""
        ...

    def put(self, model: Model) -> None:
        """Store a new version of a model."""
        ...

    def remove(self, model: Model) -> None:
        """Remove a model."""
        ...


class AuditLog(Protocol):
    """The audit chains. Nothing in them is ever changed."""

    def append(self, event: AuditEvent) -> None:
        """Add an event to the chain it names. Raises FailedPrecondition `AUDIT_LOG_DAMAGED`."""
        ...

    def page(self, scope: str, wanted: AuditFilter, *, before: int | None, limit: int) -> Sequence[ChainedEvent]:
        """Up to `limit` events, newest first, those before the sequence `before`."""
        ...

    def following(self, scope: str, *, after: int, limit: int) -> Sequence[ChainedEvent]:
        """Up to `limit` events in their order, those after the sequence `after`."""
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
    def models(self) -> Models:
        """The models."""
        ...

    @property
    def requests(self) -> Requests:
        """The remembered requests."""
        ...

    @property
    def audit(self) -> AuditLog:
        """The audit chains."""
        ...

    def revision(self) -> int:
        """The revision of the last change, 0 before the first."""
        ...

    def advance(self, scope: Owner, *changed: object) -> int:
        """Count a change of `scope`; its revision. `changed` are the names of what changed or is gone."""
        ...

    def changes_since(self, revision: int) -> Mapping[Owner, int]:
        """The scopes changed after `revision`, each with the revision of its last change."""
        ...

    def snapshot(self, scope: Owner) -> Snapshot:
        """All that `scope` holds."""
        ...

    def scope_bytes(self, scope: Owner) -> int:
        """The sum of `provider_bytes` and `model_bytes` over `scope`."""
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
