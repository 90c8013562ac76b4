"""What the use cases need of the world: a store with transactions, and a Vault.

The functions inside a transaction are synchronous and may be run again, so they take time and ids as arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeVar

from libs.core.resource_names import KeyName, Owner
from libs.core.secret import Secret
from services.key_vault.domain.key import Key, SealedKey

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a repeated request is recognised by. `digest`: keyed, of the request without its id."""

    caller: str
    method: str
    request_id: str
    digest: bytes


class Keys(Protocol):
    """The stored keys."""

    def get(self, name: KeyName) -> Key | None:
        """The key called `name`."""
        ...

    def page(self, owner: Owner, *, after: str | None, limit: int) -> Sequence[Key]:
        """Up to `limit` keys of exactly `owner`, by id, those after the id `after`."""
        ...

    def sealed(self, names: Collection[KeyName]) -> Mapping[KeyName, SealedKey]:
        """Those of `names` that exist and are active, in one query."""
        ...

    def add(self, key: Key, ciphertext: str) -> None:
        """Store a new key. Raises AlreadyExists `KEY_EXISTS`."""
        ...

    def replace_material(self, key: Key, ciphertext: str) -> None:
        """Store `key`, whose version is new, and destroy the ciphertexts of all its other versions."""
        ...

    def remove(self, key: Key) -> None:
        """Remove a key and its ciphertext."""
        ...


class Requests(Protocol):
    """The responses of the last 24 hours."""

    def recall(self, request: Request, *, now: datetime) -> Key | None:
        """The key that `request` was answered with. Raises InvalidArgument `REQUEST_ID_REUSED`."""
        ...

    def remember(self, request: Request, key: Key, *, now: datetime) -> None:
        """Keep the answer to `request`; only after `recall` found none in the same transaction."""
        ...


class KeyTransaction(Protocol):
    """One consistent view; in `KeyStore.write`, one that changes it."""

    @property
    def keys(self) -> Keys:
        """The keys."""
        ...

    @property
    def requests(self) -> Requests:
        """The remembered requests."""
        ...


class KeyStore(Protocol):
    """The database."""

    async def write(self, work: Callable[[KeyTransaction], T]) -> T:
        """Run `work` in a transaction that is on disk when this returns; its exception undoes everything.

        Raises Unavailable.
        """
        ...

    async def read(self, work: Callable[[KeyTransaction], T]) -> T:
        """Run `work`, which changes nothing, on a snapshot with every write that returned before.

        Raises Unavailable.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Ciphertext:
    """A ciphertext and the context it was sealed in."""

    text: str
    context: bytes


class Sealer(Protocol):
    """The Vault identity that may only encrypt."""

    async def seal(self, material: Secret, context: bytes) -> str:
        """The ciphertext. Raises Unavailable `VAULT_SEALED`, `VAULT_UNREACHABLE`, `VAULT_DENIED`, `OVERLOADED`."""
        ...


class Opener(Protocol):
    """The Vault identity that may only decrypt."""

    async def open(self, ciphertexts: Sequence[Ciphertext]) -> Sequence[Secret | None]:
        """The material of each, None for one that does not open in its context. Raises as `Sealer.seal` does."""
        ...
