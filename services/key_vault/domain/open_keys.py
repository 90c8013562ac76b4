"""Opening keys that were found permitted: one query and one Vault request for everybody who waits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from libs.core.errors import GatehouseError
from libs.core.resource_names import KeyName
from services.key_vault.domain.errors import key_not_found, key_unreadable, origin_mismatch
from services.key_vault.domain.key import OpenedKey, SealedKey
from services.key_vault.domain.ports import Ciphertext, KeyStore, Opener
from services.key_vault.domain.sealing import sealing_context


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyUse:
    """A key that a caller may use, and the normalised origin it is about to be sent to."""

    name: KeyName
    origin: str


Opened = OpenedKey | GatehouseError
"""What became of one item: errors are values here, for a batch mixes the keys of many callers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyOpener:
    """The send function of the batcher in front of it. Keeps nothing: no row and no material outlives its batch."""

    store: KeyStore
    vault: Opener

    async def __call__(self, uses: Sequence[KeyUse]) -> list[Opened]:
        """One result for each of `uses`, in order; the rows are read after this was called. Raises no GatehouseError.

        Failed items: NotFound `KEY_NOT_FOUND`, FailedPrecondition `ORIGIN_MISMATCH` or `KEY_UNREADABLE`, and
        Unavailable when the database or Vault fails.
        """
        names = {use.name for use in uses}
        try:
            rows = await self.store.read(lambda transaction: transaction.keys.sealed(names))
            wanted = {use.name: row for use in uses if (row := rows.get(use.name)) and row.origin == use.origin}
            opened = await self._open(wanted)
        except GatehouseError as error:
            return [error] * len(uses)
        return [_result(use, rows, opened) for use in uses]

    async def _open(self, wanted: Mapping[KeyName, SealedKey]) -> Mapping[KeyName, Opened]:
        if not wanted:
            return {}
        materials = await self.vault.open(
            [
                Ciphertext(text=row.ciphertext, context=sealing_context(name.owner, row.uid, row.version))
                for name, row in wanted.items()
            ]
        )
        return {
            name: key_unreadable(name) if material is None else OpenedKey(material=material, version=row.version)
            for (name, row), material in zip(wanted.items(), materials, strict=True)
        }


def _result(use: KeyUse, rows: Mapping[KeyName, SealedKey], opened: Mapping[KeyName, Opened]) -> Opened:
    row = rows.get(use.name)
    if row is None:
        return key_not_found(use.name)
    if row.origin != use.origin:
        return origin_mismatch(use.name, use.origin)
    return opened[use.name]
