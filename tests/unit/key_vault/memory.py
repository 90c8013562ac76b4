"""Stand-ins for the database, Vault and the clock, with the faults a test asks for."""

from __future__ import annotations

import base64
import copy
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TypeVar

from libs.core.audit import AuditEvent, AuditFilter, AuditHead, ChainedEvent, chain_hash, genesis_hash
from libs.core.audit_seal import HeadSeal
from libs.core.audit_verification import ChainVerification, verify_chain
from libs.core.errors import GatehouseError, InvalidArgument
from libs.core.resource_names import KeyName, Owner
from libs.core.secret import Secret
from services.key_vault.domain.errors import key_exists, vault_secret_missing, vault_secret_not_allowed
from services.key_vault.domain.key import Key, KeyOutline, KeyStatus, KeyVersion, SealedKey, VaultSecretRef
from services.key_vault.domain.key_outcome import KeyNotification
from services.key_vault.domain.key_use import KeyUseCount
from services.key_vault.domain.ports import (
    Ciphertext,
    KeyAnswer,
    KeyFilter,
    KeyTransaction,
    OpenedBatch,
    Request,
    SecretReference,
    StoredStatus,
    WrappedVersion,
)
from services.key_vault.domain.rewrap_run import RewrapRun

T = TypeVar("T")

SEAL = HeadSeal(Secret(b"seal of audit heads, not a secret"))
_SEALED_WITH = re.compile(r"vault:v(\d+):")


@dataclass
class MemoryContent:
    """What a database would hold."""

    keys: dict[KeyName, Key] = field(default_factory=dict)
    ciphertexts: dict[tuple[str, int], str] = field(default_factory=dict)
    remembered: dict[tuple[str, str, str], tuple[bytes, datetime, KeyAnswer]] = field(default_factory=dict)
    chains: dict[str, tuple[ChainedEvent, ...]] = field(default_factory=dict)
    notifications: dict[str, tuple[str, KeyNotification]] = field(default_factory=dict)
    uses: dict[tuple[datetime, str, int, str], KeyUseCount] = field(default_factory=dict)
    run: RewrapRun | None = None

    def snapshot(self) -> MemoryContent:
        """A copy; what the dictionaries hold is never changed in place."""
        return replace(self, **{name: copy.copy(value) for name, value in vars(self).items()})

    def restore(self, snapshot: MemoryContent) -> None:
        """Be as `snapshot` is."""
        vars(self).update(vars(snapshot))


