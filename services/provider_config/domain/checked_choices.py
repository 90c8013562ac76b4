"""Saving choices whose keys only key_vault knows: it is asked first, and the transaction checks the rest again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from services.provider_config.domain.ports import ConfigStore, KeyChecks, Transaction
from services.provider_config.domain.preference_keys import KeyFindings, KeysNotAsked, KeyUse
from services.provider_config.domain.routing_errors import choices_in_motion

T = TypeVar("T")

# Providers change rarely: that what an id means changes between two attempts is hardly ever seen once.
_MOST_ATTEMPTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedChoices:
    """Runs changes that name providers."""

    store: ConfigStore
    keys: KeyChecks

    async def write(
        self,
        keys_of: Callable[[Transaction], Sequence[KeyUse]],
        work: Callable[[Transaction, KeyFindings], T],
    ) -> T:
        """Run `work` in a transaction, with what key_vault says of the keys that `keys_of` named just before.

        Raises what `work` does except KeysNotAsked, on which it begins anew, and Unavailable: when the database or
        key_vault do not answer, and `DATABASE_BUSY` when `work` raised it each time. Then nothing is stored.
        """
        for _ in range(_MOST_ATTEMPTS):
            wanted = await self.store.read(keys_of)
            found = await self.keys.check(wanted) if wanted else ()
            findings = dict(zip(wanted, found, strict=True))
            try:
                return await self.store.write(partial(_with_findings, work=work, findings=findings))
            except KeysNotAsked:
                continue
        raise choices_in_motion()


def _with_findings(transaction: Transaction, work: Callable[[Transaction, KeyFindings], T], findings: KeyFindings) -> T:
    return work(transaction, findings)
