"""Changing what people see of a key."""

from __future__ import annotations

from libs.core.audit_authors import Occasion
from services.key_vault.domain.changes import change
from services.key_vault.domain.commands import UpdateKey
from services.key_vault.domain.key import Key
from services.key_vault.domain.ports import KeyTransaction


def update_key(transaction: KeyTransaction, command: UpdateKey, occasion: Occasion) -> Key:
    """The key with another display name or other labels; one that has them already stays as it is.

    Raises as `change` does.
    """

    def described(key: Key) -> Key:
        after = key.described(display_name=command.display_name, labels=command.labels, now=occasion.now)
        same = (after.display_name, dict(after.labels)) == (key.display_name, dict(key.labels))
        return key if same else after

    changed = [name for name in ("display_name", "labels") if getattr(command, name) is not None]
    return change(transaction, command, described, occasion, {"changed": " ".join(changed)})