class MemoryKeys:
    """`Keys`."""

    def __init__(self, content: MemoryContent) -> None:
        self._content = content

    def get(self, name: KeyName) -> Key | None:
        return self._content.keys.get(name)

    def page(self, owner: Owner, wanted: KeyFilter, *, after: tuple[str, str] | None, limit: int) -> Sequence[Key]:
        def admits(key: Key) -> bool:
            mine = owner.covers(key.name.owner) if wanted.include_users else key.name.owner == owner
            return (
                mine
                and wanted.provider_type in (None, key.provider_type)
                and wanted.state in (None, key.state)
                and wanted.condition in (None, key.status.condition)
                and (after is None or _place(key) > after)
            )

        return sorted(filter(admits, self._content.keys.values()), key=_place)[:limit]

    def sealed(self, names: Collection[KeyName]) -> Mapping[KeyName, SealedKey]:
        found = {name: self._content.keys[name] for name in names if name in self._content.keys}
        return {name: self._sealed(key, key.current) for name, key in found.items()}

    def sealed_versions(self, versions: Collection[tuple[KeyName, int]]) -> Mapping[tuple[KeyName, int], SealedKey]:
        return {
            (name, version.number): self._sealed(key, version)
            for name, key in self._content.keys.items()
            for version in key.versions
            if (name, version.number) in versions and version.destroy_time is None
        }

    def outlines(self, names: Collection[KeyName]) -> Mapping[KeyName, KeyOutline]:
        return {
            name: KeyOutline(
                state=key.state,
                origin=key.origin,
                has_material=bool(
                    self._content.ciphertexts.get((key.uid, key.version)) or key.current.vault_secret is not None
                ),
                condition=key.status.condition,
            )
            for name in names
            if (key := self._content.keys.get(name)) is not None
        }

    def add(self, key: Key, ciphertext: str) -> None:
        if key.name in self._content.keys:
            raise key_exists(key.name)
        self.add_version(key, ciphertext)

    def add_version(self, key: Key, ciphertext: str) -> None:
        self._content.ciphertexts[key.uid, key.version] = ciphertext
        self.put(key)

    def put(self, key: Key) -> None:
        self._content.keys[key.name] = key
        kept = {each.number for each in key.versions if each.destroy_time is None}
        for uid, number in list(self._content.ciphertexts):
            if uid == key.uid and number not in kept:
                del self._content.ciphertexts[uid, number]

    def remove(self, key: Key) -> None:
        self.put(replace(key, versions=()))
        del self._content.keys[key.name]

    def with_fingerprint(self, owner: Owner, fingerprint: str) -> Sequence[KeyName]:
        return [
            name
            for name, key in self._content.keys.items()
            if name.owner.tenant == owner.tenant and key.current.fingerprint == fingerprint
        ]

    def retired_before(self, time: datetime, *, limit: int) -> Sequence[KeyName]:
        def is_over(version: KeyVersion) -> bool:
            return version.destroy_time is None and version.usable_until is not None and version.usable_until < time

        return [name for name, key in self._content.keys.items() if any(map(is_over, key.versions))][:limit]

    def wrapped_below(
        self, sealing_key_version: int, *, after: tuple[str, int] | None, limit: int
    ) -> Sequence[WrappedVersion]:
        return [each for each in self._wrapped(sealing_key_version) if after is None or _version(each) > after][:limit]

    def count_wrapped_below(self, sealing_key_version: int) -> int:
        return len(self._wrapped(sealing_key_version))

    def replace_ciphertext(self, wrapped: WrappedVersion, ciphertext: str) -> None:
        if self._content.ciphertexts.get(_version(wrapped)) == wrapped.ciphertext:
            self._content.ciphertexts[_version(wrapped)] = ciphertext

    def _sealed(self, key: Key, version: KeyVersion) -> SealedKey:
        return SealedKey(
            name=key.name,
            uid=key.uid,
            state=key.state,
            origin=key.origin,
            version=version.number,
            is_current=version is key.current,
            usable_until=version.usable_until,
            overlaps=version.overlaps,
            ciphertext=self._content.ciphertexts[key.uid, version.number],
            vault_secret=version.vault_secret,
            fallback_version=0 if key.fallback is None else key.fallback.number,
            fallback_until=None if key.fallback is None else key.fallback.usable_until,
        )

    def _wrapped(self, sealing_key_version: int) -> list[WrappedVersion]:
        owners = {key.uid: name.owner for name, key in self._content.keys.items()}
        return [
            WrappedVersion(owner=owners[uid], key_uid=uid, version=version, ciphertext=ciphertext)
            for (uid, version), ciphertext in sorted(self._content.ciphertexts.items())
            if (match := _SEALED_WITH.match(ciphertext)) and int(match[1]) < sealing_key_version
        ]


class MemoryRequests:
    """`Requests`."""

    def __init__(self, content: MemoryContent) -> None:
        self._content = content

    def recall(self, request: Request, *, now: datetime) -> KeyAnswer | None:
        found = self._content.remembered.get((request.caller, request.method, request.request_id))
        if found is None or now >= found[1]:
            return None
        if found[0] != request.digest:
            raise InvalidArgument("REQUEST_ID_REUSED", "reused")
        return found[2]

    def remember(self, request: Request, answer: KeyAnswer, *, now: datetime) -> None:
        entry = (request.digest, now + timedelta(hours=24), answer)
        self._content.remembered[request.caller, request.method, request.request_id] = entry


