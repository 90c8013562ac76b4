"""Holds a chain against its own hashes, its sealed head and its anchors; finds the first place that is wrong."""

from __future__ import annotations

import enum
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from libs.core.audit import AuditHead, ChainedEvent, chain_hash, check_scope, genesis_hash
from libs.core.audit_seal import HeadSeal, SealedHead


class ChainProblem(enum.Enum):
    """What is wrong with a chain."""

    ALTERED = "altered"
    """The event's content, its hash or its link to the event before was changed."""
    MISSING = "missing"
    """An event is missing before the end."""
    REORDERED = "reordered"
    """The event does not continue the one before it: it was moved or put in, or the one before was rewritten."""
    TRUNCATED = "truncated"
    """The chain ends before its head or an anchor does."""
    HEAD_FORGED = "head forged"
    """The head is gone, does not carry the deployment's seal, or is not that of the last event."""
    ANCHOR_MISMATCH = "anchor mismatch"
    """An anchor says otherwise: the chain was rewritten."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainBreak:
    """The first place where a chain is not whole.

    `sequence` is that of the first event that is wrong or missing; for HEAD_FORGED that of the last event.
    """

    sequence: int
    problem: ChainProblem


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainVerification:
    """What a verification found. All but `chain_break` is about the part of the chain before the break.

    `checked`: how many events. `first_time` and `last_time`: of the first and the last of them; None without any, and
    so is `head`, the last of them.
    """

    scope: str
    checked: int
    first_time: datetime | None
    last_time: datetime | None
    head: AuditHead | None
    chain_break: ChainBreak | None

    @property
    def is_intact(self) -> bool:
        """Whether the chain, its head and its anchors agree."""
        return self.chain_break is None


class ChainVerifier:
    """Takes the events of one chain in their order and remembers the first break; its memory does not grow with them.

    `anchors`: heads the chain had at some time, from a place its owner cannot write to. Raises ValueError for anchors
    of other chains, which would prove nothing.
    """

    def __init__(self, scope: str, *, anchors: Iterable[AuditHead] = ()) -> None:
        check_scope(scope)
        self._scope = scope
        self._anchored: defaultdict[int, set[str]] = defaultdict(set)
        for anchor in anchors:
            if anchor.scope != scope or anchor.sequence < 1:
                raise ValueError(f"an anchor is not one of the chain of {scope}")
            self._anchored[anchor.sequence].add(anchor.hash)
        self._sequence = 0
        self._hash = genesis_hash(scope)
        self._first_time: datetime | None = None
        self._last_time: datetime | None = None
        self._break: ChainBreak | None = None

    def follow(self, chained: ChainedEvent) -> bool:
        """Check the next event; whether the chain is whole so far. After a break nothing more is looked at."""
        if self._break is None:
            self._break = self._wrong_with(chained)
        if self._break is not None:
            return False
        self._sequence, self._hash = chained.sequence, chained.hash
        self._last_time = chained.event.time
        self._first_time = self._first_time or self._last_time
        return True

    def follow_unreadable(self) -> bool:
        """Take note that what stands in the next event's place is no event; always False."""
        return self.refuse(self._sequence + 1, ChainProblem.ALTERED)

    def refuse(self, sequence: int, problem: ChainProblem) -> bool:
        """Take note of a break that the events themselves do not show; always False."""
        self._break = self._break or ChainBreak(sequence=sequence, problem=problem)
        return False

    def finish(self, head: SealedHead | None, seal: HeadSeal) -> ChainVerification:
        """Hold the end of the chain against the head that is stored for it (None: there is none) and the anchors."""
        self._break = self._break or self._wrong_with_head(head, seal) or self._short_of_anchors()
        return ChainVerification(
            scope=self._scope,
            checked=self._sequence,
            first_time=self._first_time,
            last_time=self._last_time,
            head=AuditHead(scope=self._scope, sequence=self._sequence, hash=self._hash) if self._sequence else None,
            chain_break=self._break,
        )

    @property
    def sequence(self) -> int:
        """The last event that was found whole; 0 before the first."""
        return self._sequence

    def _wrong_with(self, chained: ChainedEvent) -> ChainBreak | None:
        expected = self._sequence + 1
        if chained.sequence > expected:
            return ChainBreak(sequence=expected, problem=ChainProblem.MISSING)
        if chained.sequence < expected or chained.event.scope != self._scope:
            return ChainBreak(sequence=chained.sequence, problem=ChainProblem.REORDERED)
        linked = chained.previous_hash == self._hash
        hashed = chained.hash == chain_hash(self._hash, expected, chained.event)
        if not linked and not hashed:
            return ChainBreak(sequence=expected, problem=ChainProblem.REORDERED)
        if not linked or not hashed:
            return ChainBreak(sequence=expected, problem=ChainProblem.ALTERED)
        if self._anchored.get(expected, {chained.hash}) != {chained.hash}:
            return ChainBreak(sequence=expected, problem=ChainProblem.ANCHOR_MISMATCH)
        return None

    def _wrong_with_head(self, sealed: SealedHead | None, seal: HeadSeal) -> ChainBreak | None:
        forged = ChainBreak(sequence=self._sequence, problem=ChainProblem.HEAD_FORGED)
        if sealed is None:
            return forged if self._sequence else None
        if not seal.is_on(sealed) or sealed.head.scope != self._scope:
            return forged
        if sealed.head.sequence > self._sequence:
            return ChainBreak(sequence=self._sequence + 1, problem=ChainProblem.TRUNCATED)
        if (sealed.head.sequence, sealed.head.hash) != (self._sequence, self._hash):
            return forged
        return None

    def _short_of_anchors(self) -> ChainBreak | None:
        if max(self._anchored, default=0) > self._sequence:
            return ChainBreak(sequence=self._sequence + 1, problem=ChainProblem.TRUNCATED)
        return None


def verify_chain(
    events: Iterable[ChainedEvent],
    *,
    scope: str,
    head: SealedHead | None,
    seal: HeadSeal,
    anchors: Iterable[AuditHead] = (),
) -> ChainVerification:
    """Verify the whole chain of `scope`: all its events in ascending order, read one by one, and its stored head.

    Raises ValueError for anchors of other chains.
    """
    verifier = ChainVerifier(scope, anchors=anchors)
    for chained in events:
        if not verifier.follow(chained):
            break
    return verifier.finish(head, seal)
