"""Anchoring the audit chains outside the database, and verifying them against their anchors."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol

from libs.core.audit import AuditHead
from libs.core.audit_anchors import Anchor, bytes_to_sign
from libs.core.audit_verification import ChainBreak, ChainProblem, ChainVerification
from libs.core.clock import Clock
from services.key_vault.domain.errors import audit_anchors_unreadable
from services.key_vault.domain.ports import AnchorSigner, KeyStore

_MOST_TOGETHER = 100


class AnchorStore(Protocol):
    """Where anchors are kept: not in the database."""

    async def append(self, anchors: Sequence[Anchor]) -> None:
        """Keep `anchors`, durably. Raises OSError."""
        ...

    async def read(self, scope: str) -> Sequence[Anchor]:
        """All anchors of a chain, oldest first; none from a place that cannot be read back. Raises OSError."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditAnchorer:
    """Anchors every chain that has grown since this process last anchored it. `signer_name` names Vault's key."""

    store: KeyStore
    signer: AnchorSigner
    signer_name: str
    anchors: AnchorStore
    clock: Clock
    _anchored: dict[str, int] = field(default_factory=dict)

    async def __call__(self) -> int:
        """How many chains were anchored. What could not be kept is anchored the next time.

        Raises Unavailable and OSError.
        """
        heads = await self.store.read(lambda transaction: transaction.audit.heads())
        now = self.clock.now()
        grown = iter([head for head in heads if self._anchored.get(head.scope) != head.sequence])
        count = 0
        # Some at a time: with many tenants, a failure at the last one must not undo the work for all others.
        while together := list(itertools.islice(grown, _MOST_TOGETHER)):
            made = [await self._anchor(head, now) for head in together]
            await self.anchors.append(made)
            self._anchored.update({anchor.scope: anchor.sequence for anchor in made})
            count += len(made)
        return count

    async def _anchor(self, head: AuditHead, now: datetime) -> Anchor:
        signature = await self.signer.sign(bytes_to_sign(head, time=now, signer=self.signer_name))
        return Anchor(
            time=now,
            scope=head.scope,
            sequence=head.sequence,
            hash=head.hash,
            signer=self.signer_name,
            signature=signature,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditVerdict:
    """What verifying a chain found, and what it was held against. `last_anchor_time` is None without anchors."""

    chain: ChainVerification
    anchors: int
    last_anchor_time: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditVerifier:
    """Recomputes a chain and holds it against its sealed head and its signed anchors."""

    store: KeyStore
    signer: AnchorSigner
    anchors: AnchorStore
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def __call__(self, scope: str) -> AuditVerdict:
        """The verdict. Raises Unavailable while the database, Vault to check signatures by, or the anchors are."""
        genuine: list[Anchor] = []
        forged: list[Anchor] = []
        for each in await self._read(scope):
            is_ours = await self.signer.verify(each.signed_bytes(), each.signature)
            (genuine if is_ours else forged).append(each)
        heads = [each.head for each in genuine]
        # One at a time: each keeps a core busy, and calls are served by the same process.
        async with self._turn:
            chain = await self.store.verify_audit(scope, heads)
        if forged and chain.is_intact:
            # Somebody was at the anchors: what they vouched for is not proven any more.
            wrong = ChainBreak(sequence=forged[0].sequence, problem=ChainProblem.ANCHOR_MISMATCH)
            chain = replace(chain, chain_break=wrong)
        last = max((each.time for each in genuine), default=None)
        return AuditVerdict(chain=chain, anchors=len(genuine), last_anchor_time=last)

    async def _read(self, scope: str) -> Sequence[Anchor]:
        try:
            return await self.anchors.read(scope)
        except OSError:
            failure = audit_anchors_unreadable()
        raise failure
