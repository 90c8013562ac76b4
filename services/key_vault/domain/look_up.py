"""Reading keys' metadata, and the checks that every change begins with."""

from __future__ import annotations

from collections.abc import Sequence

from libs.core.resource_names import KeyName, Owner
from services.key_vault.domain.errors import etag_mismatch, key_not_found
from services.key_vault.domain.key import Key
from services.key_vault.domain.ports import KeyFilter, KeyTransaction


def get_key(transaction: KeyTransaction, name: KeyName, *, etag: str = "") -> Key:
    """The key. Raises NotFound `KEY_NOT_FOUND`, and Aborted `ETAG_MISMATCH` when `etag` is set and not the key's."""
    key = transaction.keys.get(name)
    if key is None:
        raise key_not_found(name)
    if etag and etag != key.etag:
        raise etag_mismatch(name)
    return key


def list_keys(
    transaction: KeyTransaction, owner: Owner, wanted: KeyFilter, *, after: tuple[str, str] | None, size: int
) -> Sequence[Key]:
    """A page of the keys of `owner`, by user and id, and one more when there is a next page."""
    return transaction.keys.page(owner, wanted, after=after, limit=size + 1)
