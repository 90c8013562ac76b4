"""Erasing the material of a version."""

from __future__ import annotations

from libs.core.audit_authors import Occasion
from services.key_vault.domain.changes import change
from services.key_vault.domain.commands import DestroyKeyVersion
from services.key_vault.domain.key import Key
from services.key_vault.domain.ports import KeyTransaction


def destroy_key_version(transaction: KeyTransaction, command: DestroyKeyVersion, occasion: Occasion) -> Key:
    """The key without the material of `command.version`. Raises as `change` and `Key.version_destroyed` do."""
    details = {"version": str(command.version)}
    return change(
        transaction, command, lambda key: key.version_destroyed(command.version, now=occasion.now), occasion, details
    )
