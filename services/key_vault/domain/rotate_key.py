"""Putting new material in use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from libs.core.audit_authors import Occasion
from libs.core.clock import Clock
from libs.core.resource_names import KeyName
from services.key_vault.domain.changes import origin_of_material, recalled, record
from services.key_vault.domain.commands import RotateKey
from services.key_vault.domain.errors import etag_mismatch
from services.key_vault.domain.find_duplicates import with_duplicates
from services.key_vault.domain.key import Key, KeyVersion
from services.key_vault.domain.look_up import get_key
from services.key_vault.domain.ports import KeyAnswer, KeyStore, KeyTransaction
from services.key_vault.domain.take_material import MaterialTaker


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRotator:
    """Seals the new material for the next version, then puts it in use in one transaction."""

    store: KeyStore
    materials: MaterialTaker
    clock: Clock
    new_uid: Callable[[], str]

    async def __call__(self, command: RotateKey) -> KeyAnswer:
        """The rotated key; a repeated request gets that of the first time.

        Raises NotFound `KEY_NOT_FOUND`, Aborted `ETAG_MISMATCH` (also when the key changed while the new material was
        being sealed), FailedPrecondition `KEY_UNCHANGED`, InvalidArgument `REQUEST_ID_REUSED`, Unavailable, and what
        reading a Vault secret raises.
        """
        occasion = Occasion(now=self.clock.now(), uid=self.new_uid())
        before = await self.store.read(lambda transaction: _answered(transaction, command, occasion))
        if isinstance(before, KeyAnswer):
            return before
        owner = command.name.owner
        read = await self.materials.read(owner, before.origin, command.material)
        new = self.materials.version(owner, before.last_version + 1, command.material, read, occasion.now)
        mends = before.is_the_same(new) and not await self._opens(command.name)
        rotated = before.rotated(new, overlap=command.overlap, now=occasion.now, mends=mends)
        ciphertext = await self.materials.seal(rotated, command.material)
        if command.validate_only:
            return await self.store.read(lambda transaction: with_duplicates(transaction, rotated, command.author))
        return await self.store.write(
            lambda transaction: _store(
                transaction, command, before, new, mends=mends, ciphertext=ciphertext, occasion=occasion
            )
        )

    async def _opens(self, name: KeyName) -> bool:
        """Whether the version in use opens: one that does not can only be mended by entering it again."""
        rows = await self.store.read(lambda transaction: transaction.keys.sealed({name}))
        row = rows.get(name)
        return row is None or row.vault_secret is not None or await self.materials.opens(row)


def _answered(transaction: KeyTransaction, command: RotateKey, occasion: Occasion) -> KeyAnswer | Key:
    """What the same request was answered with before, otherwise the key as it is."""
    answered = None if command.validate_only else recalled(transaction, command, occasion.now)
    return answered or get_key(transaction, command.name, etag=command.etag)


def _store(
    transaction: KeyTransaction,
    command: RotateKey,
    before: Key,
    new: KeyVersion,
    *,
    mends: bool,
    ciphertext: str,
    occasion: Occasion,
) -> KeyAnswer:
    now = _answered(transaction, command, occasion)
    if isinstance(now, KeyAnswer):
        return now
    # A ciphertext is bound to its version, and what its caller saw of the key is not what it is any more.
    if (now.uid, now.revision) != (before.uid, before.revision):
        raise etag_mismatch(command.name)
    # From what it is now: its status has moved on while the new material was being sealed.
    rotated = now.rotated(new, overlap=command.overlap, now=occasion.now, mends=mends)
    transaction.keys.add_version(rotated, ciphertext)
    answer = with_duplicates(transaction, rotated, command.author)
    details = {
        "version": str(rotated.version),
        "overlap_s": f"{command.overlap.total_seconds():g}",
        **origin_of_material(rotated.current),
    }
    # A key keeps only so many versions: those that go with this change go with its event.
    if gone := sorted({each.number for each in now.versions} - {each.number for each in rotated.versions}):
        details["destroyed_versions"] = " ".join(map(str, gone))
    record(transaction, command, answer, occasion, details)
    return answer
