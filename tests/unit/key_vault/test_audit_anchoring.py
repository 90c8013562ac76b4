"""Anchoring audit chains outside the database, and what verifying against the anchors finds."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import pytest

from libs.core.audit import AuditHead, ChainedEvent
from libs.core.audit_anchors import Anchor
from libs.core.audit_verification import ChainProblem
from libs.core.errors import Unavailable
from libs.core.resource_names import KeyName, Owner
from services.key_vault.domain import anchor_audit
from services.key_vault.domain.anchor_audit import AuditAnchorer, AuditVerdict, AuditVerifier
from services.key_vault.domain.errors import vault_sealed
from tests.unit.key_vault.world import CREATE, World

ACME, GLOBEX = "tenants/acme", "tenants/globex"


class Signer:
    """Signs like Vault's key `name`; others' signatures do not verify."""

    def __init__(self, name: str = "audit-anchors") -> None:
        self.name = name
        self.signed = 0
        self.fails_at: int | None = None

    async def sign(self, message: bytes) -> str:
        self.signed += 1
        if self.signed == self.fails_at:
            raise vault_sealed()
        return f"vault:v1:{hashlib.sha256(self.name.encode() + message).hexdigest()}"

    async def verify(self, message: bytes, signature: str) -> bool:
        if self.fails_at == 0:
            raise vault_sealed()
        return signature == f"vault:v1:{hashlib.sha256(self.name.encode() + message).hexdigest()}"


class Anchors:
    """`AnchorStore` in memory."""

    def __init__(self) -> None:
        self.kept: list[Anchor] = []
        self.failure: OSError | None = None
        self.appended = 0

    async def append(self, anchors: Sequence[Anchor]) -> None:
        if self.failure is not None:
            raise self.failure
        self.appended += 1
        self.kept.extend(anchors)

    async def read(self, scope: str) -> Sequence[Anchor]:
        if self.failure is not None:
            raise self.failure
        return [anchor for anchor in self.kept if anchor.scope == scope]

    @property
    def places(self) -> list[tuple[str, int]]:
        return [(anchor.scope, anchor.sequence) for anchor in self.kept]


class Anchored:
    """A world whose chains are anchored."""

    def __init__(self) -> None:
        self.world = World()
        self.signer = Signer()
        self.anchors = Anchors()
        self.anchor = self.restarted()

    def restarted(self) -> AuditAnchorer:
        return AuditAnchorer(
            store=self.world.store,
            signer=self.signer,
            signer_name=self.signer.name,
            anchors=self.anchors,
            clock=self.world.clock,
        )

    async def grow(self, scope: str = ACME, *, by: int = 1) -> None:
        for _ in range(by):
            name = KeyName(Owner.parse(scope), f"k{len(self.chain(scope))}")
            await self.world.create(replace(CREATE, name=name))

    def chain(self, scope: str = ACME) -> tuple[ChainedEvent, ...]:
        return self.world.store.content.chains.get(scope, ())

    async def verdict(self, scope: str = ACME) -> AuditVerdict:
        return await AuditVerifier(store=self.world.store, signer=self.signer, anchors=self.anchors)(scope)

    async def problem(self, scope: str = ACME) -> tuple[int, ChainProblem] | None:
        found = (await self.verdict(scope)).chain.chain_break
        return None if found is None else (found.sequence, found.problem)

    async def forge(self, head: AuditHead, signer: Signer, *, signer_name: str | None = None) -> Anchor:
        anchor = Anchor(
            time=self.world.clock.now(),
            scope=head.scope,
            sequence=head.sequence,
            hash=head.hash,
            signer=signer_name or signer.name,
            signature="unsigned",
        )
        return replace(anchor, signature=await signer.sign(anchor.signed_bytes()))


@pytest.fixture
async def anchored() -> Anchored:
    """Two chains: of acme with 2 events, of globex with 1."""
    anchored = Anchored()
    await anchored.grow(by=2)
    await anchored.grow(GLOBEX)
    return anchored


async def test_the_head_of_every_chain_is_signed_and_kept(anchored: Anchored) -> None:
    assert await anchored.anchor() == 2
    assert anchored.anchors.places == [(ACME, 2), (GLOBEX, 1)]
    anchor = anchored.anchors.kept[0]
    assert (anchor.hash, anchor.time, anchor.signer) == (
        anchored.chain()[-1].hash,
        anchored.world.clock.now(),
        "audit-anchors",
    )
    assert await anchored.signer.verify(anchor.signed_bytes(), anchor.signature)


async def test_only_chains_that_have_grown_are_anchored_again(anchored: Anchored) -> None:
    await anchored.anchor()
    assert await anchored.anchor() == 0
    await anchored.grow(GLOBEX)
    assert await anchored.anchor() == 1
    assert anchored.anchors.places == [(ACME, 2), (GLOBEX, 1), (GLOBEX, 2)]
    assert (anchored.signer.signed, anchored.anchors.appended) == (3, 2)


async def test_a_new_process_anchors_every_chain_once_more(anchored: Anchored) -> None:
    await anchored.anchor()
    assert await anchored.restarted()() == 2


async def test_what_could_not_be_kept_is_anchored_the_next_time(anchored: Anchored) -> None:
    anchored.anchors.failure = OSError("disk full")
    with pytest.raises(OSError, match="disk full"):
        await anchored.anchor()
    anchored.anchors.failure = None
    assert await anchored.anchor() == 2


async def test_what_could_not_be_signed_is_anchored_the_next_time_and_what_was_kept_is_not(
    anchored: Anchored, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(anchor_audit, "_MOST_TOGETHER", 1)
    anchored.signer.fails_at = 2
    with pytest.raises(Unavailable):
        await anchored.anchor()
    assert anchored.anchors.places == [(ACME, 2)]
    assert await anchored.anchor() == 1
    assert anchored.anchors.places == [(ACME, 2), (GLOBEX, 1)]


async def test_chains_without_events_need_no_anchors() -> None:
    anchored = Anchored()
    assert await anchored.anchor() == 0
    assert anchored.anchors.appended == 0


async def test_a_chain_that_agrees_with_its_anchors_is_intact(anchored: Anchored) -> None:
    await anchored.anchor()
    anchored.world.clock.seconds += 3600
    await anchored.grow()
    await anchored.anchor()
    await anchored.grow()
    verdict = await anchored.verdict()
    assert verdict.chain.is_intact
    assert (verdict.chain.checked, verdict.anchors, verdict.last_anchor_time) == (4, 2, anchored.world.clock.now())


async def test_a_chain_without_anchors_is_verified_by_its_head_alone(anchored: Anchored) -> None:
    verdict = await anchored.verdict()
    assert (verdict.chain.is_intact, verdict.anchors, verdict.last_anchor_time) == (True, 0, None)


async def test_a_chain_that_was_never_begun_is_intact(anchored: Anchored) -> None:
    verdict = await anchored.verdict("tenants/nobody")
    assert (verdict.chain.is_intact, verdict.chain.checked) == (True, 0)


async def test_a_chain_put_back_with_its_own_head_is_found_by_its_anchors(anchored: Anchored) -> None:
    before = anchored.chain()
    await anchored.grow(by=2)
    await anchored.anchor()
    anchored.world.store.content.chains[ACME] = before
    assert await anchored.problem() == (3, ChainProblem.TRUNCATED)
    assert await anchored.problem(GLOBEX) is None


async def test_a_chain_that_was_rewritten_and_sealed_anew_is_found_by_its_anchors(anchored: Anchored) -> None:
    await anchored.anchor()
    rewritten = Anchored()
    await rewritten.grow(by=3)
    anchored.world.store.content.chains[ACME] = rewritten.chain()
    assert await anchored.problem() == (2, ChainProblem.ANCHOR_MISMATCH)


async def test_a_chain_that_was_rewritten_is_not_anchored_over(anchored: Anchored) -> None:
    await anchored.anchor()
    rewritten = Anchored()
    await rewritten.grow(by=2)
    anchored.world.store.content.chains[ACME] = rewritten.chain()
    await anchored.restarted()()
    assert await anchored.problem() == (2, ChainProblem.ANCHOR_MISMATCH)


async def test_a_forged_anchor_proves_nothing_and_is_told(anchored: Anchored) -> None:
    await anchored.anchor()
    forged = await anchored.forge(
        AuditHead(scope=ACME, sequence=1, hash="0" * 64), Signer("somebody's"), signer_name="audit-anchors"
    )
    anchored.anchors.kept.insert(0, forged)
    verdict = await anchored.verdict()
    assert await anchored.problem() == (1, ChainProblem.ANCHOR_MISMATCH)
    assert (verdict.anchors, verdict.chain.checked) == (1, 2)
    assert await anchored.problem(GLOBEX) is None


async def test_an_anchor_of_another_deployments_key_is_told_even_when_it_says_the_same(anchored: Anchored) -> None:
    head = AuditHead(scope=ACME, sequence=2, hash=anchored.chain()[-1].hash)
    anchored.anchors.kept.append(await anchored.forge(head, Signer("other-anchors")))
    verdict = await anchored.verdict()
    assert await anchored.problem() == (2, ChainProblem.ANCHOR_MISMATCH)
    assert (verdict.anchors, verdict.last_anchor_time) == (0, None)


async def test_an_anchor_whose_time_was_changed_is_forged(anchored: Anchored) -> None:
    await anchored.anchor()
    anchored.anchors.kept[0] = replace(anchored.anchors.kept[0], time=anchored.world.clock.now().replace(year=2030))
    assert await anchored.problem() == (2, ChainProblem.ANCHOR_MISMATCH)


async def test_what_the_chain_itself_shows_is_told_before_what_the_anchors_show(anchored: Anchored) -> None:
    await anchored.anchor()
    anchored.anchors.kept[0] = replace(anchored.anchors.kept[0], signature="vault:v1:forged")
    first, last = anchored.chain()
    event = replace(first.event, target="tenants/acme/keys/another")
    anchored.world.store.content.chains[ACME] = (replace(first, event=event), last)
    assert await anchored.problem() == (1, ChainProblem.ALTERED)


async def test_two_genuine_anchors_that_contradict_each_other_are_told(anchored: Anchored) -> None:
    await anchored.anchor()
    lie = await anchored.forge(AuditHead(scope=ACME, sequence=2, hash="0" * 64), anchored.signer)
    anchored.anchors.kept.append(lie)
    assert await anchored.problem() == (2, ChainProblem.ANCHOR_MISMATCH)


async def test_nothing_is_verified_while_vault_or_the_anchors_cannot_be_asked(anchored: Anchored) -> None:
    await anchored.anchor()
    anchored.signer.fails_at = 0
    with pytest.raises(Unavailable):
        await anchored.verdict()
    anchored.anchors.failure = OSError("gone")
    with pytest.raises(Unavailable) as unreadable:
        await anchored.verdict()
    assert unreadable.value.reason == "AUDIT_ANCHORS_UNREADABLE"
