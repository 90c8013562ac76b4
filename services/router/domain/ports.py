"""What the router's domain asks of the world outside."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Protocol

from libs.core.errors import GatehouseError
from libs.core.money import NanoUsd, TokenPrices
from libs.core.secret import Secret
from services.router.domain.accounting import Reservation, Settlement
from services.router.domain.configuration import Configuration
from services.router.domain.generation import Answer, Generation, ProviderEvent
from services.router.domain.routing.plan import Target


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


class KeyOpener(Protocol):
    """The key service."""

    def open(self, *, name: str, origin: str, caller_token: Secret) -> asyncio.Future[Secret | GatehouseError]:
        """Open a key for one call. The future's result is the key, or why it is not opened."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispatch:
    """One attempt as the providers' session needs it.

    `reference` names it to the provider: `operation/attempt`. `output_limit` None sends no limit.
    """

    target: Target
    request: Generation
    output_limit: int | None
    key: Secret | None
    reference: str


class ProviderStream(Protocol):
    """An answer that is coming in."""

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

    async def generate(self, dispatch: Dispatch) -> Answer:
        """Send one attempt and wait for its whole answer. Raises ProviderError."""
        ...

    async def stream(self, dispatch: Dispatch) -> ProviderStream:
        """Send one attempt and wait until the provider begins to answer. Raises ProviderError."""
        ...


class AttemptObserver(Protocol):
    """Telemetry. Never given a prompt, an answer or a key."""

    def finished(self, reservation: Reservation, settlement: Settlement, cost: NanoUsd | None) -> None:
        """An attempt ended."""
        ...
