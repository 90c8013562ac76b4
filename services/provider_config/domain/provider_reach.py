"""What a provider's address and key come to, which only others know: key_vault the key, and DNS the address.

They are asked outside of transactions. A change begins without their answers; where it turns out to need one it is
undone, they are asked, and it begins anew. So nobody is asked about a change that touches neither address nor key.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from libs.core.resource_names import KeyName, ProviderName
from libs.core.validation import FieldChecks, origin_of
from services.provider_config.domain.changes import Changed
from services.provider_config.domain.errors import provider_in_motion
from services.provider_config.domain.ports import (
    AddressChecks,
    ConfigStore,
    KeyCheck,
    KeyChecks,
    KeyUsability,
    Transaction,
)
from services.provider_config.domain.provider import Provider

T = TypeVar("T")

# Each needs another address or key than the one before: somebody else changes the same provider all the time.
_MOST_ATTEMPTS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """Where calls to a provider go, and with which key."""

    base_url: str
    key: KeyName | None

    @classmethod
    def of(cls, provider: Provider) -> Reach:
        """That of a provider."""
        return cls(base_url=provider.settings.base_url, key=provider.settings.key)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReachFinding:
    """What is wrong with an address and a key, to follow the field's name in a sentence; None when nothing is."""

    base_url_problem: str | None
    key_problem: str | None


ReachFindings = Mapping[Reach, ReachFinding]


class ReachNotFound(Exception):
    """A change needs to know what is wrong with `reach`: find out, and begin anew."""

    def __init__(self, reach: Reach) -> None:
        super().__init__(str(reach))
        self.reach = reach


def checked_reach(
    transaction: Transaction,
    findings: ReachFindings,
    *,
    name: ProviderName,
    change: Callable[[Transaction], Changed[Provider]],
) -> Changed[Provider]:
    """What `change` makes of the provider `name`, if its address and key will do wherever they are new.

    Raises InvalidArgument, ReachNotFound, and what `change` does; then the transaction must be undone.
    """
    before = transaction.providers.get(name)
    changed = change(transaction)
    reach = Reach.of(changed.resource)
    if before is not None and Reach.of(before) == reach:
        return changed
    finding = findings.get(reach)
    if finding is None:
        raise ReachNotFound(reach)
    with FieldChecks() as check:
        if finding.base_url_problem is not None:
            check.fail("provider.base_url", finding.base_url_problem)
        if finding.key_problem is not None:
            check.fail("provider.key", finding.key_problem)
    return changed


@dataclass(frozen=True, slots=True, kw_only=True)
class ReachChecks:
    """Runs changes of providers."""

    store: ConfigStore
    keys: KeyChecks
    addresses: AddressChecks

    async def write(self, work: Callable[[Transaction, ReachFindings], T]) -> T:
        """Run `work` in a transaction, with findings about every reach that it needs.

        Raises what `work` does but ReachNotFound, and Unavailable: when the database or key_vault do not answer, and
        `DATABASE_BUSY` when the provider changes faster than others can be asked. Then nothing is stored.
        """
        findings: dict[Reach, ReachFinding] = {}
        for _ in range(_MOST_ATTEMPTS):
            try:
                return await self.store.write(partial(_with_findings, work=work, findings=findings))
            except ReachNotFound as missing:
                reach = missing.reach
            findings[reach] = await self.find(reach)
        raise provider_in_motion()

    async def find(self, reach: Reach) -> ReachFinding:
        """What is wrong with an address, in which the rules see nothing wrong, and a key. Raises Unavailable."""
        key_problem = None
        if reach.key is not None:
            origin = origin_of(reach.base_url) or ""
            (found,) = await self.keys.check([(reach.key, origin)])
            key_problem = _key_problem(reach.key, origin, found)
        return ReachFinding(base_url_problem=await self.addresses.problem(reach.base_url), key_problem=key_problem)


def _with_findings(
    transaction: Transaction, work: Callable[[Transaction, ReachFindings], T], findings: ReachFindings
) -> T:
    return work(transaction, findings)


def _key_problem(key: KeyName, origin: str, found: KeyCheck) -> str | None:
    match found.usability:
        case KeyUsability.MISSING:
            return f"must exist, and {key} does not; create the key first"
        case KeyUsability.ORIGIN_MISMATCH:
            return (
                f"must be one for {origin}, and {key} was entered for {found.origin}, where alone it is sent; correct "
                "base_url, or create a key for this address"
            )
        case KeyUsability.USABLE | KeyUsability.DISABLED | KeyUsability.NO_VERSION:
            # The last two can be mended at the key while its provider stays as it is.
            return None
