"""Opening keys that were found permitted: one query and one Vault request for everybody who waits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from libs.core.clock import Clock
from libs.core.errors import GatehouseError
from libs.core.resource_names import KeyName
from libs.core.secret import Secret
from services.key_vault.domain.errors import (
    key_disabled,
    key_not_found,
    key_unreadable,
    key_version_retired,
    origin_mismatch,
    vault_secret_missing,
)
from services.key_vault.domain.key import KeyState, OpenedKey, SealedKey, VaultSecretRef
from services.key_vault.domain.key_use import OpenedVersion
from services.key_vault.domain.material import problem_with
from services.key_vault.domain.ports import (
    AllowedSecrets,
    Ciphertext,
    KeyStore,
    KeyTransaction,
    Opener,
    SecretReader,
    SecretReference,
)
from services.key_vault.domain.sealing import sealing_context


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyUse:
    """A key that a caller may use, and the normalised origin it is about to be sent to.

    `version` 0 is the one in use; `service` is who asks for it.
    """

    name: KeyName
    origin: str
    service: str
    version: int = 0


Opened = OpenedKey | GatehouseError
"""What became of one item: errors are values here, for a batch mixes the keys of many callers."""

Wanted = tuple[KeyName, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyOpener:
    """The send function of the batcher in front of it. Keeps nothing: no row and no material outlives its batch.

    `used` is told which versions were opened, one entry for each use, with Vault's id of the request that opened it.
    """

    store: KeyStore
    vault: Opener
    secrets: SecretReader
    allowed: AllowedSecrets
    clock: Clock
    used: Callable[[Sequence[tuple[OpenedVersion, str]]], None]

    async def __call__(self, uses: Sequence[KeyUse]) -> list[Opened]:
        """One result for each of `uses`, in order; the rows are read after this was called. Raises no GatehouseError.

        Failed items: NotFound `KEY_NOT_FOUND`; FailedPrecondition `KEY_DISABLED`, `KEY_VERSION_RETIRED`,
        `ORIGIN_MISMATCH`, `KEY_UNREADABLE`, `VAULT_SECRET_MISSING`, `VAULT_SECRET_DENIED`, `VAULT_SECRET_NOT_ALLOWED`;
        and Unavailable when the database or Vault fails.
        """
        wanted = {(use.name, use.version) for use in uses}
        try:
            rows = await self.store.read(lambda transaction: _rows(transaction, wanted))
        except GatehouseError as error:
            return [error] * len(uses)
        now = self.clock.now()
        checked = [_checked(use, rows.get((use.name, use.version)), now) for use in uses]
        # Two calls with the same key are one ciphertext to Vault.
        distinct = {(row.uid, row.version): row for row in checked if isinstance(row, SealedKey)}
        opened = await self._open(list(distinct.values()), now)
        results: list[Opened] = []
        used = []
        for use, row in zip(uses, checked, strict=True):
            result = row if isinstance(row, GatehouseError) else opened[row.uid, row.version]
            if isinstance(row, SealedKey) and isinstance(result, OpenedKey):
                used.append((OpenedVersion(use.name, row.uid, row.version, use.service), result.vault_request_id))
            results.append(result)
        self.used(used)
        return results

    async def _open(self, rows: Sequence[SealedKey], now: datetime) -> dict[tuple[str, int], Opened]:
        sealed = [row for row in rows if row.vault_secret is None]
        referenced = [row for row in rows if row.vault_secret is not None]
        if not referenced:
            return await self._unseal(sealed, now)
        unsealed, read = await asyncio.gather(self._unseal(sealed, now), self._read(referenced, now))
        return unsealed | read

    async def _unseal(self, rows: Sequence[SealedKey], now: datetime) -> dict[tuple[str, int], Opened]:
        """Open sealed versions, all in one Vault request."""
        if not rows:
            return {}
        ciphertexts = [
            Ciphertext(text=row.ciphertext, context=sealing_context(row.name.owner, row.uid, row.version))
            for row in rows
        ]
        try:
            batch = await self.vault.open(ciphertexts)
        except GatehouseError as error:
            return {(row.uid, row.version): error for row in rows}
        return {
            (row.uid, row.version): key_unreadable(row.name)
            if material is None
            else _opened(row, material, now, batch.request_id)
            for row, material in zip(rows, batch.materials, strict=True)
        }

    async def _read(self, rows: Sequence[SealedKey], now: datetime) -> dict[tuple[str, int], Opened]:
        """Read versions that stay in the operator's Vault, each distinct secret once."""
        results: dict[tuple[str, int], Opened] = {}
        references: dict[tuple[str, int], SecretReference] = {}
        for row in rows:
            try:
                # Asked afresh: the operator may have taken the permission back.
                references[row.uid, row.version] = self.allowed.find(_reference_of(row), row.name.owner, row.origin)
            except GatehouseError as error:
                results[row.uid, row.version] = error
        distinct = list(dict.fromkeys(references.values()))
        try:
            read = dict(zip(distinct, await self.secrets.read_secrets(distinct), strict=True)) if distinct else {}
        except GatehouseError as failure:
            return results | dict.fromkeys(references, failure)
        for row in rows:
            reference = references.get((row.uid, row.version))
            if reference is not None:
                results[row.uid, row.version] = _read_key(row, read[reference], now)
        return results


def _rows(transaction: KeyTransaction, wanted: Collection[Wanted]) -> dict[Wanted, SealedKey]:
    current = {name for name, version in wanted if not version}
    rows: dict[Wanted, SealedKey] = {}
    if current:
        rows = {(name, 0): row for name, row in transaction.keys.sealed(current).items()}
    named = {(name, version) for name, version in wanted if version}
    if named:
        rows |= transaction.keys.sealed_versions(named)
    return rows


def _checked(use: KeyUse, row: SealedKey | None, now: datetime) -> SealedKey | GatehouseError:
    if row is None:
        return key_version_retired(use.name, use.version) if use.version else key_not_found(use.name)
    if row.origin != use.origin:
        return origin_mismatch(use.name, use.origin)
    if row.state is not KeyState.ACTIVE:
        return key_disabled(use.name)
    if not row.is_current and not (row.overlaps and row.usable_until is not None and now < row.usable_until):
        return key_version_retired(use.name, row.version)
    return row


def _reference_of(row: SealedKey) -> VaultSecretRef:
    if row.vault_secret is None:
        raise AssertionError("only versions in the operator's Vault are read")
    return row.vault_secret


def _read_key(row: SealedKey, read: Secret | GatehouseError, now: datetime) -> Opened:
    if isinstance(read, GatehouseError):
        return read
    # What stands there can change under us; half a key or a page of HTML must not travel to a provider.
    if problem_with(read) is not None:
        return vault_secret_missing(_reference_of(row).id)
    return _opened(row, read, now, "")


def _opened(row: SealedKey, material: Secret, now: datetime, vault_request_id: str) -> OpenedKey:
    overlaps = row.fallback_until is not None and now < row.fallback_until
    return OpenedKey(
        material=material,
        version=row.version,
        fallback_version=row.fallback_version if row.is_current and overlaps else 0,
        vault_request_id=vault_request_id,
    )
