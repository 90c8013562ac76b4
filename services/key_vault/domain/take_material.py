"""Taking in material: given by the caller to be sealed, or named as a secret of the operator's Vault."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from libs.core.errors import GatehouseError
from libs.core.resource_names import Owner
from libs.core.secret import Secret
from services.key_vault.domain.commands import Material
from services.key_vault.domain.digests import Digests
from services.key_vault.domain.errors import vault_secret_missing
from services.key_vault.domain.key import Key, KeyVersion, SealedKey, VaultSecretRef
from services.key_vault.domain.material import mask_of, problem_with
from services.key_vault.domain.ports import AllowedSecrets, Ciphertext, Opener, Sealer, SecretReader
from services.key_vault.domain.sealing import sealing_context


@dataclass(frozen=True, slots=True, kw_only=True)
class MaterialTaker:
    """Reads what has to be read for a new version, and seals what has to be sealed."""

    sealer: Sealer
    opener: Opener
    secrets: SecretReader
    allowed: AllowedSecrets
    digests: Digests

    async def read(self, owner: Owner, origin: str, material: Material) -> Secret:
        """The material itself, for a key of `owner` that is sent to `origin`.

        Raises FailedPrecondition `VAULT_SECRET_NOT_ALLOWED`, `VAULT_SECRET_MISSING`, `VAULT_SECRET_DENIED`, and
        Unavailable.
        """
        if isinstance(material, Secret):
            return material
        [found] = await self.secrets.read_secrets([self.allowed.find(material, owner, origin)])
        if isinstance(found, GatehouseError):
            raise found
        if problem_with(found) is not None:
            raise vault_secret_missing(material.id)
        return found

    def version(self, owner: Owner, number: int, material: Material, read: Secret, now: datetime) -> KeyVersion:
        """The new version of which `read` is the material."""
        return KeyVersion(
            number=number,
            mask=mask_of(read),
            fingerprint=self.digests.fingerprint(owner, read),
            create_time=now,
            vault_secret=material if isinstance(material, VaultSecretRef) else None,
        )

    async def opens(self, sealed: SealedKey) -> bool:
        """Whether a sealed version can be opened. Raises Unavailable."""
        context = sealing_context(sealed.name.owner, sealed.uid, sealed.version)
        batch = await self.opener.open([Ciphertext(text=sealed.ciphertext, context=context)])
        return batch.materials[0] is not None

    async def seal(self, key: Key, material: Material) -> str:
        """The ciphertext for the version of `key` in use; empty for one that stays in the operator's Vault.

        Raises Unavailable.
        """
        if not isinstance(material, Secret):
            return ""
        return await self.sealer.seal(material, sealing_context(key.name.owner, key.uid, key.version))
