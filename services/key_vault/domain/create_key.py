"""Creating a key."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from libs.core.audit_authors import Occasion
from libs.core.clock import Clock
from services.key_vault.domain.changes import origin_of_material, recalled, record
from services.key_vault.domain.commands import CreateKey
from services.key_vault.domain.errors import key_exists
from services.key_vault.domain.find_duplicates import with_duplicates
from services.key_vault.domain.key import Key, KeyState, KeyVersion
from services.key_vault.domain.ports import KeyAnswer, KeyStore, KeyTransaction
from services.key_vault.domain.take_material import MaterialTaker


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyCreator:
    """Seals first and stores then, in one transaction: whatever fails, nothing was stored.

    `new_uid` makes a UUID.
    """

    store: KeyStore
    materials: MaterialTaker
    clock: Clock
    new_uid: Callable[[], str]

    async def __call__(self, command: CreateKey) -> KeyAnswer:
        """The new key; a repeated request gets that of the first time.

        Raises AlreadyExists `KEY_EXISTS`, InvalidArgument `REQUEST_ID_REUSED`, Unavailable, and what reading a Vault
        secret raises.
        """
        occasion = Occasion(now=self.clock.now(), uid=self.new_uid())
        # Asked once before Vault is: what is answered already needs no Vault, and a taken name no ciphertext.
        answered = await self.store.read(lambda transaction: _answered(transaction, command, occasion))
        if answered is not None:
            return answered
        owner = command.name.owner
        read = await self.materials.read(owner, command.origin, command.material)
        key = self._new_key(command, self.materials.version(owner, 1, command.material, read, occasion.now))
        ciphertext = await self.materials.seal(key, command.material)
        if command.validate_only:
            return await self.store.read(lambda transaction: with_duplicates(transaction, key, command.author))
        return await self.store.write(lambda transaction: _store(transaction, command, key, ciphertext, occasion))

    def _new_key(self, command: CreateKey, version: KeyVersion) -> Key:
        return Key(
            name=command.name,
            uid=self.new_uid(),
            revision=1,
            provider_type=command.provider_type,
            origin=command.origin,
            display_name=command.display_name,
            labels=command.labels,
            state=KeyState.ACTIVE,
            version=version.number,
            last_version=version.number,
            versions=(version,),
            create_time=version.create_time,
            update_time=version.create_time,
        )


def _answered(transaction: KeyTransaction, command: CreateKey, occasion: Occasion) -> KeyAnswer | None:
    answered = None if command.validate_only else recalled(transaction, command, occasion.now)
    if answered is None and transaction.keys.get(command.name) is not None:
        raise key_exists(command.name)
    return answered


def _store(transaction: KeyTransaction, command: CreateKey, key: Key, ciphertext: str, occasion: Occasion) -> KeyAnswer:
    answered = _answered(transaction, command, occasion)
    if answered is not None:
        return answered
    transaction.keys.add(key, ciphertext)
    answer = with_duplicates(transaction, key, command.author)
    details = {"provider_type": key.provider_type, "origin": key.origin, **origin_of_material(key.current)}
    record(transaction, command, answer, occasion, details)
    return answer
