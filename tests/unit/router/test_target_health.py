"""The breaker of a target: a machine of its states against a model of them, and what else a failure says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, precondition, rule

from services.router.domain.condition import WINDOW_S, BreakerState
from services.router.domain.errors import ProviderError, Reason
from services.router.domain.health import HealthKey, TargetHealth, Visit

ONE: HealthKey = ("p", "m", "k1")
OTHER_KEY: HealthKey = ("p", "m", "k2")
OTHER_MODEL: HealthKey = ("p", "n", "k1")
FAULT = ProviderError(Reason.PROVIDER_ERROR)
FAULTS = [
    Reason.PROVIDER_TIMEOUT,
    Reason.PROVIDER_OVERLOADED,
    Reason.PROVIDER_ERROR,
    Reason.PROVIDER_UNREACHABLE,
    Reason.PROVIDER_BAD_RESPONSE,
]
MENDABLE = [
    (Reason.PROVIDER_KEY_REJECTED, 60.0),
    (Reason.PROVIDER_PERMISSION_DENIED, 60.0),
    (Reason.PROVIDER_MODEL_NOT_FOUND, 60.0),
    (Reason.PROVIDER_BILLING, 300.0),
]


def fail(health: TargetHealth, now: float, error: ProviderError = FAULT, *, key: HealthKey = ONE) -> None:
    health.failed(health.enter(key, now), error, now)


def serve(health: TargetHealth, now: float, *, key: HealthKey = ONE) -> None:
    health.succeeded(health.enter(key, now), now)


def rests(health: TargetHealth, now: float, key: HealthKey = ONE) -> bool:
    return health.pause(key, now) is not None


def wait_s(health: TargetHealth, now: float, key: HealthKey = ONE) -> float:
    pause = health.pause(key, now)
    return pause.wait_s if pause is not None else 0.0


def test_a_target_opens_after_enough_faults_within_a_minute() -> None:
    health = TargetHealth(threshold=3, cooldown_s=5)
    for now in (10, 40):
        fail(health, now)
    assert not rests(health, 40)
    fail(health, 69)
    assert wait_s(health, 69) == 5
    assert not rests(health, 69, OTHER_KEY)
    assert not rests(health, 69, OTHER_MODEL)


def test_faults_older_than_the_window_no_longer_count() -> None:
    health = TargetHealth(threshold=2)
    fail(health, 10)
    fail(health, 10 + WINDOW_S)
    assert not rests(health, 10 + WINDOW_S)


def test_a_few_faults_among_many_good_calls_open_nothing() -> None:
    health = TargetHealth(threshold=2)
    for _ in range(5):
        serve(health, 10)
    for _ in range(4):
        fail(health, 10)
    assert not rests(health, 10)
    fail(health, 10)
    assert rests(health, 10)


def test_the_minimum_sample_holds_back_the_breaker() -> None:
    health = TargetHealth(threshold=1, minimum_calls=3)
    for _ in range(2):
        fail(health, 10)
        assert not rests(health, 10)
    fail(health, 10)
    assert rests(health, 10)


@pytest.mark.parametrize("reason", FAULTS)
def test_every_failure_of_the_provider_itself_is_a_fault(reason: Reason) -> None:
    health = TargetHealth(threshold=1)
    fail(health, 10, ProviderError(reason))
    assert rests(health, 10)


@pytest.mark.parametrize(
    "reason",
    [
        Reason.PROVIDER_INVALID_REQUEST,
        Reason.CONTENT_REFUSED,
        Reason.CONTEXT_TOO_LONG,
        Reason.MEDIA_NOT_FETCHED,
    ],
)
def test_what_is_wrong_with_the_request_says_nothing_about_health(reason: Reason) -> None:
    health = TargetHealth(threshold=1)
    fail(health, 10, ProviderError(reason, retry_after_s=60))
    health.left(health.enter(ONE, 10))
    assert not rests(health, 10)
    assert health.report(ONE, 10) is None


def test_a_provider_s_hint_is_how_long_it_cools_and_is_never_shortened() -> None:
    health = TargetHealth(threshold=1, cooldown_s=1)
    fail(health, 10, ProviderError(Reason.PROVIDER_OVERLOADED, retry_after_s=60))
    late = health.enter(ONE, 10)
    health.failed(late, FAULT, 11)
    assert wait_s(health, 11) == 59


def test_a_rate_limit_rests_for_its_hint_only_and_needs_no_trial_afterwards() -> None:
    health = TargetHealth()
    fail(health, 10, ProviderError(Reason.PROVIDER_RATE_LIMITED))
    assert not rests(health, 10)
    fail(health, 10, ProviderError(Reason.PROVIDER_RATE_LIMITED, retry_after_s=30))
    fail(health, 11, ProviderError(Reason.PROVIDER_RATE_LIMITED, retry_after_s=1))
    assert wait_s(health, 11) == 29
    health.enter(ONE, 40)
    assert not rests(health, 40)


def test_an_absurd_hint_is_bounded() -> None:
    health = TargetHealth(longest_hint_s=300)
    fail(health, 10, ProviderError(Reason.PROVIDER_RATE_LIMITED, retry_after_s=1e9))
    assert wait_s(health, 10) == 300


def test_one_call_at_a_time_tries_a_target_that_has_cooled_down() -> None:
    health = TargetHealth(threshold=1, cooldown_s=5)
    fail(health, 10)
    assert not rests(health, 15)
    trial = health.enter(ONE, 15)
    assert rests(health, 15)
    health.left(trial)
    assert not rests(health, 16)
    health.succeeded(health.enter(ONE, 16), 17)
    health.enter(ONE, 17)
    assert not rests(health, 17)


def test_a_trial_that_takes_long_lets_another_one_in() -> None:
    health = TargetHealth(threshold=1, cooldown_s=5)
    fail(health, 10)
    slow = health.enter(ONE, 15)
    assert rests(health, 24.9)
    assert not rests(health, 25)
    second = health.enter(ONE, 25)
    assert rests(health, 25)
    health.left(slow)
    assert rests(health, 26), "the slow one no longer stands for the trial"
    health.succeeded(second, 27)
    assert not rests(health, 27)


def test_one_more_fault_opens_it_again_at_once() -> None:
    health = TargetHealth(threshold=3, cooldown_s=5)
    for _ in range(3):
        fail(health, 10)
    fail(health, 75)
    assert wait_s(health, 75) == 5


def test_once_closed_the_faults_from_before_no_longer_count() -> None:
    health = TargetHealth(threshold=3, cooldown_s=5)
    for _ in range(3):
        fail(health, 10)
    serve(health, 16)
    fail(health, 17)
    fail(health, 17)
    assert not rests(health, 17)
    fail(health, 17)
    assert rests(health, 17)


def test_the_first_content_of_a_trial_closes_the_breaker_before_the_stream_ends() -> None:
    health = TargetHealth(threshold=1, cooldown_s=5)
    fail(health, 10)
    trial = health.enter(ONE, 16)
    health.first_content(trial, 0.5, 16.5)
    assert not rests(health, 16.5)


def test_a_trial_that_speaks_after_late_faults_opened_it_again_is_still_the_only_one_until_it_ends() -> None:
    health = TargetHealth(threshold=1, cooldown_s=5)
    late = health.enter(ONE, 9)
    fail(health, 10)
    trial = health.enter(ONE, 16)
    health.failed(late, FAULT, 17)
    health.first_content(trial, 2.0, 18)
    assert rests(health, 23)
    health.left(trial)
    assert not rests(health, 23)


def test_a_trial_that_ends_late_does_not_end_the_one_that_followed_it() -> None:
    health = TargetHealth(threshold=1, cooldown_s=5)
    fail(health, 10)
    first = health.enter(ONE, 16)
    health.first_content(first, 0.5, 16.5)
    fail(health, 17)
    health.enter(ONE, 23)
    health.left(first)
    assert rests(health, 23)


def test_an_old_success_does_not_end_the_rest_of_a_key_that_was_refused_since() -> None:
    health = TargetHealth()
    refusal = ProviderError(Reason.PROVIDER_KEY_REJECTED)
    fail(health, 10, refusal)
    old = health.enter(ONE, 11)
    serve(health, 12)
    fail(health, 13, refusal)
    health.succeeded(old, 14)
    assert wait_s(health, 14) == 59


def test_a_call_that_began_before_the_faults_closes_nothing() -> None:
    health = TargetHealth(threshold=1, cooldown_s=5)
    early = health.enter(ONE, 9)
    fail(health, 10)
    health.succeeded(early, 11)
    assert wait_s(health, 11) == 4


@pytest.mark.parametrize(("reason", "seconds"), MENDABLE)
def test_what_its_owner_may_mend_rests_for_a_while_and_is_told_apart(reason: Reason, seconds: float) -> None:
    health = TargetHealth(threshold=1)
    fail(health, 10, ProviderError(reason))
    pause = health.pause(ONE, 10)
    assert pause is not None
    assert (pause.wait_s, pause.why, pause.mendable) == (seconds, reason, True)
    assert not rests(health, 10 + seconds)


def test_a_refused_key_rests_for_all_models_of_its_provider_and_for_no_other_key() -> None:
    health = TargetHealth()
    fail(health, 10, ProviderError(Reason.PROVIDER_KEY_REJECTED))
    assert rests(health, 10, OTHER_MODEL)
    assert not rests(health, 10, OTHER_KEY)
    assert not rests(health, 10, ("another provider", "m", "k1"))


def test_a_mended_key_works_for_all_models_from_the_first_success_on() -> None:
    health = TargetHealth()
    fail(health, 10, ProviderError(Reason.PROVIDER_KEY_REJECTED))
    # The only target of a call is tried although it rests.
    serve(health, 12)
    assert not rests(health, 12)
    assert not rests(health, 12, OTHER_MODEL)


def test_the_average_is_of_the_calls_of_its_kind_and_grows_stale() -> None:
    health = TargetHealth()
    for seconds in (1.0, 2.0):
        visit = health.enter(ONE, 10)
        health.first_content(visit, seconds, 10)
        health.succeeded(visit, 11)
    assert health.latency_s(ONE, 11, streaming=True) == pytest.approx(1.2)
    assert health.latency_s(ONE, 11, streaming=False) is None
    health.succeeded(health.enter(ONE, 20), 24, whole_s=4.0)
    assert health.latency_s(ONE, 24, streaming=False) == 4.0
    assert health.latency_s(ONE, 2_000, streaming=True) is None
    visit = health.enter(ONE, 2_000)
    health.first_content(visit, 9.0, 2_000)
    assert health.latency_s(ONE, 2_000, streaming=True) == 9.0


def test_calls_under_way_are_counted_until_they_end_however_they_do() -> None:
    health = TargetHealth()
    visits = [health.enter(ONE, 10) for _ in range(3)]
    assert health.under_way(ONE) == 3
    health.succeeded(visits[0], 11)
    health.failed(visits[1], FAULT, 11)
    health.left(visits[2])
    assert health.under_way(ONE) == 0


def test_a_report_says_what_was_seen() -> None:
    health = TargetHealth(threshold=2, cooldown_s=5)
    assert health.report(ONE, 10) is None
    visit = health.enter(ONE, 10)
    health.first_content(visit, 0.5, 10)
    health.succeeded(visit, 10)
    fail(health, 11)
    fail(health, 11)
    health.enter(ONE, 11)
    report = health.report(ONE, 12)
    assert report is not None
    assert (report.state, report.recent_calls, report.recent_faults) == (BreakerState.OPEN, 3, 2)
    assert (report.average_first_content_s, report.under_way, report.cooling_s) == (0.5, 1, 4.0)
    later = health.report(ONE, 17)
    assert later is not None
    assert (later.state, later.cooling_s) == (BreakerState.HALF_OPEN, 0.0)


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.router.domain.health._MAX_TRACKED", 10)
    health = TargetHealth(threshold=1)
    for number in range(100):
        fail(health, 10, key=("p", f"m{number}", "k"))
        fail(health, 10, ProviderError(Reason.PROVIDER_KEY_REJECTED), key=("p", "m", f"k{number}"))
    assert (len(health._conditions), len(health._keys)) == (10, 10)


class Breaker(RuleBasedStateMachine):
    """Calls in any order and at any time, against a breaker written down plainly."""

    visits = Bundle("visits")

    def __init__(self) -> None:
        super().__init__()
        self.health = TargetHealth(threshold=3, cooldown_s=10)
        self.now = 1_000.0
        self.deadline = 0.0
        self.open = False
        self.opened_at = 0.0
        self.trial: Visit | None = None
        self.under_way = 0
        # (when it ended, whether it was a fault)
        self.ended: list[tuple[float, bool]] = []

    @rule(seconds=st.sampled_from([0.5, 3.0, 10.0, 70.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(target=visits)
    @precondition(lambda self: not rests(self.health, self.now))
    def enter(self) -> Visit:
        visit = self.health.enter(ONE, self.now)
        self.under_way += 1
        if self.open:
            assert self.now >= self.deadline
            assert self.trial is None or self.now >= self.trial.began + 10, "two calls try it at the same time"
            self.trial = visit
        return visit

    @rule(visit=visits)
    def first_content(self, visit: Visit) -> None:
        self.health.first_content(visit, 0.5, self.now)
        self._works(visit)

    @rule(visit=consumes(visits))
    def serve(self, visit: Visit) -> None:
        self.health.succeeded(visit, self.now)
        self._leave(visit)
        self._works(visit)
        self.ended.append((self.now, False))

    @rule(visit=consumes(visits), hint=st.sampled_from([None, 2.0, 40.0]))
    def fault(self, visit: Visit, hint: float | None) -> None:
        tried = visit is self.trial
        self.health.failed(visit, ProviderError(Reason.PROVIDER_ERROR, retry_after_s=hint), self.now)
        self._leave(visit)
        self.ended.append((self.now, True))
        bucket = self.now // 5
        recent = [fault for when, fault in self.ended if when // 5 > bucket - 12]
        if tried or (self.open and self.deadline > self.now) or (sum(recent) >= 3 and 2 * sum(recent) >= len(recent)):
            self.open, self.opened_at = True, self.now
            self.deadline = max(self.deadline, self.now + (10 if hint is None else hint))

    @rule(visit=consumes(visits))
    def leave(self, visit: Visit) -> None:
        self.health.left(visit)
        self._leave(visit)

    def _leave(self, visit: Visit) -> None:
        self.under_way -= 1
        if visit is self.trial:
            self.trial = None

    def _works(self, visit: Visit) -> None:
        if self.open and visit.began >= self.opened_at:
            self.open, self.trial, self.deadline = False, None, 0.0
            self.ended.clear()

    @invariant()
    def agrees(self) -> None:
        tried = self.trial is not None and self.now < self.trial.began + 10
        resting = self.open and (self.deadline > self.now or tried)
        assert rests(self.health, self.now) == resting
        assert self.health.under_way(ONE) == self.under_way
        if self.open and self.deadline > self.now:
            assert wait_s(self.health, self.now) == pytest.approx(self.deadline - self.now)


TestBreaker = Breaker.TestCase


@given(st.lists(st.tuples(st.floats(0, 30), st.floats(0.1, 500)), min_size=1, max_size=20))
def test_no_deadline_is_ever_shortened(failures: list[tuple[float, float]]) -> None:
    health = TargetHealth(threshold=1, cooldown_s=5)
    now = until = 1_000.0
    for pause, hint in failures:
        visit = health.enter(ONE, now)
        now += pause
        health.failed(visit, ProviderError(Reason.PROVIDER_OVERLOADED, retry_after_s=hint), now)
        before, until = until, now + wait_s(health, now)
        assert until >= before - 1e-6 or now >= before
