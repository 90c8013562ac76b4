"""The transitions of a key's life keep its rules, whatever their order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.core.errors import FailedPrecondition, NotFound
from libs.core.resource_names import KeyName
from services.key_vault.domain.key import (
    MOST_VERSIONS,
    Condition,
    Key,
    KeyState,
    KeyStatus,
    KeyVersion,
    VaultSecretRef,
    VersionState,
)

START = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
NONE = timedelta(0)
REFUSALS = {"KEY_UNCHANGED", "KEY_VERSION_NOT_FOUND", "KEY_VERSION_IN_USE", "KEY_VERSION_DESTROYED"}
REPLACED = (VersionState.OVERLAPPING, VersionState.RETIRED)


def version(number: int, fingerprint: str | None = None, vault_secret: VaultSecretRef | None = None) -> KeyVersion:
    return KeyVersion(
        number=number,
        mask="…",
        fingerprint=fingerprint or f"f{number}",
        create_time=START,
        vault_secret=vault_secret,
    )


def new_key() -> Key:
    return Key(
        name=KeyName.parse("tenants/acme/keys/x"),
        uid="u",
        revision=1,
        provider_type="openai",
        origin="https://api.openai.com:443",
        display_name="",
        labels={},
        state=KeyState.ACTIVE,
        version=1,
        last_version=1,
        versions=(version(1),),
        create_time=START,
        update_time=START,
    )


def rotated(key: Key, overlap: timedelta, now: datetime = START) -> Key:
    return key.rotated(version(key.last_version + 1), overlap=overlap, now=now)


def states(key: Key, now: datetime) -> dict[int, VersionState]:
    return {each.number: key.state_of(each, now) for each in key.versions}


@dataclass
class Life:
    """A key and what time it is; steps that the key refuses leave it as it is."""

    key: Key = field(default_factory=new_key)
    now: datetime = START
    destroyed: set[int] = field(default_factory=set)

    def rotate(self, overlap: timedelta, same: bool) -> None:
        new = version(self.key.last_version + 1, self.key.current.fingerprint if same else None)
        before, self.key = self.key, self.key.rotated(new, overlap=overlap, now=self.now)
        # What was in use is what a call falls back to and what is rolled back to: it is kept, however old it is.
        assert before.version in {each.number for each in self.key.versions}
        if not overlap:
            replaced = [state for number, state in states(self.key, self.now).items() if number != self.key.version]
            assert VersionState.OVERLAPPING not in replaced

    def roll_back(self, number: int) -> None:
        before, self.key = self.key, self.key.rolled_back(number, now=self.now)
        assert states(self.key, self.now)[before.version] is VersionState.RETIRED

    def destroy(self, number: int) -> None:
        self.key = self.key.version_destroyed(number, now=self.now)
        self.destroyed.add(number)

    def wait(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    def check(self, before: Key) -> None:
        key, now = self.key, self.now
        numbers = [each.number for each in key.versions]
        assert numbers == sorted(set(numbers), reverse=True)
        assert list(states(key, now).values()).count(VersionState.CURRENT) == 1
        assert states(key, now)[key.version] is VersionState.CURRENT
        assert len(numbers) <= MOST_VERSIONS + 1
        assert key.last_version >= before.last_version
        # A number is never given again.
        assert all(
            number in [each.number for each in before.versions] for number in numbers if number <= before.last_version
        )
        assert {n for n, state in states(key, now).items() if state is VersionState.DESTROYED} == self.destroyed & set(
            numbers
        )
        if key.fallback is not None:
            assert states(key, now)[key.fallback.number] in REPLACED
            overlapping = [n for n, state in states(key, now).items() if state is VersionState.OVERLAPPING]
            assert not overlapping or key.fallback.number in overlapping
        # When a replaced version stopped being usable is how it is found when it has been kept long enough.
        assert [each.number for each in key.versions if each.usable_until is None] == [key.version]
        assert key.revision == before.revision + (key is not before)
        assert (key.etag == before.etag) is (key is before)


OVERLAPS = st.sampled_from([NONE, timedelta(seconds=1), timedelta(seconds=30), timedelta(days=30)])
NUMBERS = st.integers(1, 40)
STEPS = st.one_of(
    st.builds(
        lambda overlap, same: lambda life: life.rotate(overlap, same), OVERLAPS, st.sampled_from([False] * 9 + [True])
    ),
    st.builds(lambda overlap: lambda life: life.rotate(overlap, False), OVERLAPS),
    st.builds(lambda back: lambda life: life.roll_back(life.key.last_version - back), st.integers(0, 12)),
    st.builds(lambda back: lambda life: life.destroy(life.key.last_version - back), st.integers(0, 12)),
    st.builds(lambda seconds: lambda life: life.wait(seconds), st.sampled_from([1, 29, 3600, 31 * 86_400])),
)


@given(st.lists(STEPS, max_size=60))
def test_whatever_happens_to_a_key_its_rules_hold(steps: list[Callable[[Life], None]]) -> None:
    life = Life()
    refused_for = set()
    for step in steps:
        before = life.key
        try:
            step(life)
        except (FailedPrecondition, NotFound) as refusal:
            refused_for.add(refusal.reason)
        life.check(before)
    assert refused_for <= REFUSALS


def test_a_rotation_with_overlap_keeps_earlier_overlaps_and_one_without_ends_them_all() -> None:
    key = rotated(rotated(new_key(), 2 * HOUR), HOUR)
    assert states(key, START) == {
        3: VersionState.CURRENT,
        2: VersionState.OVERLAPPING,
        1: VersionState.OVERLAPPING,
    }
    assert states(key, START + HOUR) == {3: VersionState.CURRENT, 2: VersionState.RETIRED, 1: VersionState.OVERLAPPING}
    assert set(states(rotated(key, NONE), START).values()) == {VersionState.CURRENT, VersionState.RETIRED}


def test_the_end_of_an_overlap_is_its_first_moment_outside() -> None:
    key = rotated(new_key(), HOUR)
    assert states(key, START + HOUR - timedelta(microseconds=1))[1] is VersionState.OVERLAPPING
    assert states(key, START + HOUR)[1] is VersionState.RETIRED


def test_calls_fall_back_to_the_version_that_stays_usable_longest() -> None:
    key = rotated(rotated(new_key(), 2 * HOUR), HOUR)
    assert key.fallback is not None
    assert key.fallback.number == 1
    destroyed = key.version_destroyed(1, now=START)
    assert destroyed.fallback is not None
    assert destroyed.fallback.number == 2


def test_when_a_version_retired_is_not_changed_by_a_later_rotation() -> None:
    key = rotated(rotated(new_key(), HOUR), NONE, START + 2 * HOUR)
    assert [each.usable_until for each in key.versions] == [None, START + 2 * HOUR, START + HOUR]


def test_destroying_an_overlapping_version_ends_it() -> None:
    key = rotated(new_key(), HOUR).version_destroyed(1, now=START + HOUR / 2)
    assert key.versions[1].usable_until == key.versions[1].destroy_time == START + HOUR / 2
    assert key.fallback is None


def test_an_old_version_that_was_put_back_in_use_is_kept_when_it_is_replaced() -> None:
    key = new_key()
    for _ in range(MOST_VERSIONS):
        key = rotated(key, NONE)
    key = rotated(key.rolled_back(1, now=START), HOUR)
    assert [each.number for each in key.versions] == [12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 1]
    assert states(key, START)[1] is VersionState.OVERLAPPING


def test_the_oldest_versions_are_forgotten_and_their_numbers_not_given_again() -> None:
    key = new_key()
    for _ in range(MOST_VERSIONS + 5):
        key = rotated(key, NONE)
    assert [each.number for each in key.versions] == list(range(16, 5, -1))
    with pytest.raises(NotFound):
        key.rolled_back(5, now=START)


def test_the_same_material_from_the_same_place_is_no_rotation() -> None:
    with pytest.raises(FailedPrecondition, match="make a new key at the provider") as caught:
        new_key().rotated(version(2, "f1"), overlap=NONE, now=START)
    assert caught.value.reason == "KEY_UNCHANGED"


@pytest.mark.parametrize("new", [version(2, "f2"), version(2, "f1", vault_secret=VaultSecretRef("s"))])
def test_other_material_or_another_place_for_it_is_a_rotation(new: KeyVersion) -> None:
    assert new_key().rotated(new, overlap=NONE, now=START).version == 2


def test_going_back_to_earlier_material_is_a_rotation() -> None:
    key = rotated(new_key(), NONE).rotated(version(3, "f1"), overlap=NONE, now=START)
    assert key.version == 3


@pytest.mark.parametrize("move", [lambda key: rotated(key, HOUR), lambda key: key.rolled_back(1, now=START)])
def test_another_version_begins_without_what_was_said_of_the_one_before(move: Callable[[Key], Key]) -> None:
    status = KeyStatus(
        condition=Condition.REJECTED, condition_time=START, last_use_time=START, last_rejection_time=START
    )
    key = replace(rotated(new_key(), HOUR), status=status)
    assert move(key).status == KeyStatus(last_use_time=START)


def test_describing_or_disabling_a_key_leaves_its_status_and_versions_alone() -> None:
    key = replace(rotated(new_key(), HOUR), status=KeyStatus(condition=Condition.WORKING))
    moved = key.described(display_name="X", labels=None, now=START).in_state(KeyState.DISABLED, now=START)
    assert (moved.versions, moved.status, moved.rotate_time) == (key.versions, key.status, key.rotate_time)


def test_an_etag_tells_keys_of_the_same_name_and_revision_apart() -> None:
    assert new_key().etag != replace(new_key(), uid="other").etag


def test_what_retires_at_once_waits_for_nobodys_clock() -> None:
    behind = START - HOUR
    leaked = new_key().rotated(version(2), overlap=timedelta(0), now=START)
    rolled_back = new_key().rotated(version(2), overlap=HOUR, now=START).rolled_back(1, now=START)
    ended = new_key().rotated(version(2), overlap=HOUR, now=START).rotated(version(3), overlap=timedelta(0), now=START)
    for key in (leaked, rolled_back, ended):
        assert key.fallback is None
        others = [each for each in key.versions if each.number != key.version]
        assert [key.state_of(each, behind) for each in others] == [VersionState.RETIRED] * len(others)
