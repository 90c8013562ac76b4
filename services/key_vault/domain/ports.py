"""What the use cases need of the world: a store with transactions, and a Vault.

The functions inside a transaction are synchronous and may be run again: what they did before is undone then, and all
they leave behind is in the transaction or returned.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeVar

from libs.core.audit import AuditHead
from libs.core.audit_log import AuditLog
from libs.core.audit_verification import ChainVerification
from libs.core.errors import GatehouseError
from libs.core.resource_names import KeyName, Owner
from libs.core.secret import Secret
from services.key_vault.domain.key import (
    Condition,
    Key,
    KeyOutline,
    KeyState,
    KeyStatus,
    SealedKey,
    VaultSecretRef,
)
from services.key_vault.domain.key_outcome import KeyNotification, NotificationType
from services.key_vault.domain.key_use import KeyUseCount
from services.key_vault.domain.rewrap_run import RewrapRun

T = TypeVar("T")

MOST_DUPLICATES = 20
"""Names of keys with the same material in one answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a repeated request is recognised by. `digest`: keyed, of the request without its id."""

    caller: str
    method: str
    request_id: str
    digest: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyAnswer:
    """What a change is answered with: the key, and other keys of the tenant with the same material.

    `duplicates` are those the caller may see, at most MOST_DUPLICATES; `hidden_duplicates` counts the others.
    """

    key: Key
    duplicates: tuple[KeyName, ...] = ()
    hidden_duplicates: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFilter:
    """Which keys to list; None does not restrict."""

    provider_type: str | None = None
    state: KeyState | None = None
    condition: Condition | None = None
    include_users: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Ciphertext:
    """A ciphertext and the context it was sealed in."""

    text: str
    context: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class WrappedVersion:
    """A sealed version as re-wrapping sees it."""

    owner: Owner
    key_uid: str
    version: int
    ciphertext: str


class Keys(Protocol):
    """The stored keys."""

    def get(self, name: KeyName) -> Key | None:
        """The key called `name`, with its versions and status. In a writing transaction it stays as it is."""
        ...

    def page(self, owner: Owner, wanted: KeyFilter, *, after: tuple[str, str] | None, limit: int) -> Sequence[Key]:
        """Up to `limit` keys of `owner`, by user and id, those after the (user, id) `after`."""
        ...

    def sealed(self, names: Collection[KeyName]) -> Mapping[KeyName, SealedKey]:
        """The version in use of those of `names` that exist, in whatever state, in one query."""
        ...

    def sealed_versions(self, versions: Collection[tuple[KeyName, int]]) -> Mapping[tuple[KeyName, int], SealedKey]:
        """Those of `versions` that exist and are not destroyed, in one query."""
        ...

    def outlines(self, names: Collection[KeyName]) -> Mapping[KeyName, KeyOutline]:
        """What is to be known of those of `names` that exist without opening them, in one query."""
        ...

    def add(self, key: Key, ciphertext: str) -> None:
        """Store a new key; `ciphertext` is empty for one in the operator's Vault. Raises AlreadyExists `KEY_EXISTS`."""
        ...

    def add_version(self, key: Key, ciphertext: str) -> None:
        """Store `key`, whose version in use is new, as `put` does."""
        ...

    def put(self, key: Key) -> None:
        """Store what changed of `key`; the ciphertexts of versions destroyed or not among its versions are erased."""
        ...

    def remove(self, key: Key) -> None:
        """Remove a key with all its versions and its status."""
        ...

    def with_fingerprint(self, owner: Owner, fingerprint: str) -> Sequence[KeyName]:
        """The keys of the tenant of `owner`, or of the platform, whose version in use has `fingerprint`."""
        ...

    def retired_before(self, time: datetime, *, limit: int) -> Sequence[KeyName]:
        """Keys with a version that stopped being usable before `time` and is not destroyed."""
        ...

    def wrapped_below(
        self, sealing_key_version: int, *, after: tuple[str, int] | None, limit: int
    ) -> Sequence[WrappedVersion]:
        """Versions sealed with an older version of Vault's key, by (key uid, version), those after `after`."""
        ...

    def count_wrapped_below(self, sealing_key_version: int) -> int:
        """How many `wrapped_below` would give in all."""
        ...

    def replace_ciphertext(self, wrapped: WrappedVersion, ciphertext: str) -> None:
        """Store the re-wrapped `ciphertext`, unless the one in `wrapped` was replaced or erased meanwhile."""
        ...


