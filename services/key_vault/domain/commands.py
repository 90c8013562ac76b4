"""The checked requests that change keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from libs.core.audit_authors import Author
from libs.core.resource_names import KeyName
from libs.core.secret import Secret
from services.key_vault.domain.key import KeyState, VaultSecretRef
from services.key_vault.domain.ports import Request

Material = Secret | VaultSecretRef
"""Material to seal, found to be no mistake; or where in the operator's Vault it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What every change has: the key, the etag its caller has seen (empty fits any), how a repetition is recognised."""

    name: KeyName
    author: Author
    etag: str = ""
    request: Request | None = None

    @property
    def action(self) -> str:
        """The name of the RPC that asks for it."""
        return type(self).__name__

    @property
    def revokes(self) -> bool:
        """Whether it takes something out of use, which must work whatever else does not."""
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateKey(Command):
    """A new key. `origin` is normalised."""

    provider_type: str
    origin: str
    display_name: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    material: Material
    validate_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateKey(Command):
    """Another display name or other labels; None leaves them."""

    display_name: str | None = None
    labels: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RotateKey(Command):
    """New material for a key; the old version stays usable for `overlap`."""

    material: Material
    overlap: timedelta = timedelta(0)
    validate_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackKey(Command):
    """An earlier version back in use."""

    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SetKeyState(Command):
    """A key into or out of use."""

    state: KeyState

    @property
    def action(self) -> str:
        """The name of the RPC that asks for it."""
        return "DisableKey" if self.state is KeyState.DISABLED else "EnableKey"

    @property
    def revokes(self) -> bool:
        """Whether it takes the key out of use."""
        return self.state is KeyState.DISABLED


@dataclass(frozen=True, slots=True, kw_only=True)
class DestroyKeyVersion(Command):
    """The end of a version's material."""

    version: int

    @property
    def revokes(self) -> bool:
        """Always."""
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteKey(Command):
    """The end of a key."""

    @property
    def revokes(self) -> bool:
        """Always."""
        return True
