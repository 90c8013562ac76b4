"""Creating a key."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from libs.core.clock import Clock
from services.key_vault.domain.commands import CreateKey
from services.key_vault.domain.digests import Digests
from services.key_vault.domain.errors import key_exists
from services.key_vault.domain.key import Key, KeyState
from services.key_vault.domain.ports import KeyStore, KeyTransaction, Sealer
from services.key_vault.domain.sealing import sealing_context


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyCreator:
    """Seals first and stores then, in one transaction: whatever fails, nothing was stored.

    `new_uid` makes a UUID.
    """

    store: KeyStore
    sealer: Sealer
    digests: Digests
    clock: Clock
    new_uid: Callable[[], str]

    async def __call__(self, command: CreateKey) -> Key:
        """The new key; a repeated request gets that of the first time.

        Raises AlreadyExists `KEY_EXISTS`, InvalidArgument `REQUEST_ID_REUSED`, and Unavailable.
        """
        now = self.clock.now()
        # Asked once before Vault is: what is answered already needs no Vault, and a taken name no ciphertext.
        answered = await self.store.read(lambda transaction: _answered(transaction, command, now))
        if answered is not None:
            return answered
        key = self._new_key(command, now)
        ciphertext = await self.sealer.seal(command.material, sealing_context(key.name.owner, key.uid, key.version))
        if command.validate_only:
            return key
        return await self.store.write(lambda transaction: _store(transaction, command, key, ciphertext))

    def _new_key(self, command: CreateKey, now: datetime) -> Key:
        return Key(
            name=command.name,
            uid=self.new_uid(),
            revision=1,
            provider_type=command.provider_type,
            origin=command.origin,
            display_name=command.display_name,
            labels=command.labels,
            mask=command.material.mask(),
            fingerprint=self.digests.fingerprint(command.name.owner, command.material),
            state=KeyState.ACTIVE,
            version=1,
            create_time=now,
            update_time=now,
        )


def _answered(transaction: KeyTransaction, command: CreateKey, now: datetime) -> Key | None:
    if command.request is not None and not command.validate_only:
        answered = transaction.requests.recall(command.request, now=now)
        if answered is not None:
            return answered
    if transaction.keys.get(command.name) is not None:
        raise key_exists(command.name)
    return None


def _store(transaction: KeyTransaction, command: CreateKey, key: Key, ciphertext: str) -> Key:
    answered = _answered(transaction, command, key.create_time)
    if answered is not None:
        return answered
    transaction.keys.add(key, ciphertext)
    if command.request is not None:
        transaction.requests.remember(command.request, key, now=key.create_time)
    return key
