"""Stand-ins for the database and Vault, with the faults a test asks for."""

from __future__ import annotations

import base64
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from libs.core.errors import GatehouseError, InvalidArgument
from libs.core.resource_names import KeyName, Owner
from libs.core.secret import Secret
from services.key_vault.domain.errors import key_exists
from services.key_vault.domain.key import Key, SealedKey
from services.key_vault.domain.ports import Ciphertext, KeyTransaction, Request

T = TypeVar("T")


class MemoryTransaction:
    """`KeyTransaction`, `Keys` and `Requests` over dictionaries."""

    def __init__(self) -> None:
        self.rows: dict[KeyName, tuple[Key, str]] = {}
        self.remembered: dict[tuple[str, str, str], tuple[bytes, datetime, Key]] = {}

    @property
    def keys(self) -> MemoryTransaction:
        return self

    @property
    def requests(self) -> MemoryTransaction:
        return self

    def get(self, name: KeyName) -> Key | None:
        return self.rows[name][0] if name in self.rows else None

    def page(self, owner: Owner, *, after: str | None, limit: int) -> Sequence[Key]:
        ids = sorted(name.key for name in self.rows if name.owner == owner and (after is None or name.key > after))
        return [self.rows[KeyName(owner, each)][0] for each in ids[:limit]]

    def sealed(self, names: Collection[KeyName]) -> Mapping[KeyName, SealedKey]:
        return {
            name: SealedKey(name=name, uid=key.uid, version=key.version, origin=key.origin, ciphertext=ciphertext)
            for name, (key, ciphertext) in self.rows.items()
            if name in names
        }

    def add(self, key: Key, ciphertext: str) -> None:
        if key.name in self.rows:
            raise key_exists(key.name)
        self.rows[key.name] = (key, ciphertext)

    def replace_material(self, key: Key, ciphertext: str) -> None:
        self.rows[key.name] = (key, ciphertext)

    def remove(self, key: Key) -> None:
        del self.rows[key.name]

    def recall(self, request: Request, *, now: datetime) -> Key | None:
        found = self.remembered.get((request.caller, request.method, request.request_id))
        if found is None or now >= found[1]:
            return None
        if found[0] != request.digest:
            raise InvalidArgument("REQUEST_ID_REUSED", "reused")
        return found[2]

    def remember(self, request: Request, key: Key, *, now: datetime) -> None:
        entry = (request.digest, now + timedelta(hours=24), key)
        self.remembered[request.caller, request.method, request.request_id] = entry


class MemoryStore:
    """`KeyStore`: one transaction at a time, undone by an exception."""

    def __init__(self) -> None:
        self.content = MemoryTransaction()
        self.reads = 0
        self.failure: GatehouseError | None = None

    async def write(self, work: Callable[[KeyTransaction], T]) -> T:
        if self.failure is not None:
            raise self.failure
        before = dict(self.content.rows), dict(self.content.remembered)
        try:
            return work(self.content)
        except BaseException:
            self.content.rows, self.content.remembered = before
            raise

    async def read(self, work: Callable[[KeyTransaction], T]) -> T:
        if self.failure is not None:
            raise self.failure
        self.reads += 1
        return work(self.content)


class FakeVault:
    """`Sealer` and `Opener`: a ciphertext names its context and opens in no other."""

    def __init__(self) -> None:
        self.failure: GatehouseError | None = None
        self.sealed = 0
        self.batches: list[int] = []
        self.while_sealing: Callable[[], object] = lambda: None

    async def seal(self, material: Secret, context: bytes) -> str:
        if self.failure is not None:
            raise self.failure
        self.sealed += 1
        self.while_sealing()
        return f"{base64.b64encode(context).decode()}.{base64.b64encode(material.reveal()).decode()}"

    async def open(self, ciphertexts: Sequence[Ciphertext]) -> Sequence[Secret | None]:
        if self.failure is not None:
            raise self.failure
        self.batches.append(len(ciphertexts))
        return [self._open(each) for each in ciphertexts]

    def _open(self, ciphertext: Ciphertext) -> Secret | None:
        context, _, material = ciphertext.text.partition(".")
        return Secret(base64.b64decode(material)) if base64.b64decode(context) == ciphertext.context else None


class HandClock:
    """Time moved by hand."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds
