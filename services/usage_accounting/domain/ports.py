"""What the use cases need of the world: a store with transactions, and prices.

The functions inside a transaction are synchronous and may be run again. All methods work on whole sets: one batch of
a thousand attempts costs as many statements as one attempt.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple, Protocol, TypeVar

from libs.core.money import TokenPrices
from libs.core.resource_names import QuotaName
from services.usage_accounting.domain.attempt import AttemptKey
from services.usage_accounting.domain.experiments import ArmAttempt, ArmSums, ExperimentQuery
from services.usage_accounting.domain.quota import Quota, QuotaMetric, WindowKey, WindowUse
from services.usage_accounting.domain.reports import RecordFilter, StatsQuery, StatsRow
from services.usage_accounting.domain.reservation import Hold, Reservation
from services.usage_accounting.domain.usage_event import Recorded, UsageEvent, UsageRecord

T = TypeVar("T")


class Request(NamedTuple):
    """What a repeated request is recognised by. `digest`: of the request without its id."""

    caller: str
    method: str
    request_id: str
    digest: bytes


class Prices(Protocol):
    """Published prices."""

    def find(self, provider_type: str, provider_model_id: str, *, input_tokens: int) -> TokenPrices | None:
        """What a call with `input_tokens` at most costs per token; None when nobody published it."""
        ...


class Reservations(Protocol):
    """The live reservations."""

    def of_operations(self, operation_ids: Collection[str]) -> dict[AttemptKey, Reservation]:
        """The reservations of these calls."""
        ...

    def of_tenant(self, tenant: str) -> Sequence[Reservation]:
        """All of a tenant's."""
        ...

    def due(self, *, at_us: int, limit: int) -> Sequence[Reservation]:
        """Up to `limit` whose lapse time has come, those due longest first."""
        ...

    def next_lapse_us(self) -> int | None:
        """When the next one lapses, None without any."""
        ...

    def add(self, reservations: Sequence[Reservation]) -> None:
        """Store new ones."""
        ...

    def replace_holds(self, holds: Mapping[AttemptKey, Sequence[Hold]]) -> None:
        """Change what reservations hold."""
        ...

    def remove(self, keys: Collection[AttemptKey]) -> None:
        """Remove reservations."""
        ...


class Ledger(Protocol):
    """The ledger and the sums over it, which are written together."""

    def of_operations(self, operation_ids: Collection[str]) -> dict[AttemptKey, Recorded]:
        """What is recorded of these calls."""
        ...

    def append(self, events: Sequence[UsageEvent]) -> None:
        """Write events, and add them to the hourly sums."""
        ...

    def used_since(self, tenant: str, metric: QuotaMetric, start_us: int) -> int:
        """What a tenant's attempts that began at or after `start_us` used."""
        ...

    def records(self, query: RecordFilter, *, limit: int) -> Sequence[UsageRecord]:
        """Up to `limit` events, newest first."""
        ...

    def stats(self, query: StatsQuery, *, limit: int) -> Sequence[StatsRow]:
        """Sums by group, up to `limit`: the most expensive first, then the most tokens."""
        ...


class Experiments(Protocol):
    """The hourly sums of experiments."""

    def add(self, attempts: Sequence[ArmAttempt]) -> None:
        """Add attempts, at least one, to the sums."""
        ...

    def sums(self, query: ExperimentQuery) -> Sequence[ArmSums]:
        """The sums of an experiment by arm, those of the arms that had attempts, by id."""
        ...


class Quotas(Protocol):
    """The stored quotas."""

    def get(self, name: QuotaName) -> Quota | None:
        """The quota called `name`."""
        ...

    def of_tenants(self, tenants: Collection[str]) -> dict[str, list[Quota]]:
        """All quotas of these tenants, by tenant."""
        ...

    def page(self, tenant: str, *, after: str, limit: int) -> Sequence[Quota]:
        """Up to `limit` quotas of a tenant, by id, those after the id `after`."""
        ...

    def count(self, tenant: str) -> int:
        """How many a tenant has."""
        ...

    def add(self, quota: Quota) -> None:
        """Store a new quota."""
        ...

    def put(self, quota: Quota) -> None:
        """Store a new version."""
        ...

    def remove(self, quota: Quota) -> None:
        """Remove a quota and its windows."""
        ...


class Windows(Protocol):
    """How far quotas are used, window by window. A window nobody used has no entry."""

    def use(self, keys: Collection[WindowKey]) -> dict[WindowKey, WindowUse]:
        """Those of `keys` that have an entry."""
        ...

    def hold(self, amounts: Mapping[WindowKey, WindowUse]) -> None:
        """Add to windows, making their entries if need be."""
        ...

    def settle(self, changes: Mapping[WindowKey, WindowUse]) -> None:
        """Add (also negative amounts) to windows; those that have no entry, for their quota is gone, stay without."""
        ...


class Requests(Protocol):
    """The quotas created within the last 24 hours by requests that have an id."""

    def recall(self, request: Request, *, now_us: int) -> Quota | None:
        """The answer to `request`. Raises InvalidArgument `REQUEST_ID_REUSED`."""
        ...

    def remember(self, request: Request, quota: Quota, *, now_us: int) -> None:
        """Keep the answer to `request`; only after `recall` found none."""
        ...


class Transaction(Protocol):
    """One consistent view; in `UsageStore.write`, alone with the whole store until it ends."""

    @property
    def now_us(self) -> int:
        """The time the transaction decides by, the same throughout it: microseconds since 1970 UTC."""
        ...

    @property
    def reservations(self) -> Reservations:
        """The live reservations."""
        ...

    @property
    def ledger(self) -> Ledger:
        """The ledger."""
        ...

    @property
    def experiments(self) -> Experiments:
        """The sums of experiments."""
        ...

    @property
    def quotas(self) -> Quotas:
        """The quotas."""
        ...

    @property
    def windows(self) -> Windows:
        """How far they are used."""
        ...

    @property
    def requests(self) -> Requests:
        """The remembered requests."""
        ...


class UsageStore(Protocol):
    """Everything that accounting keeps."""

    async def write(self, work: Callable[[Transaction], T]) -> T:
        """Run `work` in a transaction that is on disk when this returns; its exception undoes everything.

        Transactions that write run one after the other, also those of other replicas. Raises Unavailable.
        """
        ...

    async def read(self, work: Callable[[Transaction], T]) -> T:
        """Run `work`, which changes nothing, on one snapshot. Raises Unavailable."""
        ...
