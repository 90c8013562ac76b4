"""The token that the sessions of one Vault identity share."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from libs.core.errors import Unavailable
from services.key_vault.domain.errors import vault_denied, vault_unreachable
from services.key_vault.vault.answers import Login
from services.key_vault.vault.token import HeldToken, SharedToken
from tests.unit.key_vault.memory import HandClock

Renew = Callable[[HeldToken], Login | None]


class Vault:
    """Gives tokens `t1`, `t2`, … and takes note of what it was asked."""

    def __init__(self, *, lease_s: int = 3600, renewable: bool = True) -> None:
        self.lease_s = lease_s
        self.renewable = renewable
        self.logins = 0
        self.renewals: list[str] = []
        self.failure: Unavailable | None = None
        self.login_takes_s = 0.0

    def log_in(self) -> Login:
        time.sleep(self.login_takes_s)
        self.logins += 1
        if self.failure is not None:
            raise self.failure
        return Login(token=f"t{self.logins}", lease_s=self.lease_s, renewable=self.renewable)

    def renew(self, held: HeldToken) -> Login | None:
        self.renewals.append(held.value)
        if self.failure is not None:
            raise self.failure
        return Login(token=held.value, lease_s=self.lease_s, renewable=True)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def token(clock: HandClock) -> SharedToken:
    return SharedToken(clock)


def test_one_login_serves_all(token: SharedToken) -> None:
    vault = Vault()
    assert [token.current(vault.log_in).value for _ in range(3)] == ["t1"] * 3


def test_many_threads_that_find_no_token_log_in_once(token: SharedToken) -> None:
    vault = Vault()
    vault.login_takes_s = 0.05
    with ThreadPoolExecutor(8) as threads:
        values = list(threads.map(lambda _: token.current(vault.log_in).value, range(8)))
    assert values == ["t1"] * 8


def test_many_threads_whose_token_was_revoked_log_in_once(token: SharedToken) -> None:
    vault = Vault()
    refused = token.current(vault.log_in)
    vault.login_takes_s = 0.05
    with ThreadPoolExecutor(8) as threads:
        values = list(threads.map(lambda _: token.exchange(refused, vault.log_in).value, range(8)))
    assert values == ["t2"] * 8


def test_a_token_that_was_renewed_meanwhile_counts_as_the_refused_one(token: SharedToken, clock: HandClock) -> None:
    vault = Vault()
    refused = token.current(vault.log_in)
    clock.seconds += 2400
    token.keep_alive(vault.log_in, vault.renew)
    assert token.exchange(refused, vault.log_in).value == "t2"


def test_a_token_is_renewed_between_a_half_and_two_thirds_of_its_lease() -> None:
    moments = set()
    for _ in range(20):
        clock, vault = HandClock(), Vault()
        token = SharedToken(clock)
        while not vault.renewals:
            token.keep_alive(vault.log_in, vault.renew)
            clock.seconds += 10
        moments.add(clock.seconds)
    assert min(moments) >= 1800
    assert max(moments) <= 2420
    assert len(moments) > 5, "replicas that started together do not renew together"


def test_a_renewed_token_lives_on_and_is_renewed_again(token: SharedToken, clock: HandClock) -> None:
    vault = Vault()
    for _ in range(24 * 60):
        token.keep_alive(vault.log_in, vault.renew)
        clock.seconds += 60
    assert vault.logins == 1
    assert 36 <= len(vault.renewals) <= 49
    assert set(vault.renewals) == {"t1"}


def test_a_token_that_cannot_be_renewed_is_replaced_in_time(token: SharedToken, clock: HandClock) -> None:
    vault = Vault(renewable=False)
    token.keep_alive(vault.log_in, vault.renew)
    clock.seconds += 2401
    token.keep_alive(vault.log_in, vault.renew)
    assert vault.renewals == []
    assert token.current(vault.log_in).value == "t2"


@pytest.mark.parametrize("renewed", [None, Login(token="t1", lease_s=3599, renewable=True)])
def test_a_token_that_vault_does_not_renew_for_its_whole_lease_is_replaced(
    token: SharedToken, clock: HandClock, renewed: Login | None
) -> None:
    vault = Vault()
    token.keep_alive(vault.log_in, vault.renew)
    clock.seconds += 2401
    token.keep_alive(vault.log_in, lambda _: renewed)
    assert token.current(vault.log_in).value == "t2"


def test_a_failed_renewal_is_tried_again_and_fails_nothing_before_the_token_ends(
    token: SharedToken, clock: HandClock
) -> None:
    vault = Vault()
    token.keep_alive(vault.log_in, vault.renew)
    clock.seconds += 2401
    vault.failure = vault_unreachable()
    for _ in range(600):
        token.keep_alive(vault.log_in, vault.renew)
        clock.seconds += 1
    assert len(vault.renewals) == 10, "once a minute for a lease of an hour"
    assert token.current(vault.log_in).value == "t1"
    vault.failure = None
    clock.seconds += 60
    token.keep_alive(vault.log_in, vault.renew)
    clock.seconds += 3000
    assert token.current(vault.log_in).value == "t1"


def test_a_token_that_ended_is_not_used(token: SharedToken, clock: HandClock) -> None:
    vault = Vault()
    token.current(vault.log_in)
    clock.seconds += 3600
    assert token.current(vault.log_in).value == "t2"


def test_without_a_token_a_refused_login_is_told(token: SharedToken, clock: HandClock) -> None:
    vault = Vault()
    vault.failure = vault_denied()
    for attempt in (token.current, lambda log_in: token.keep_alive(log_in, vault.renew)):
        with pytest.raises(Unavailable) as caught:
            attempt(vault.log_in)
        assert caught.value.reason == "VAULT_DENIED"
        clock.seconds += 1
    vault.failure = None
    assert token.current(vault.log_in).value == "t3"


def test_a_login_that_just_failed_is_not_tried_by_everybody(token: SharedToken, clock: HandClock) -> None:
    vault = Vault()
    vault.failure = vault_denied()
    failures = []
    for _ in range(100):
        with pytest.raises(Unavailable) as caught:
            token.current(vault.log_in)
        failures.append(caught.value)
        clock.seconds += 0.01
    assert vault.logins == 2
    assert {failure.reason for failure in failures} == {"VAULT_DENIED"}
    assert failures[1] is not failures[2], "an exception of its own for each"
    assert token._failure is not None
    assert token._failure.__traceback__ is None, "what it keeps leads to no credentials"
    vault.failure = None
    clock.seconds += 0.5
    assert token.current(vault.log_in).value == "t3"


def test_a_token_without_a_lease_lives_for_ever(token: SharedToken, clock: HandClock) -> None:
    vault = Vault(lease_s=0)
    token.keep_alive(vault.log_in, vault.renew)
    clock.seconds += 10**9
    token.keep_alive(vault.log_in, vault.renew)
    assert (token.current(vault.log_in).value, vault.renewals) == ("t1", [])


def test_calls_go_on_while_the_token_is_renewed(token: SharedToken, clock: HandClock) -> None:
    vault = Vault()
    token.current(vault.log_in)
    clock.seconds += 2401
    renewing, go_on = threading.Event(), threading.Event()

    def renew(held: HeldToken) -> Login | None:
        renewing.set()
        go_on.wait(10)
        return vault.renew(held)

    with ThreadPoolExecutor(1) as threads:
        kept = threads.submit(token.keep_alive, vault.log_in, renew)
        renewing.wait(10)
        assert token.current(vault.log_in).value == "t1"
        assert not kept.done()
        go_on.set()
        kept.result(10)


def test_it_is_young_for_a_minute_after_its_login_renewed_or_not(token: SharedToken, clock: HandClock) -> None:
    vault = Vault(lease_s=20)
    token.current(vault.log_in)
    for _ in range(5):
        clock.seconds += 14
        token.keep_alive(vault.log_in, vault.renew)
    assert len(vault.renewals) == 5
    assert not token.is_young(token.current(vault.log_in))
    assert token.is_young(token.exchange(token.current(vault.log_in), vault.log_in))


def test_no_token_is_shown(token: SharedToken) -> None:
    assert "t1" not in repr(token.current(Vault().log_in))