class Requests(Protocol):
    """The responses of the last 24 hours."""

    def recall(self, request: Request, *, now: datetime) -> KeyAnswer | None:
        """What `request` was answered with. Raises InvalidArgument `REQUEST_ID_REUSED`."""
        ...

    def remember(self, request: Request, answer: KeyAnswer, *, now: datetime) -> None:
        """Keep the answer to `request`; only after `recall` found none in the same transaction."""
        ...


class AnchoredAuditLog(AuditLog, Protocol):
    """The audit chains, and where they end."""

    def heads(self) -> Sequence[AuditHead]:
        """The heads of all chains, but those that do not carry this deployment's seal: nobody must vouch for them."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredStatus:
    """A key's status and which version it is about, in use `since` then.

    `notified` are the notifications of that version since a time.
    """

    key_uid: str
    version: int
    since: datetime
    status: KeyStatus
    notified: frozenset[NotificationType]


class KeyStatuses(Protocol):
    """How providers take keys, and what their owners should know."""

    def load(self, names: Collection[KeyName], *, notified_since: datetime) -> Mapping[KeyName, StoredStatus]:
        """The statuses of those of `names` that exist, in a fixed number of queries."""
        ...

    def put(self, statuses: Mapping[str, KeyStatus]) -> None:
        """Store statuses by key uid."""
        ...

    def notify(self, notifications: Sequence[KeyNotification]) -> None:
        """Store notifications."""
        ...

    def notifications(
        self, owner: Owner, *, before: tuple[datetime, str] | None, limit: int
    ) -> Sequence[KeyNotification]:
        """Up to `limit` notifications, newest first, those before the (time, uid) `before`.

        Of `owner`; a tenant's with its users'.
        """
        ...

    def forget_notifications(self, before: datetime) -> None:
        """Remove the notifications made before `before`."""
        ...


class KeyUses(Protocol):
    """How often keys were opened."""

    def add(self, uses: Sequence[KeyUseCount]) -> None:
        """Add to the counts."""
        ...

    def page(
        self, owner: Owner, key: KeyName | None, *, since: datetime | None, after: str | None, limit: int
    ) -> Sequence[tuple[str, KeyUseCount]]:
        """Up to `limit` counts, newest hour first, each with the cursor that continues after it.

        Of one `key`, or of `owner`; a tenant's with its users'.
        """
        ...

    def forget(self, before: datetime) -> None:
        """Remove the counts of hours before `before`."""
        ...


class Rewraps(Protocol):
    """The last run of re-wrapping."""

    def get(self) -> RewrapRun | None:
        """The last run."""
        ...

    def put(self, run: RewrapRun) -> None:
        """Store the run in place of the last one."""
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

    @property
    def audit(self) -> AnchoredAuditLog:
        """The audit chains."""
        ...

    @property
    def statuses(self) -> KeyStatuses:
        """How providers take keys."""
        ...

    @property
    def uses(self) -> KeyUses:
        """How often keys were opened."""
        ...

    @property
    def rewraps(self) -> Rewraps:
        """The last run of re-wrapping."""
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

    async def verify_audit(self, scope: str, anchors: Sequence[AuditHead]) -> ChainVerification:
        """Recompute an audit chain and hold it against its head and `anchors`, which are of that chain.

        Read in parts, between which others get their turn; the chain may grow meanwhile. Raises Unavailable.
        """
        ...


class Sealer(Protocol):
    """The Vault identity that may only encrypt."""

    async def seal(self, material: Secret, context: bytes) -> str:
        """The ciphertext. Raises Unavailable `VAULT_SEALED`, `VAULT_UNREACHABLE`, `VAULT_DENIED`, `OVERLOADED`."""
        ...


class Opener(Protocol):
    """The Vault identity that may only decrypt."""

    async def open(self, ciphertexts: Sequence[Ciphertext]) -> OpenedBatch:
        """The material of each, None for one that does not open in its context. Raises as `Sealer.seal` does."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedBatch:
    """What one request to Vault opened. `request_id`: Vault's own, under which its audit log has the request."""

    materials: Sequence[Secret | None]
    request_id: str


