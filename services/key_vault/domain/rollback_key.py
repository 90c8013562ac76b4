"""Putting an earlier version back in use."""

from __future__ import annotations

from libs.core.audit_authors import Occasion
from services.key_vault.domain.changes import change
from services.key_vault.domain.commands import RollbackKey
from services.key_vault.domain.key import Key
from services.key_vault.domain.ports import KeyTransaction


def rollback_key(transaction: KeyTransaction, command: RollbackKey, occasion: Occasion) -> Key:
    """The key with `command.version` in use. Raises as `change` and `Key.rolled_back` do."""
    details = {"version": str(command.version)}
    return change(
        transaction, command, lambda key: key.rolled_back(command.version, now=occasion.now), occasion, details
    )
