"""At most one provider of an owner is its default."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from services.provider_config.domain.ports import Transaction
from services.provider_config.domain.provider import Provider


def yield_default(transaction: Transaction, heir: Provider, *, now: datetime) -> None:
    """Take the default from the other provider of the owner of `heir`, which then stores itself with it."""
    holder = transaction.providers.default_of(heir.name.owner)
    if holder is not None and holder.uid != heir.uid:
        transaction.providers.put(holder.changed(replace(holder.settings, is_default=False), now=now))