class MemoryAudit:
    """`AuditLog`."""

    def __init__(self, content: MemoryContent) -> None:
        self._content = content

    def append(self, event: AuditEvent) -> None:
        chain = self._content.chains.get(event.scope, ())
        sequence = len(chain) + 1
        before = chain[-1].hash if chain else genesis_hash(event.scope)
        chained = ChainedEvent(
            sequence=sequence, previous_hash=before, hash=chain_hash(before, sequence, event), event=event
        )
        self._content.chains[event.scope] = (*chain, chained)

    def page(self, scope: str, wanted: AuditFilter, *, before: int | None, limit: int) -> Sequence[ChainedEvent]:
        def admits(chained: ChainedEvent) -> bool:
            event = chained.event
            return (
                (before is None or chained.sequence < before)
                and wanted.actor in (None, event.actor)
                and wanted.action in (None, event.action)
                and wanted.target in (None, event.target)
                and wanted.outcome in (None, event.outcome)
                and (wanted.since is None or event.time >= wanted.since)
                and (wanted.until is None or event.time < wanted.until)
            )

        return list(filter(admits, reversed(self._content.chains.get(scope, ()))))[:limit]

    def following(self, scope: str, *, after: int, limit: int) -> Sequence[ChainedEvent]:
        return self._content.chains.get(scope, ())[after : after + limit]

    def heads(self) -> Sequence[AuditHead]:
        return [
            AuditHead(scope=scope, sequence=chain[-1].sequence, hash=chain[-1].hash)
            for scope, chain in sorted(self._content.chains.items())
        ]


class MemoryStatuses:
    """`KeyStatuses`."""

    def __init__(self, content: MemoryContent) -> None:
        self._content = content

    def load(self, names: Collection[KeyName], *, notified_since: datetime) -> Mapping[KeyName, StoredStatus]:
        return {
            name: StoredStatus(
                key_uid=key.uid,
                version=key.version,
                since=key.rotate_time or key.create_time,
                status=key.status,
                notified=frozenset(
                    told.type
                    for uid, told in self._content.notifications.values()
                    if (uid, told.version) == (key.uid, key.version) and told.create_time >= notified_since
                ),
            )
            for name, key in self._content.keys.items()
            if name in names
        }

    def put(self, statuses: Mapping[str, KeyStatus]) -> None:
        for name, key in self._content.keys.items():
            self._content.keys[name] = replace(key, status=statuses.get(key.uid, key.status))

    def notify(self, notifications: Sequence[KeyNotification]) -> None:
        for each in notifications:
            self._content.notifications[each.uid] = (self._content.keys[each.key].uid, each)

    def notifications(
        self, owner: Owner, *, before: tuple[datetime, str] | None, limit: int
    ) -> Sequence[KeyNotification]:
        told = [each for _, each in self._content.notifications.values() if owner.covers(each.key.owner)]
        wanted = [each for each in told if before is None or (each.create_time, each.uid) < before]
        return sorted(wanted, key=lambda each: (each.create_time, each.uid), reverse=True)[:limit]

    def forget_notifications(self, before: datetime) -> None:
        for uid, (_, each) in list(self._content.notifications.items()):
            if each.create_time < before:
                del self._content.notifications[uid]


class MemoryUses:
    """`KeyUses`; a cursor is the place in the whole list."""

    def __init__(self, content: MemoryContent) -> None:
        self._content = content

    def add(self, uses: Sequence[KeyUseCount]) -> None:
        for use in uses:
            place = (use.hour, use.key_uid, use.version, use.service)
            before = self._content.uses.get(place)
            self._content.uses[place] = replace(use, count=use.count + (before.count if before else 0))

    def forget(self, before: datetime) -> None:
        for place in [place for place in self._content.uses if place[0] < before]:
            del self._content.uses[place]

    def page(
        self, owner: Owner, key: KeyName | None, *, since: datetime | None, after: str | None, limit: int
    ) -> Sequence[tuple[str, KeyUseCount]]:
        wanted = [
            use
            for use in self._content.uses.values()
            if owner.covers(use.name.owner) and key in (None, use.name) and (since is None or use.hour >= since)
        ]
        wanted.sort(key=lambda use: (-use.hour.timestamp(), str(use.name), use.key_uid, use.version, use.service))
        first = int(after or 0)
        return [(str(number), use) for number, use in enumerate(wanted, start=1)][first : first + limit]


class MemoryRewraps:
    """`Rewraps`."""

    def __init__(self, content: MemoryContent) -> None:
        self._content = content

    def get(self) -> RewrapRun | None:
        return self._content.run

    def put(self, run: RewrapRun) -> None:
        self._content.run = run


class MemoryTransaction:
    """`KeyTransaction` over dictionaries."""

    def __init__(self, content: MemoryContent) -> None:
        self.keys = MemoryKeys(content)
        self.requests = MemoryRequests(content)
        self.audit = MemoryAudit(content)
        self.statuses = MemoryStatuses(content)
        self.uses = MemoryUses(content)
        self.rewraps = MemoryRewraps(content)


