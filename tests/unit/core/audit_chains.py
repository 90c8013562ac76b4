"""Audit events and chains for tests, and hypothesis strategies for them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from libs.core.audit import AuditEvent, AuditHead, AuditOutcome, ChainedEvent, chain_hash, genesis_hash
from libs.core.audit_seal import HeadSeal, SealedHead
from libs.core.secret import Secret

SCOPE = "tenants/acme"
TIME = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
SEAL = HeadSeal(Secret(b"k" * 32))
OTHER_SEAL = HeadSeal(Secret(b"o" * 32))


def event(**changes: Any) -> AuditEvent:
    """An event of `SCOPE`, with `changes`."""
    fields: dict[str, Any] = {
        "scope": SCOPE,
        "event_id": "0b7d6f3c-6f1e-4b0e-9a53-0d3f5a1c2b4e",
        "time": TIME,
        "actor": "tenants/acme/users/ann",
        "roles": ("tenant_admin",),
        "address": "10.0.0.7",
        "action": "RotateKey",
        "target": "tenants/acme/keys/openai",
        "outcome": AuditOutcome.SUCCEEDED,
        "reason": "",
        "request_id": "r-1",
        "details": {"version": "3"},
    }
    return AuditEvent(**(fields | changes))


@dataclass(frozen=True, slots=True)
class Chain:
    """A whole chain and its head as a service would have stored them."""

    events: tuple[ChainedEvent, ...]
    head: SealedHead | None

    def head_at(self, sequence: int) -> AuditHead:
        """The head the chain had when `sequence` was its last event."""
        return AuditHead(scope=SCOPE, sequence=sequence, hash=self.events[sequence - 1].hash)


def chain(events: Iterable[AuditEvent], seal: HeadSeal = SEAL, scope: str = SCOPE) -> Chain:
    """The chain of `events`, its head sealed with `seal`."""
    linked: list[ChainedEvent] = []
    previous = genesis_hash(scope)
    for sequence, each in enumerate(events, start=1):
        digest = chain_hash(previous, sequence, each)
        linked.append(ChainedEvent(sequence=sequence, previous_hash=previous, hash=digest, event=each))
        previous = digest
    head = seal.seal(AuditHead(scope=scope, sequence=len(linked), hash=previous)) if linked else None
    return Chain(tuple(linked), head)


def renumbered(events: Sequence[ChainedEvent]) -> list[ChainedEvent]:
    """`events` with sequences from 1 without gaps, the hashes as they were."""
    return [replace(each, sequence=sequence) for sequence, each in enumerate(events, start=1)]


# What is special to JSON, and what is not ASCII, more often than chance would have it.
_CHARACTERS = st.one_of(
    st.sampled_from('"\\/,:{}[] \t\n\r\u2028é😀\ufffd'), st.characters(codec="utf-8", exclude_categories=["Cc"])
)


def texts(most: int = 8, least: int = 0) -> st.SearchStrategy[str]:
    """Any text an event may hold."""
    return st.text(_CHARACTERS, min_size=least, max_size=most)


TIMES = st.integers(0, 2**53 - 1).map(lambda us: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us))
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "event_id": st.uuids().map(str),
    "time": TIMES,
    "actor": texts(least=1),
    "roles": st.sets(texts(least=1), max_size=3).map(lambda roles: tuple(sorted(roles))),
    "address": texts(),
    "action": texts(least=1),
    "target": texts(),
    "outcome": st.sampled_from(AuditOutcome),
    "reason": texts(),
    "request_id": texts(),
    "details": st.dictionaries(st.from_regex(r"[a-z][a-z0-9_.-]{0,3}", fullmatch=True), texts(), max_size=3),
}
EVENTS: st.SearchStrategy[AuditEvent] = st.builds(AuditEvent, scope=st.just(SCOPE), **FIELDS)


def chains(least: int = 0, most: int = 6) -> st.SearchStrategy[Chain]:
    """Whole chains of `least` to `most` events."""
    return st.lists(EVENTS, min_size=least, max_size=most).map(chain)
