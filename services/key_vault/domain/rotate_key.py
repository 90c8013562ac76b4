"""Replacing a key's material."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from libs.core.clock import Clock
from services.key_vault.domain.commands import RotateKey
from services.key_vault.domain.digests import Digests
from services.key_vault.domain.errors import etag_mismatch
from services.key_vault.domain.key import Key
from services.key_vault.domain.look_up import get_key
from services.key_vault.domain.ports import KeyStore, KeyTransaction, Sealer
from services.key_vault.domain.sealing import sealing_context

# A ciphertext is bound to its version, so whoever loses a race seals again. Losing that often in a row means the
# key is being changed by something that never stops.
_MOST_ATTEMPTS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRotator:
    """Seals the new material for the next version, then puts it in the place of the old one in one transaction."""

    store: KeyStore
    sealer: Sealer
    digests: Digests
    clock: Clock

    async def __call__(self, command: RotateKey) -> Key:
        """The rotated key; a repeated request gets that of the first time.

        Raises NotFound `KEY_NOT_FOUND`, Aborted `ETAG_MISMATCH`, InvalidArgument `REQUEST_ID_REUSED`, Unavailable.
        """
        for _ in range(_MOST_ATTEMPTS):
            key = await self._attempt(command)
            if key is not None:
                return key
        raise etag_mismatch(command.name)

    async def _attempt(self, command: RotateKey) -> Key | None:
        """The answer; None when the key changed while its new material was being sealed."""
        now = self.clock.now()
        current, done = await self.store.read(lambda transaction: _current(transaction, command, now))
        if done:
            return current
        rotated = current.rotated(
            mask=command.material.mask(),
            fingerprint=self.digests.fingerprint(command.name.owner, command.material),
            now=now,
        )
        context = sealing_context(rotated.name.owner, rotated.uid, rotated.version)
        ciphertext = await self.sealer.seal(command.material, context)
        return await self.store.write(lambda transaction: _store(transaction, command, current, rotated, ciphertext))


def _current(transaction: KeyTransaction, command: RotateKey, now: datetime) -> tuple[Key, bool]:
    """The key as it is, or the one that the same request was answered with before, and whether it is that."""
    if command.request is not None:
        answered = transaction.requests.recall(command.request, now=now)
        if answered is not None:
            return answered, True
    return get_key(transaction, command.name, etag=command.etag), False


def _store(
    transaction: KeyTransaction, command: RotateKey, sealed_for: Key, rotated: Key, ciphertext: str
) -> Key | None:
    """The answer; None when the key is no longer the one that was sealed for."""
    current, done = _current(transaction, command, rotated.update_time)
    if done:
        return current
    if (current.uid, current.revision) != (sealed_for.uid, sealed_for.revision):
        return None
    transaction.keys.replace_material(rotated, ciphertext)
    if command.request is not None:
        transaction.requests.remember(command.request, rotated, now=rotated.update_time)
    return rotated
