"""Taking the platform's keys from the environment: created once, rotated when a variable changed, never given back."""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from libs.core.errors import Aborted, AlreadyExists, NotFound
from libs.core.resource_names import KeyName, Owner
from libs.core.secret import Secret
from services.key_vault.domain.author import GATEHOUSE
from services.key_vault.domain.commands import CreateKey, RotateKey
from services.key_vault.domain.digests import Digests
from services.key_vault.domain.key import Key
from services.key_vault.domain.ports import KeyAnswer, KeyStore

LABEL = "imported-from"
"""Marks a key as this import's own; the value is the variable's name. Keys without it are left alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentKey:
    """A key found in the environment; `origin` is normalised."""

    variable: str
    key_id: str
    provider_type: str
    origin: str
    material: Secret = field(repr=False)

    @property
    def name(self) -> KeyName:
        """The key's resource name: it belongs to the platform."""
        return KeyName(Owner(), self.key_id)


class ImportOutcome(enum.Enum):
    """What became of a variable."""

    CREATED = "created"
    ROTATED = "rotated"
    UNCHANGED = "unchanged"
    REPLACED = "replaced"
    """The key held this material before, and was rotated or rolled back by hand since: a process that starts must not
    bring back what somebody took out of use. Roll the key back, or change the variable."""
    TAKEN = "taken"
    """A key of that name was entered by hand: it stays as it is."""
    ORIGIN_CHANGED = "origin_changed"
    """The key was imported for another origin, to which it stays bound: delete it to have it imported anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentImporter:
    """Brings the platform's keys in step with the environment."""

    store: KeyStore
    create: Callable[[CreateKey], Awaitable[KeyAnswer]]
    rotate: Callable[[RotateKey], Awaitable[KeyAnswer]]
    digests: Digests

    async def __call__(self, found: Sequence[EnvironmentKey]) -> list[tuple[EnvironmentKey, ImportOutcome]]:
        """What became of each. Safe to run again, and on several replicas at once.

        Raises Unavailable; Aborted, AlreadyExists or NotFound when a key changes twice meanwhile.
        """
        return [(each, await self._import(each)) for each in found]

    async def _import(self, found: EnvironmentKey) -> ImportOutcome:
        try:
            return await self._create_or_rotate(found)
        except (AlreadyExists, Aborted, NotFound):
            # Another replica, or an operator, was faster: from what is there now.
            return await self._create_or_rotate(found)

    async def _create_or_rotate(self, found: EnvironmentKey) -> ImportOutcome:
        key = await self.store.read(lambda transaction: transaction.keys.get(found.name))
        if key is not None:
            return await self._bring_in_step(key, found)
        await self.create(
            CreateKey(
                name=found.name,
                author=GATEHOUSE,
                provider_type=found.provider_type,
                origin=found.origin,
                display_name=f"{found.variable} from the environment",
                labels={LABEL: found.variable},
                material=found.material,
            )
        )
        return ImportOutcome.CREATED

    async def _bring_in_step(self, key: Key, found: EnvironmentKey) -> ImportOutcome:
        if LABEL not in key.labels:
            return ImportOutcome.TAKEN
        if key.origin != found.origin:
            return ImportOutcome.ORIGIN_CHANGED
        fingerprint = self.digests.fingerprint(found.name.owner, found.material)
        if key.current.fingerprint == fingerprint:
            return ImportOutcome.UNCHANGED
        if any(each.fingerprint == fingerprint for each in key.versions):
            return ImportOutcome.REPLACED
        await self.rotate(RotateKey(name=found.name, author=GATEHOUSE, etag=key.etag, material=found.material))
        return ImportOutcome.ROTATED
