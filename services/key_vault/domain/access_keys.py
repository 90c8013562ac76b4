"""Deciding, item by item, which keys of a batch may be opened for whom."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from libs.core.errors import GatehouseError
from libs.core.resource_names import KeyName
from services.key_vault.domain.errors import permission_denied
from services.key_vault.domain.open_keys import KeyUse, Opened
from services.key_vault.domain.permission import Bearer, manages_key, may_use_key


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyAccess:
    """One item of a batch: a well-formed name and normalised origin, and the token of the caller it is for.

    `version` 0 is the one in use; `service` is who asks. `probe`: to find out whether the provider takes it, not for a
    call.
    """

    name: KeyName
    origin: str
    caller_token: bytes = field(repr=False)
    service: str
    version: int = 0
    probe: bool = False


class Bearers(Protocol):
    """Who is behind a token."""

    async def __call__(self, token: bytes) -> Bearer:
        """Whom `token` speaks for. Raises Unauthenticated, and Unavailable when no token can be verified."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyAccessor:
    """Verifies each distinct token of a batch once, drops what is not permitted, and has the rest opened.

    `submit` puts a use among those of the next Vault round; what it returns can be cancelled. `denied` is told who
    reached for a key that is not theirs, in which request, and does not wait.
    """

    bearers: Bearers
    submit: Callable[[KeyUse], Awaitable[Opened]]
    denied: Callable[[Bearer, KeyName, str], None]

    async def __call__(self, items: Sequence[KeyAccess | GatehouseError], request_id: str) -> list[Opened]:
        """One result for each item, in order; an item that is an error already stays that error.

        Raises Unavailable `OVERLOADED` when too many wait.
        """
        known: dict[bytes, Bearer | GatehouseError] = {}
        for item in items:
            if isinstance(item, KeyAccess) and item.caller_token not in known:
                known[item.caller_token] = await self._bearer(item.caller_token)
        # Only now, all at once: whoever waits for a token to be verified holds up no Vault round of others.
        waiting = [self._begin(item, known, request_id) for item in items]
        return [each if isinstance(each, GatehouseError) else await each for each in waiting]

    async def _bearer(self, token: bytes) -> Bearer | GatehouseError:
        try:
            return await self.bearers(token)
        except GatehouseError as error:
            return error

    def _begin(
        self, item: KeyAccess | GatehouseError, known: dict[bytes, Bearer | GatehouseError], request_id: str
    ) -> Awaitable[Opened] | GatehouseError:
        if isinstance(item, GatehouseError):
            return item
        bearer = known[item.caller_token]
        if isinstance(bearer, GatehouseError):
            return bearer
        # The same answer whether the key exists or not: it has not been looked up.
        allowed = may_use_key(bearer, item.name.owner) or (item.probe and manages_key(bearer, item.name.owner))
        if not allowed:
            self.denied(bearer, item.name, request_id)
            return permission_denied()
        return self.submit(KeyUse(name=item.name, origin=item.origin, service=item.service, version=item.version))
