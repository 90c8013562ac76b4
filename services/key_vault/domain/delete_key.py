"""Deleting a key."""

from __future__ import annotations

from libs.core.audit_authors import Occasion
from services.key_vault.domain.changes import recalled, record
from services.key_vault.domain.commands import DeleteKey
from services.key_vault.domain.look_up import get_key
from services.key_vault.domain.ports import KeyAnswer, KeyTransaction


def delete_key(transaction: KeyTransaction, command: DeleteKey, occasion: Occasion) -> None:
    """Remove the key with the material of all its versions.

    Raises NotFound `KEY_NOT_FOUND`, Aborted `ETAG_MISMATCH`, InvalidArgument `REQUEST_ID_REUSED`.
    """
    if recalled(transaction, command, occasion.now) is not None:
        return
    key = get_key(transaction, command.name, etag=command.etag)
    transaction.keys.remove(key)
    record(transaction, command, KeyAnswer(key=key), occasion, {"uid": key.uid})