class Rewrapper(Protocol):
    """The Vault identity that brings ciphertexts to the newest version of the sealing key without opening them."""

    async def rewrap(self, ciphertexts: Sequence[Ciphertext]) -> Sequence[str | None]:
        """The new ciphertext of each, None for one that Vault refuses. Raises as `Sealer.seal` does."""
        ...

    async def sealing_version(self) -> int:
        """The newest version of the sealing key, from 1. Raises as `Sealer.seal` does."""
        ...

    async def rotate_sealing_key(self) -> int:
        """Make a new version of the sealing key, with which everything is sealed from now on; its number.

        Raises as `Sealer.seal` does; the version may have been made all the same.
        """
        ...


class AnchorSigner(Protocol):
    """The Vault identity that signs what must not be changed afterwards."""

    async def sign(self, message: bytes) -> str:
        """Vault's signature of `message`, `vault:v<key version>:…`. Raises as `Sealer.seal` does."""
        ...

    async def verify(self, message: bytes, signature: str) -> bool:
        """Whether `signature` is one that this Vault made of exactly `message`. Raises as `Sealer.seal` does."""
        ...


_SEGMENT = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9_.-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretReference:
    """A field of a secret in a KV v2 engine; `version` None is whichever is newest.

    Comes from the operator's mapping, where it is called `secret_id`. Raises ValueError for a `mount`, `path` or
    `field` that could be read as anything but a plain name: each part between slashes is one or more of A-Z, a-z,
    0-9, `_`, `.` and `-`, and neither `.` nor `..`; `field` is one such part.
    """

    secret_id: str
    mount: str
    path: str
    field: str
    version: int | None = None

    def __post_init__(self) -> None:
        segments = (*self.mount.split("/"), *self.path.split("/"), self.field)
        if not all(_SEGMENT.fullmatch(segment) for segment in segments):
            raise ValueError(
                f"the Vault secret {self.secret_id}: mount, path and field must be names of letters, digits, "
                "'_', '.' and '-', separated by single slashes; neither '.' nor '..' is one"
            )
        if self.version is not None and self.version < 1:
            raise ValueError(f"the Vault secret {self.secret_id}: versions count from 1")


class SecretReader(Protocol):
    """The Vault identity that reads the operator's own secrets; it never lists and never writes."""

    async def read_secrets(self, references: Sequence[SecretReference]) -> Sequence[Secret | GatehouseError]:
        """The value of each, or why there is none; the same secret is read once. Raises no GatehouseError.

        Errors: FailedPrecondition `VAULT_SECRET_MISSING` (no such secret, version or field, or no text in it) or
        `VAULT_SECRET_DENIED` (Vault's policy), and those of `Sealer.seal`.
        """
        ...


class AllowedSecrets(Protocol):
    """The secrets of Vault that the operator allows to owners of keys."""

    def find(self, reference: VaultSecretRef, owner: Owner, origin: str) -> SecretReference:
        """Where the secret is, for a key of `owner` that is sent to `origin`.

        Raises FailedPrecondition `VAULT_SECRET_NOT_ALLOWED` unless the operator allows exactly that.
        """
        ...
