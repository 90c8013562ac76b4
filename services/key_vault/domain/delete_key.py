"""Deleting a key."""

from __future__ import annotations

from services.key_vault.domain.commands import DeleteKey
from services.key_vault.domain.look_up import get_key
from services.key_vault.domain.ports import KeyTransaction


def delete_key(transaction: KeyTransaction, command: DeleteKey) -> None:
    """Remove the key with its material. Raises NotFound `KEY_NOT_FOUND` and Aborted `ETAG_MISMATCH`."""
    transaction.keys.remove(get_key(transaction, command.name, etag=command.etag))
