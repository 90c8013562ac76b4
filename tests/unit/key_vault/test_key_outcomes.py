"""What providers say about a key: merged reports, the condition they make, and what its owner is told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.core.audit_authors import Occasion
from libs.core.resource_names import KeyName
from services.key_vault.domain.commands import DeleteKey, RollbackKey, RotateKey
from services.key_vault.domain.delete_key import delete_key
from services.key_vault.domain.key import Condition, KeyStatus
from services.key_vault.domain.key_outcome import (
    CLOCK_DIFFERENCE,
    QUIET,
    KeyNotification,
    KeyOutcome,
    NotificationType,
    credible,
    merged,
    notification_type,
)
from services.key_vault.domain.ports import KeyTransaction
from services.key_vault.domain.record_outcomes import OutcomeRecorder
from services.key_vault.domain.rollback_key import rollback_key
from tests.unit.key_vault.world import ANN, CREATE, NAME, NEW, World

START = datetime(2026, 1, 1, tzinfo=UTC)
NOW = START + timedelta(days=1)
REJECTED, EXHAUSTED, RECOVERED = NotificationType.REJECTED, NotificationType.EXHAUSTED, NotificationType.RECOVERED


def at(seconds: float | None) -> datetime | None:
    return None if seconds is None else START + timedelta(seconds=seconds)


def outcome(
    used: float,
    *,
    accepted: float | None = None,
    rejected: float | None = None,
    exhausted: float | None = None,
    version: int = 1,
    name: KeyName = NAME,
) -> KeyOutcome:
    return KeyOutcome(
        name=name,
        version=version,
        last_use_time=START + timedelta(seconds=used),
        last_success_time=at(accepted),
        last_rejection_time=at(rejected),
        last_exhaustion_time=at(exhausted),
    )


def after(*outcomes: KeyOutcome, before: KeyStatus | None = None) -> KeyStatus:
    status = before or KeyStatus()
    for each in outcomes:
        status = merged(status, each, is_current=each.version == 1, now=NOW)
    return status


SECONDS = st.integers(0, 5)
OUTCOMES = st.builds(
    outcome,
    SECONDS,
    accepted=st.none() | SECONDS,
    rejected=st.none() | SECONDS,
    exhausted=st.none() | SECONDS,
    version=st.sampled_from([1, 1, 1, 2]),
)


@given(st.lists(OUTCOMES, max_size=6).flatmap(lambda reports: st.tuples(st.just(reports), st.permutations(reports))))
def test_the_order_of_reports_says_nothing(orders: tuple[list[KeyOutcome], list[KeyOutcome]]) -> None:
    one, other = (replace(after(*reports), condition_time=None) for reports in orders)
    assert one == other


@given(st.lists(OUTCOMES, max_size=5), st.integers(0, 4))
def test_a_report_that_comes_twice_counts_once(reports: list[KeyOutcome], again: int) -> None:
    assert after(*reports, *reports[again : again + 2]) == after(*reports)


@given(st.lists(OUTCOMES, max_size=6))
def test_times_only_move_forward(reports: list[KeyOutcome]) -> None:
    before = KeyStatus()
    for report in reports:
        status = after(report, before=before)
        for name in ("last_use_time", "last_success_time", "last_rejection_time", "last_exhaustion_time"):
            earlier, later = getattr(before, name), getattr(status, name)
            assert earlier is None or later >= earlier
        before = status


@pytest.mark.parametrize(
    ("reports", "condition"),
    [
        ([], Condition.UNKNOWN),
        ([outcome(1)], Condition.UNKNOWN),
        ([outcome(1, accepted=1)], Condition.WORKING),
        ([outcome(1, rejected=1)], Condition.REJECTED),
        ([outcome(1, exhausted=1)], Condition.EXHAUSTED),
        # Cleared only by a call that was sent after the refusal.
        ([outcome(2, accepted=1, rejected=2)], Condition.REJECTED),
        ([outcome(2, accepted=2, rejected=2)], Condition.REJECTED),
        ([outcome(3, accepted=3, rejected=2)], Condition.WORKING),
        ([outcome(2, accepted=2, exhausted=2)], Condition.EXHAUSTED),
        ([outcome(3, accepted=3, exhausted=2)], Condition.WORKING),
        # Of two complaints the last one counts, and of two at once the graver.
        ([outcome(2, rejected=1, exhausted=2)], Condition.EXHAUSTED),
        ([outcome(2, rejected=2, exhausted=1)], Condition.REJECTED),
        ([outcome(2, rejected=2, exhausted=2)], Condition.REJECTED),
        # Accepted after the one and before the other.
        ([outcome(3, rejected=1, accepted=2, exhausted=3)], Condition.EXHAUSTED),
        ([outcome(3, exhausted=1, accepted=2, rejected=3)], Condition.REJECTED),
        # Spread over reports, in an order that is not that of the calls.
        ([outcome(3, accepted=3), outcome(2, rejected=2)], Condition.WORKING),
        ([outcome(2, rejected=2), outcome(1, accepted=1)], Condition.REJECTED),
        ([outcome(5, rejected=5, version=2)], Condition.UNKNOWN),
    ],
)
def test_the_condition_is_what_the_last_calls_say(reports: Sequence[KeyOutcome], condition: Condition) -> None:
    assert after(*reports).condition is condition


def test_another_versions_report_tells_when_the_key_was_used_and_no_more() -> None:
    assert after(outcome(7, accepted=5, rejected=6, exhausted=7, version=2)) == KeyStatus(last_use_time=at(7))


def test_the_conditions_time_is_when_it_was_found_to_change() -> None:
    rejected = after(outcome(1, rejected=1))
    assert rejected.condition_time == NOW
    later = merged(rejected, outcome(9, rejected=9), is_current=True, now=NOW + QUIET)
    assert (later.condition_time, later.last_rejection_time) == (NOW, at(9))


@pytest.mark.parametrize("before", Condition)
@pytest.mark.parametrize("now", Condition)
def test_an_owner_is_told_of_trouble_that_begins_and_of_its_end(before: Condition, now: Condition) -> None:
    trouble = {Condition.REJECTED: REJECTED, Condition.EXHAUSTED: EXHAUSTED}
    expected = trouble.get(now) if before is not now else None
    if before in trouble and now is Condition.WORKING:
        expected = RECOVERED
    assert notification_type(before, now) is expected


class Recorded:
    """A world with a key, and what the owner of it was told."""

    def __init__(self) -> None:
        self.world = World()
        self.told: list[KeyNotification] = []
        self.record = OutcomeRecorder(
            store=self.world.store, clock=self.world.clock, new_uid=self.world.new_uid, notified=self.told.append
        )

    @property
    def types(self) -> list[NotificationType]:
        return [each.type for each in self.told]

    @property
    def stored(self) -> list[KeyNotification]:
        return [each for _, each in self.world.store.content.notifications.values()]

    async def flip(self, *, accepted: bool) -> None:
        """A call now, and its report."""
        self.world.clock.seconds += 1
        now = self.world.clock.seconds
        await self.record([outcome(now, accepted=now if accepted else None, rejected=None if accepted else now)])


@pytest.fixture
async def recorded() -> Recorded:
    recorded = Recorded()
    await recorded.world.create(CREATE)
    return recorded


async def test_a_refusal_is_stored_and_told_once(recorded: Recorded) -> None:
    await recorded.record([outcome(1, rejected=1)])
    await recorded.record([outcome(2, rejected=2)])
    status = recorded.world.key().status
    assert (status.condition, status.last_rejection_time) == (Condition.REJECTED, at(2))
    (notification,) = recorded.told
    assert notification == KeyNotification(
        uid=notification.uid, key=NAME, version=1, type=REJECTED, create_time=recorded.world.clock.now()
    )
    assert recorded.stored == recorded.told


async def test_reporting_changes_neither_etag_nor_audit_log(recorded: Recorded) -> None:
    before = recorded.world.key()
    await recorded.record([outcome(1, rejected=1)])
    after_report = recorded.world.key()
    assert (after_report.etag, after_report.update_time) == (before.etag, before.update_time)
    assert len(recorded.world.audited()) == 1


async def test_a_version_that_flaps_is_told_of_once_an_hour(recorded: Recorded) -> None:
    for accepted in (False, True, False, True, False, True):
        await recorded.flip(accepted=accepted)
    assert recorded.types == [REJECTED, RECOVERED]
    recorded.world.clock.seconds = QUIET.total_seconds() + 1
    await recorded.flip(accepted=False)
    assert recorded.types == [REJECTED, RECOVERED, REJECTED]


@pytest.mark.parametrize(("later", "told"), [(QUIET, []), (QUIET + timedelta(microseconds=1), [REJECTED])])
async def test_the_quiet_hour_is_an_hour(recorded: Recorded, later: timedelta, told: list[NotificationType]) -> None:
    await recorded.flip(accepted=False)
    first = recorded.world.clock.seconds
    await recorded.flip(accepted=True)
    recorded.told.clear()
    recorded.world.clock.seconds = first + later.total_seconds() - 1
    await recorded.flip(accepted=False)
    assert recorded.types == told


async def test_another_version_is_told_of_within_the_hour(recorded: Recorded) -> None:
    await recorded.record([outcome(1, rejected=1)])
    await recorded.world.rotate(RotateKey(name=NAME, author=ANN, material=NEW))
    await recorded.record([outcome(2, rejected=2, version=2)])
    assert [(each.type, each.version) for each in recorded.told] == [(REJECTED, 1), (REJECTED, 2)]


async def test_a_late_report_of_the_old_version_does_not_touch_the_new_one(recorded: Recorded) -> None:
    await recorded.world.rotate(RotateKey(name=NAME, author=ANN, material=NEW))
    await recorded.record([outcome(3, rejected=3, version=1)])
    assert recorded.world.key().status == KeyStatus(last_use_time=at(3))
    assert recorded.told == []


async def test_a_version_put_back_in_use_is_reported_on_again(recorded: Recorded) -> None:
    await recorded.world.rotate(RotateKey(name=NAME, author=ANN, material=NEW))
    await recorded.world.change(rollback_key, RollbackKey(name=NAME, author=ANN, version=1))
    await recorded.record([outcome(3, rejected=3, version=1)])
    assert recorded.types == [REJECTED]


async def test_what_a_batch_comes_to_is_told_and_not_its_steps(recorded: Recorded) -> None:
    await recorded.record([outcome(1, rejected=1), outcome(2, accepted=2)])
    assert recorded.types == []
    await recorded.record([outcome(4, accepted=4), outcome(5, exhausted=5), outcome(3, rejected=3)])
    assert recorded.types == [EXHAUSTED]
    assert recorded.world.key().status.condition is Condition.EXHAUSTED


@given(st.lists(OUTCOMES, min_size=1, max_size=5), st.data())
async def test_however_reports_are_grouped_they_come_to_the_same(
    reports: list[KeyOutcome], data: st.DataObject
) -> None:
    together, apart = Recorded(), Recorded()
    for each in (together, apart):
        await each.world.create(CREATE)
    await together.record(reports)
    cut = data.draw(st.integers(0, len(reports)))
    for batch in (reports[:cut], reports[cut:]):
        await apart.record(batch)
    one, other = (replace(each.world.key().status, condition_time=None) for each in (together, apart))
    assert one == other


async def test_keys_that_are_gone_are_passed_over(recorded: Recorded) -> None:
    gone = KeyName.parse("tenants/acme/keys/gone")
    await recorded.record([outcome(1, rejected=1, name=gone), outcome(1, accepted=1)])
    assert recorded.world.key().status.condition is Condition.WORKING
    await recorded.world.change(delete_key, DeleteKey(name=NAME, author=ANN))
    await recorded.record([outcome(2, rejected=2)])
    assert (recorded.told, recorded.world.store.content.keys) == ([], {})


async def test_nobody_is_told_what_could_not_be_stored(recorded: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: object) -> None:
        raise OSError("full")

    monkeypatch.setattr(recorded.world.store.transaction.statuses, "notify", full)
    with pytest.raises(OSError, match="full"):
        await recorded.record([outcome(1, rejected=1)])
    assert recorded.told == []
    assert recorded.world.key().status == KeyStatus()


async def test_a_report_that_is_run_again_is_told_once(recorded: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    store = recorded.world.store
    write = store.write

    async def twice(work: Callable[[KeyTransaction], object]) -> object:
        # As after a deadlock: the first run is undone.
        before = store.content.snapshot()
        work(store.transaction)
        store.content.restore(before)
        return await write(work)

    monkeypatch.setattr(store, "write", twice)
    await recorded.record([outcome(1, rejected=1)])
    assert recorded.stored == recorded.told
    assert recorded.types == [REJECTED]


def test_a_report_from_before_the_version_came_into_use_is_about_another_key() -> None:
    late = credible(outcome(9, accepted=3, rejected=4, exhausted=9), since=START + timedelta(seconds=5), now=NOW)
    assert late == outcome(9, exhausted=9)


def test_a_clock_that_is_wrong_by_years_hides_nothing_that_follows() -> None:
    ahead = 100 * 365 * 86_400.0
    bounded = credible(outcome(ahead, accepted=ahead), since=START, now=NOW)
    assert bounded.last_success_time == bounded.last_use_time == NOW + CLOCK_DIFFERENCE


async def test_a_late_refusal_of_a_key_that_is_gone_does_not_reject_the_one_that_took_its_name() -> None:
    world = World()
    await world.create(CREATE)
    refused = world.clock.now()
    await world.store.write(
        lambda transaction: delete_key(
            transaction, DeleteKey(name=NAME, author=ANN), Occasion(now=refused, uid=world.new_uid())
        )
    )
    world.clock.seconds += 10
    await world.create(CREATE)
    told: list[KeyNotification] = []
    record = OutcomeRecorder(store=world.store, clock=world.clock, new_uid=world.new_uid, notified=told.append)
    await record([KeyOutcome(name=NAME, version=1, last_use_time=refused, last_rejection_time=refused)])
    assert world.key().status.condition is Condition.UNKNOWN
    assert told == []
