"""The use cases of key_vault over the stand-ins, as `app.py` wires them over the real things."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any, TypeVar

from libs.core.audit import AuditEvent
from libs.core.audit_authors import Author, Occasion
from libs.core.resource_names import KeyName
from libs.core.secret import Secret
from services.key_vault.domain.commands import Command, CreateKey
from services.key_vault.domain.create_key import KeyCreator
from services.key_vault.domain.digests import Digests
from services.key_vault.domain.key import Key
from services.key_vault.domain.key_use import OpenedVersion
from services.key_vault.domain.open_keys import KeyOpener
from services.key_vault.domain.ports import Ciphertext, KeyStore, KeyTransaction, Request
from services.key_vault.domain.rotate_key import KeyRotator
from services.key_vault.domain.sealing import sealing_context
from services.key_vault.domain.take_material import MaterialTaker
from tests.unit.key_vault.memory import FakeSecrets, FakeVault, HandClock, MemoryStore

T = TypeVar("T")
UseCase = Callable[[KeyTransaction, Any, Occasion], T]

NAME = KeyName.parse("tenants/acme/keys/openai")
ORIGIN = "https://api.openai.com:443"
OLD, NEW, NEWEST = Secret(b"sk-old-0123456789"), Secret(b"sk-new-9876543210"), Secret(b"sk-newest-555566667777")
ANN = Author(
    actor="tenants/acme/users/ann",
    roles=("tenant_admin",),
    address="192.0.2.7",
    request_id="req-1",
    tenant="acme",
    user="ann",
    is_admin=True,
)
CREATE = CreateKey(name=NAME, author=ANN, provider_type="openai", origin=ORIGIN, material=OLD)
# Ascending, and no two processes make the same.
_UIDS = count(time.time_ns() << 40)


class Replica:
    """One replica of key_vault: `store`, `vault`, `secrets` and `clock` are its outside."""

    def __init__(self, store: KeyStore) -> None:
        self.store = store
        self.vault = FakeVault()
        self.secrets = FakeSecrets()
        self.clock = HandClock()
        self.digests = Digests(Secret(b"k" * 32))
        self.used: list[tuple[OpenedVersion, str]] = []
        self.materials = MaterialTaker(
            opener=self.vault, sealer=self.vault, secrets=self.secrets, allowed=self.secrets, digests=self.digests
        )
        self.create = KeyCreator(store=self.store, materials=self.materials, clock=self.clock, new_uid=self.new_uid)
        self.rotate = KeyRotator(store=self.store, materials=self.materials, clock=self.clock, new_uid=self.new_uid)
        self.open = KeyOpener(
            store=self.store,
            vault=self.vault,
            secrets=self.secrets,
            allowed=self.secrets,
            clock=self.clock,
            used=self._use,
        )

    def new_uid(self) -> str:
        """A UUID that no world gave before."""
        return str(uuid.UUID(int=next(_UIDS)))

    async def change(self, use_case: UseCase[T], command: Command) -> T:
        """Run a use case that is a plain function, as a servicer does."""
        occasion = Occasion(now=self.clock.now(), uid=self.new_uid())
        return await self.store.write(lambda transaction: use_case(transaction, command, occasion))

    def _use(self, opened: Sequence[tuple[OpenedVersion, str]]) -> None:
        self.used.extend(opened)


class World(Replica):
    """A replica over the stand-in of the database, into which one can look."""

    store: MemoryStore

    def __init__(self, store: MemoryStore | None = None) -> None:
        super().__init__(store or MemoryStore())

    def key(self, name: KeyName = NAME) -> Key:
        """The key as it is stored."""
        return self.store.content.keys[name]

    async def material(self, name: KeyName = NAME, *, version: int = 0) -> Secret | None:
        """What a version's ciphertext opens to; of the one in use when none is named."""
        key = self.key(name)
        number = version or key.version
        text = self.store.content.ciphertexts[key.uid, number]
        batch = await self.vault.open([Ciphertext(text=text, context=sealing_context(name.owner, key.uid, number))])
        return batch.materials[0]

    def audited(self, scope: str = "tenants/acme") -> list[AuditEvent]:
        """The events of a chain, oldest first."""
        return [chained.event for chained in self.store.content.chains.get(scope, ())]


def a_request(method: str, digest: bytes = b"d") -> Request:
    """What a request with an id is remembered by."""
    return Request(caller=ANN.actor, method=method, request_id="r", digest=digest)
