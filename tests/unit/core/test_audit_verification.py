"""Whatever is done to a chain, its verification finds it, at the first place that is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.core.audit import AuditHead, ChainedEvent, chain_hash
from libs.core.audit_seal import SealedHead
from libs.core.audit_verification import ChainBreak, ChainProblem, ChainVerification, ChainVerifier, verify_chain
from tests.unit.core.audit_chains import (
    FIELDS,
    OTHER_SEAL,
    SCOPE,
    SEAL,
    Chain,
    chain,
    chains,
    event,
    renumbered,
)

_THREE = chain([event(), event(action="DisableKey"), event(action="DeleteKey")])


def _verify(
    events: Iterable[ChainedEvent], head: SealedHead | None, anchors: Iterable[AuditHead] = ()
) -> ChainVerification:
    return verify_chain(events, scope=SCOPE, head=head, seal=SEAL, anchors=anchors)


def _found(
    events: Iterable[ChainedEvent], head: SealedHead | None, anchors: Iterable[AuditHead] = ()
) -> tuple[int, ChainProblem] | None:
    found = _verify(events, head, anchors).chain_break
    return None if found is None else (found.sequence, found.problem)


def _place(data: st.DataObject, whole: Chain, *, most: int | None = None) -> int:
    return data.draw(st.integers(0, len(whole.events) - 1 if most is None else most), label="index")


@given(chains())
def test_a_chain_as_it_was_written_is_whole(whole: Chain) -> None:
    anchors = [whole.head_at(each.sequence) for each in whole.events]
    assert _found(whole.events, whole.head, anchors) is None


def test_a_verification_tells_what_it_covered() -> None:
    early, late = event(time=event().time.replace(year=2025)), event()
    whole = chain([early, event(action="DisableKey"), late])
    assert _verify(whole.events, whole.head) == ChainVerification(
        scope=SCOPE,
        checked=3,
        first_time=early.time,
        last_time=late.time,
        head=whole.head_at(3),
        chain_break=None,
    )
    assert _verify(whole.events, whole.head).is_intact


def test_a_verification_tells_what_is_whole_before_a_break() -> None:
    altered = replace(_THREE.events[2], event=event())
    result = _verify([*_THREE.events[:2], altered], _THREE.head)
    assert (result.checked, result.head, result.is_intact) == (2, _THREE.head_at(2), False)
    assert result.chain_break == ChainBreak(sequence=3, problem=ChainProblem.ALTERED)


def test_an_empty_chain_is_whole_and_has_no_head() -> None:
    result = _verify([], None)
    assert (result.is_intact, result.checked, result.head, result.first_time) == (True, 0, None, None)


@given(st.data(), chains(least=1), st.sampled_from(sorted(FIELDS)))
def test_a_changed_field_is_found(data: st.DataObject, whole: Chain, name: str) -> None:
    events = list(whole.events)
    index = _place(data, whole)
    before = getattr(events[index].event, name)
    value = data.draw(FIELDS[name].filter(lambda value: value != before))
    events[index] = replace(events[index], event=replace(events[index].event, **{name: value}))
    assert _found(events, whole.head) == (index + 1, ChainProblem.ALTERED)


@given(st.data(), chains(least=1), st.sampled_from(["hash", "previous_hash"]), st.integers(0, 63))
def test_a_flipped_digit_of_a_hash_is_found(data: st.DataObject, whole: Chain, name: str, digit: int) -> None:
    events = list(whole.events)
    index = _place(data, whole)
    before = getattr(events[index], name)
    other = data.draw(st.sampled_from("0123456789abcdefABCDEF").filter(lambda each: each != before[digit]))
    events[index] = replace(events[index], **{name: before[:digit] + other + before[digit + 1 :]})
    assert _found(events, whole.head) == (index + 1, ChainProblem.ALTERED)


@given(st.data(), chains(least=2))
def test_a_changed_event_with_a_new_hash_is_found_at_the_next(data: st.DataObject, whole: Chain) -> None:
    events = list(whole.events)
    index = _place(data, whole, most=len(events) - 2)
    forged = event(request_id="forged")
    digest = chain_hash(events[index].previous_hash, index + 1, forged)
    events[index] = replace(events[index], event=forged, hash=digest)
    assert _found(events, whole.head) == (index + 2, ChainProblem.REORDERED)


@given(st.data(), chains(least=1))
def test_a_changed_event_with_all_hashes_after_it_recomputed_is_found_by_the_seal(
    data: st.DataObject, whole: Chain
) -> None:
    events = [each.event for each in whole.events]
    events[_place(data, whole)] = event(request_id="forged", action="Forged")
    rewritten = chain(events, OTHER_SEAL)
    forged = (len(events), ChainProblem.HEAD_FORGED)
    assert _found(rewritten.events, whole.head) == forged
    assert _found(rewritten.events, rewritten.head) == forged
    assert _found(rewritten.events, None) == forged


@given(st.data(), chains(least=1))
def test_a_rewritten_chain_with_a_stolen_sealing_key_is_found_by_an_anchor(data: st.DataObject, whole: Chain) -> None:
    events = [each.event for each in whole.events]
    index = _place(data, whole)
    events[index] = event(request_id="forged", action="Forged")
    rewritten = chain(events)
    assert _found(rewritten.events, rewritten.head) is None
    anchored = data.draw(st.integers(index, len(events) - 1), label="anchored") + 1
    found = _found(rewritten.events, rewritten.head, [whole.head_at(anchored)])
    assert found == (anchored, ChainProblem.ANCHOR_MISMATCH)


@given(st.data(), chains(least=2))
def test_a_missing_event_is_found(data: st.DataObject, whole: Chain) -> None:
    events = list(whole.events)
    index = _place(data, whole, most=len(events) - 2)
    del events[index]
    assert _found(events, whole.head) == (index + 1, ChainProblem.MISSING)
    assert _found(renumbered(events), whole.head) == (index + 1, ChainProblem.REORDERED)


@given(st.data(), chains(least=1))
def test_an_inserted_event_is_found(data: st.DataObject, whole: Chain) -> None:
    events = list(whole.events)
    index = _place(data, whole)
    previous = events[index].previous_hash
    new = event(request_id="forged", action="Forged")
    forged = ChainedEvent(
        sequence=index + 1, previous_hash=previous, hash=chain_hash(previous, index + 1, new), event=new
    )
    events.insert(index, forged)
    assert _found(renumbered(events), whole.head) == (index + 2, ChainProblem.REORDERED)
    assert _found(events, whole.head) == (index + 1, ChainProblem.REORDERED)


@given(chains(least=1))
def test_an_event_put_after_the_head_is_found(whole: Chain) -> None:
    longer = chain([*(each.event for each in whole.events), event(request_id="forged")])
    assert _found(longer.events, whole.head) == (len(longer.events), ChainProblem.HEAD_FORGED)


@given(st.data(), chains(least=1))
def test_a_repeated_event_is_found(data: st.DataObject, whole: Chain) -> None:
    events = list(whole.events)
    index = _place(data, whole)
    events.insert(index, events[index])
    assert _found(events, whole.head) == (index + 1, ChainProblem.REORDERED)


@given(st.data(), chains(least=1))
def test_an_event_before_the_first_is_found(data: st.DataObject, whole: Chain) -> None:
    sequence = data.draw(st.integers(-3, 0))
    events = [replace(whole.events[0], sequence=sequence), *whole.events]
    assert _found(events, whole.head) == (sequence, ChainProblem.REORDERED)


@given(st.data(), chains(least=2))
def test_two_swapped_events_are_found(data: st.DataObject, whole: Chain) -> None:
    events = list(whole.events)
    first = _place(data, whole, most=len(events) - 2)
    second = data.draw(st.integers(first + 1, len(events) - 1), label="second")
    events[first], events[second] = events[second], events[first]
    assert _found(renumbered(events), whole.head) == (first + 1, ChainProblem.REORDERED)
    assert _found(events, whole.head) == (first + 1, ChainProblem.MISSING)


@given(st.data(), chains(least=1))
def test_a_chain_cut_off_is_found_by_its_head(data: st.DataObject, whole: Chain) -> None:
    left = _place(data, whole)
    assert _found(whole.events[:left], whole.head) == (left + 1, ChainProblem.TRUNCATED)


@given(st.data(), chains(least=2))
def test_a_chain_cut_off_with_its_head_moved_by_somebody_without_the_key_is_found(
    data: st.DataObject, whole: Chain
) -> None:
    left = data.draw(st.integers(1, len(whole.events) - 1))
    moved = OTHER_SEAL.seal(whole.head_at(left))
    assert _found(whole.events[:left], moved) == (left, ChainProblem.HEAD_FORGED)


@given(st.data(), chains(least=2))
def test_a_chain_put_back_to_an_earlier_state_is_found_by_an_anchor(data: st.DataObject, whole: Chain) -> None:
    left = data.draw(st.integers(0, len(whole.events) - 1))
    earlier = SEAL.seal(whole.head_at(left)) if left else None
    assert _found(whole.events[:left], earlier) is None
    anchored = data.draw(st.integers(left + 1, len(whole.events)))
    anchors = [whole.head_at(1), whole.head_at(anchored)] if left else [whole.head_at(anchored)]
    assert _found(whole.events[:left], earlier, anchors) == (left + 1, ChainProblem.TRUNCATED)


def test_a_head_that_is_gone_is_found() -> None:
    assert _found(_THREE.events, None) == (3, ChainProblem.HEAD_FORGED)


def test_a_head_that_was_put_back_is_found() -> None:
    assert _found(_THREE.events, SEAL.seal(_THREE.head_at(2))) == (3, ChainProblem.HEAD_FORGED)


def test_a_sealed_head_with_another_hash_than_the_last_event_is_found() -> None:
    head = SEAL.seal(AuditHead(scope=SCOPE, sequence=3, hash="ab" * 32))
    assert _found(_THREE.events, head) == (3, ChainProblem.HEAD_FORGED)


def test_a_sealed_head_with_the_last_hash_at_another_place_is_found() -> None:
    head = SEAL.seal(replace(_THREE.head_at(3), sequence=2))
    assert _found(_THREE.events, head) == (3, ChainProblem.HEAD_FORGED)


def test_the_head_of_another_chain_is_no_head_of_this_one() -> None:
    head = SEAL.seal(replace(_THREE.head_at(3), scope="platform"))
    assert _found(_THREE.events, head) == (3, ChainProblem.HEAD_FORGED)


def test_another_chain_is_not_this_one() -> None:
    other = chain([event(scope="platform")], scope="platform")
    assert _found(other.events, None) == (1, ChainProblem.REORDERED)


def test_an_event_of_another_chain_is_found_even_where_its_hash_fits() -> None:
    mixed = chain([event(), event(scope="platform")])
    assert _found(mixed.events, mixed.head) == (2, ChainProblem.REORDERED)


def test_two_anchors_that_contradict_each_other_cannot_both_hold() -> None:
    anchors = [_THREE.head_at(2), AuditHead(scope=SCOPE, sequence=2, hash="ab" * 32)]
    assert _found(_THREE.events, _THREE.head, anchors) == (2, ChainProblem.ANCHOR_MISMATCH)


@pytest.mark.parametrize(
    "anchor",
    [AuditHead(scope="platform", sequence=1, hash="ab" * 32), AuditHead(scope=SCOPE, sequence=0, hash="ab" * 32)],
)
def test_an_anchor_that_proves_nothing_about_the_chain_is_refused(anchor: AuditHead) -> None:
    with pytest.raises(ValueError, match="not one of the chain of tenants/acme"):
        _verify(_THREE.events, _THREE.head, [anchor])


def test_a_scope_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="scope"):
        ChainVerifier("tenants/acme/users/ann")


def test_what_is_no_event_counts_as_altered_and_ends_the_verification() -> None:
    verifier = ChainVerifier(SCOPE)
    assert verifier.follow(_THREE.events[0])
    assert not verifier.follow_unreadable()
    assert not verifier.follow(_THREE.events[1])
    assert verifier.finish(_THREE.head, SEAL).chain_break == ChainBreak(sequence=2, problem=ChainProblem.ALTERED)


def test_events_are_read_one_by_one_and_not_beyond_a_break() -> None:
    read: list[int] = []

    def events() -> Iterator[ChainedEvent]:
        for each in (_THREE.events[0], replace(_THREE.events[1], event=event()), _THREE.events[2]):
            read.append(each.sequence)
            yield each

    assert _found(events(), _THREE.head) == (2, ChainProblem.ALTERED)
    assert read == [1, 2]
