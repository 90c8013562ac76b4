"""What the router's domain asks of the world outside."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol

from libs.core.errors import GatehouseError
from libs.core.money import NanoUsd, TokenPrices
from libs.core.secret import Secret
from services.router.domain.accounting import Reservation, Settlement
from services.router.domain.call_request import RequestT
from services.router.domain.configuration import Configuration
from services.router.domain.embedding import Embedding, Vectors
from services.router.domain.generation import Answer, Generation, ProviderEvent
from services.router.domain.routing.route_plan import Rejected, Target


class ConfigSource(Protocol):
    """The configuration that provider_config pushes."""

    def held(self, tenant: str) -> Configuration | None:
        """What is held of a tenant now; None when it has not arrived."""
        ...

    async def arrived(self, tenant: str, *, within_s: float) -> Configuration:
        """Wait until the tenant's configuration is held. Raises Unavailable `CONFIG_UNAVAILABLE` when it takes long."""
        ...

    async def reached(self, tenant: str, revision: int, *, within_s: float) -> Configuration:
        """Wait until everything up to `revision` is held. Raises Unavailable `REVISION_NOT_REACHED`."""
        ...

    @property
    def connected(self) -> bool:
        """Whether provider_config tells of changes just now."""
        ...

    @property
    def revision(self) -> int:
        """The revision up to which everything that is watched is held; 0 before anything arrived."""
        ...

    def age_s(self) -> float:
        """Seconds since what is held was last known to be current. Asked for every call."""
        ...


class KeyOpener(Protocol):
    """The key service."""

    def open(
        self, *, name: str, origin: str, caller_token: Secret, version: int = 0
    ) -> asyncio.Future[OpenedKey | GatehouseError]:
        """Open a version of a key for one call, 0 being the one in use. The result is the key, or why it is not opened.

        Raises Unavailable `OVERLOADED` when too many wait.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedKey:
    """A key in clear, for one call only.

    `version` is the one that was opened, from 1. `fallback_version` is one that overlaps with it, to be tried when the
    provider refuses this one; 0 for none.
    """

    material: Secret = field(repr=False)
    version: int
    fallback_version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyState:
    """Whether a key could be opened for the origin it was asked about.

    `obstacle` is `KEY_UNUSABLE`, `KEY_DISABLED` or `ORIGIN_MISMATCH`, with `description` for people; both are empty for
    a key that could be opened. `refused`: the provider refused it when it was last used, or said its credit is used up.
    """

    obstacle: str = ""
    description: str = ""
    refused: bool = False


class KeyChecker(Protocol):
    """Who knows of keys whether they could be opened."""

    async def check(self, keys: Sequence[tuple[str, str]]) -> Sequence[KeyState]:
        """The states of keys, given as (name, origin), in the same order. Raises GatehouseError when nobody answers."""
        ...


class KeyOutcomes(Protocol):
    """Who tells the key service how providers took the keys it opened. Nothing here waits or fails.

    `key` is a resource name, `version` the one that was sent; times are seconds since 1970. `sent_time` is when the
    attempt went out, `refusal_time` when its refusal came back.
    """

    def used(self, key: str, version: int, sent_time: float) -> None:
        """The key was sent; what came of it says nothing about the key."""
        ...

    def succeeded(self, key: str, version: int, sent_time: float) -> None:
        """The provider answered to the end."""
        ...

    def rejected(self, key: str, version: int, sent_time: float, refusal_time: float) -> None:
        """The provider refused the key itself."""
        ...

    def exhausted(self, key: str, version: int, sent_time: float, refusal_time: float) -> None:
        """The provider said that the credit or quota of the key's account is used up."""
        ...


class Ledger(Protocol):
    """The ledger, and the durable spool in front of it."""

    @property
    def accepting(self) -> bool:
        """Whether more usage can be recorded durably; False refuses new calls."""
        ...

    def reserve(self, reservation: Reservation) -> asyncio.Future[ReserveResult]:
        """Reserve for one attempt. A future cancelled by its owner is undone by the ledger client itself."""
        ...

    def settle(self, settlement: Settlement) -> None:
        """Record how an attempt ended. Never waits and never fails: it is on disk when this returns."""
        ...

    def release(self, reservation: Reservation) -> None:
        """Record that a reserved attempt was never sent."""
        ...


@dataclass(frozen=True, slots=True)
class Granted:
    """A reservation holds; `price` is what it will be settled at, None when unknown."""

    price: TokenPrices | None


ReserveResult = Granted | GatehouseError


def _nothing() -> None:
    """For those who keep no account."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispatch(Generic[RequestT]):
    """One attempt as the providers' session needs it.

    `reference` names it to the provider: `operation/attempt`. `output_limit` None sends no limit. `media_by_url`: the
    request may name media by URL, which not every provider fetches itself; `tenant` is whose call it is. `departing` is
    called right before anything goes out to the provider: what is left before that costs nothing.
    """

    target: Target
    request: RequestT
    output_limit: int | None
    key: Secret | None
    reference: str
    media_by_url: bool = False
    tenant: str = ""
    departing: Callable[[], None] = _nothing


class ProviderStream(Protocol):
    """An answer that is coming in."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was left out of the request."""
        ...

    async def read(self) -> list[ProviderEvent]:
        """The next events; the last list ends with Finished, and reading on gives an empty one.

        Raises ProviderError, also when the stream ends without Finished.
        """
        ...

    def close(self) -> None:
        """Close the connection unless the answer was read to its end. Never waits, may be called again."""
        ...


class ProviderSession(Protocol):
    """The connections to the providers."""

    async def generate(self, dispatch: Dispatch[Generation]) -> Answer:
        """Send one attempt and wait for its whole answer. Raises ProviderError."""
        ...

    async def stream(self, dispatch: Dispatch[Generation]) -> ProviderStream:
        """Send one attempt and wait until the provider begins to answer. Raises ProviderError."""
        ...

    async def embed(self, dispatch: Dispatch[Embedding]) -> Vectors:
        """Send one attempt and wait for all its vectors, which are as many as inputs. Raises ProviderError."""
        ...


class AttemptObserver(Protocol):
    """Telemetry. Never given a prompt, an answer or a key."""

    def finished(self, reservation: Reservation, settlement: Settlement, cost: NanoUsd | None) -> None:
        """An attempt ended."""
        ...

    def key_fallback(self, reservation: Reservation, *, refused_version: int, version: int) -> None:
        """The provider refused the key's version in use; the next attempt is made with one that overlaps with it."""
        ...

    def passed_over(self, tenant: str, operation_id: str, rejected: Rejected) -> None:
        """Another target takes the place of one that would have come first."""
        ...

    def platform_fallback(self, reservation: Reservation) -> None:
        """An attempt is made with a provider of the platform."""
        ...
