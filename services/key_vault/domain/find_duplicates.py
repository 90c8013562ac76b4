"""Noticing that a tenant holds the same material twice."""

from __future__ import annotations

from libs.core.audit_authors import Author
from services.key_vault.domain.key import Key
from services.key_vault.domain.ports import MOST_DUPLICATES, KeyAnswer, KeyTransaction


def with_duplicates(transaction: KeyTransaction, key: Key, author: Author) -> KeyAnswer:
    """`key`, and the other keys with its material: by name as far as `author` may see them, the others by number."""
    same = transaction.keys.with_fingerprint(key.name.owner, key.current.fingerprint)
    others = sorted((name for name in same if name != key.name), key=str)
    visible = [name for name in others if author.may_see(name.owner)]
    return KeyAnswer(
        key=key,
        duplicates=tuple(visible[:MOST_DUPLICATES]),
        hidden_duplicates=len(others) - len(visible[:MOST_DUPLICATES]),
    )