class MemoryStore:
    """`KeyStore`: one transaction at a time, undone by an exception.

    `content` is what it holds, `transaction` a way to change that behind everybody's back.
    """

    def __init__(self) -> None:
        self.content = MemoryContent()
        self.transaction = MemoryTransaction(self.content)
        self.reads = 0
        self.failure: GatehouseError | None = None

    async def write(self, work: Callable[[KeyTransaction], T]) -> T:
        if self.failure is not None:
            raise self.failure
        before = self.content.snapshot()
        try:
            return work(self.transaction)
        except BaseException:
            self.content.restore(before)
            raise

    async def read(self, work: Callable[[KeyTransaction], T]) -> T:
        if self.failure is not None:
            raise self.failure
        self.reads += 1
        before = self.content.snapshot()
        try:
            return work(self.transaction)
        finally:
            assert before == self.content, "a read changed something"

    async def verify_audit(self, scope: str, anchors: Sequence[AuditHead]) -> ChainVerification:
        if self.failure is not None:
            raise self.failure
        head = next((SEAL.seal(each) for each in self.transaction.audit.heads() if each.scope == scope), None)
        return verify_chain(self.content.chains.get(scope, ()), scope=scope, head=head, seal=SEAL, anchors=anchors)


class FakeVault:
    """`Sealer`, `Opener` and `Rewrapper`: a ciphertext names its context and opens in no other."""

    def __init__(self) -> None:
        self.failure: GatehouseError | None = None
        self.sealing_key_version = 1
        self.sealed = 0
        self.batches: list[int] = []
        self.while_sealing: Callable[[], object] = lambda: None
        self._request_ids = (f"vault-request-{number}" for number in count(1))

    async def seal(self, material: Secret, context: bytes) -> str:
        if self.failure is not None:
            raise self.failure
        self.sealed += 1
        self.while_sealing()
        return self._seal(material, context)

    async def open(self, ciphertexts: Sequence[Ciphertext]) -> OpenedBatch:
        if self.failure is not None:
            raise self.failure
        self.batches.append(len(ciphertexts))
        return OpenedBatch(materials=[self._open(each) for each in ciphertexts], request_id=next(self._request_ids))

    async def rewrap(self, ciphertexts: Sequence[Ciphertext]) -> Sequence[str | None]:
        if self.failure is not None:
            raise self.failure
        opened = [(self._open(each), each.context) for each in ciphertexts]
        return [None if material is None else self._seal(material, context) for material, context in opened]

    async def sealing_version(self) -> int:
        if self.failure is not None:
            raise self.failure
        return self.sealing_key_version

    async def rotate_sealing_key(self) -> int:
        if self.failure is not None:
            raise self.failure
        self.sealing_key_version += 1
        return self.sealing_key_version

    def _seal(self, material: Secret, context: bytes) -> str:
        sealed = f"{base64.b64encode(context).decode()}.{base64.b64encode(material.reveal()).decode()}"
        return f"vault:v{self.sealing_key_version}:{sealed}"

    def _open(self, ciphertext: Ciphertext) -> Secret | None:
        context, _, material = ciphertext.text.rpartition(":")[2].partition(".")
        return Secret(base64.b64decode(material)) if base64.b64decode(context) == ciphertext.context else None


class FakeSecrets:
    """`AllowedSecrets` and `SecretReader`: every owner may use every secret that has a value.

    A value that is an error is what reading the secret ends in; None: it is allowed and not there.
    """

    def __init__(self) -> None:
        self.values: dict[str, Secret | GatehouseError | None] = {}

    def find(self, reference: VaultSecretRef, owner: Owner, origin: str) -> SecretReference:
        if reference.id not in self.values:
            raise vault_secret_not_allowed(reference.id)
        version = reference.version or None
        return SecretReference(secret_id=reference.id, mount="kv", path=reference.id, field="key", version=version)

    async def read_secrets(self, references: Sequence[SecretReference]) -> Sequence[Secret | GatehouseError]:
        return [self.values[each.secret_id] or vault_secret_missing(each.secret_id) for each in references]


class HandClock:
    """Time moved by hand."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds


def _place(key: Key) -> tuple[str, str]:
    return key.name.owner.user or "", key.name.key


def _version(wrapped: WrappedVersion) -> tuple[str, int]:
    return wrapped.key_uid, wrapped.version
