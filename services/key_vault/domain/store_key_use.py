"""Storing what the counter of key use has gathered."""

from __future__ import annotations

from libs.core.errors import GatehouseError
from services.key_vault.domain.key_use import KeyUseCounter
from services.key_vault.domain.ports import KeyStore


async def store_key_use(counter: KeyUseCounter, store: KeyStore) -> None:
    """Add the counts to those stored; what could not be stored waits for the next time. Raises Unavailable."""
    uses = counter.take()
    if not uses:
        return
    try:
        await store.write(lambda transaction: transaction.uses.add(uses))
    except GatehouseError:
        counter.put_back(uses)
        raise
