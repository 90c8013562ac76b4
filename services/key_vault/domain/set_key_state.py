"""Taking a key out of use, and putting it back."""

from __future__ import annotations

from libs.core.audit_authors import Occasion
from services.key_vault.domain.changes import change
from services.key_vault.domain.commands import SetKeyState
from services.key_vault.domain.key import Key
from services.key_vault.domain.ports import KeyTransaction


def set_key_state(transaction: KeyTransaction, command: SetKeyState, occasion: Occasion) -> Key:
    """The key in the state wanted; one that is in it already stays as it is. Raises as `change` does."""

    def moved(key: Key) -> Key:
        return key if key.state is command.state else key.in_state(command.state, now=occasion.now)

    return change(transaction, command, moved, occasion, {"state": command.state.value})
