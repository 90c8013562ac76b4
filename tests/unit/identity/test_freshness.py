"""When a bearer counts as freshly authenticated with a second factor, and what it is told otherwise."""

from __future__ import annotations

from typing import Any

import pytest

from libs.identity.caller import Caller, Role
from libs.identity.freshness import SECOND_FACTORS, Freshness

NOW = 1_800_000_000


def bearer(auth_time: float | None, *amr: str, acr: str | None = None) -> Caller:
    return Caller(
        tenant="acme", user="ann", roles=frozenset({Role.MEMBER}), auth_time=auth_time, amr=frozenset(amr), acr=acr
    )


@pytest.mark.parametrize(
    ("auth_time", "met"),
    [
        (NOW, True),
        (NOW - 300, True),
        (NOW - 300.5, False),
        (NOW - 301, False),
        (0, False),
        # The issuer's clock may be ahead, as for the token's other times.
        (NOW + 30, True),
        (NOW + 31, False),
        (NOW + 10**9, False),
        (None, False),
    ],
)
def test_the_authentication_must_be_recent(clock: Any, auth_time: float | None, met: bool) -> None:
    demand = Freshness(max_age_s=300, clock=clock)
    assert demand.is_met_by(bearer(auth_time, "pwd", "otp")) is met


def test_it_grows_old_with_the_clock(clock: Any) -> None:
    demand = Freshness(max_age_s=300, clock=clock)
    caller = bearer(NOW, "mfa")
    assert demand.is_met_by(caller)
    clock.time += 300
    assert demand.is_met_by(caller)
    clock.time += 1
    assert not demand.is_met_by(caller)


@pytest.mark.parametrize("amr", sorted(SECOND_FACTORS))
def test_each_second_factor_is_enough(clock: Any, amr: str) -> None:
    assert Freshness(max_age_s=300, clock=clock).is_met_by(bearer(NOW, "pwd", amr))


@pytest.mark.parametrize(
    "amr",
    ["pwd", "pin", "kba", "geo", "rba", "wia", "user", "pop", "sms", "tel", "mca", "vbm", "OTP", "otp ", "hwk,otp", ""],
)
def test_a_password_alone_or_what_is_weaker_is_not(clock: Any, amr: str) -> None:
    assert not Freshness(max_age_s=300, clock=clock).is_met_by(bearer(NOW, "pwd", amr))
    assert not Freshness(max_age_s=300, clock=clock).is_met_by(bearer(NOW))


def test_a_level_the_deployment_names_is_enough(clock: Any) -> None:
    demand = Freshness(max_age_s=300, acr_values=frozenset({"urn:two", "3"}), clock=clock)
    assert demand.is_met_by(bearer(NOW, "pwd", acr="urn:two"))
    assert demand.is_met_by(bearer(NOW, "otp", acr="1"))
    assert not demand.is_met_by(bearer(NOW, "pwd", acr="1"))
    assert not demand.is_met_by(bearer(NOW - 301, "pwd", acr="urn:two"))
    assert not demand.is_met_by(bearer(NOW, "pwd"))


def test_the_deployment_chooses_the_methods(clock: Any) -> None:
    demand = Freshness(max_age_s=300, methods=frozenset({"sms"}), clock=clock)
    assert demand.is_met_by(bearer(NOW, "sms"))
    assert not demand.is_met_by(bearer(NOW, "hwk"))
    only_levels = Freshness(max_age_s=300, methods=frozenset(), acr_values=frozenset({"2"}), clock=clock)
    assert not only_levels.is_met_by(bearer(NOW, "mfa"))
    assert only_levels.is_met_by(bearer(NOW, acr="2"))


def test_the_challenge_says_what_is_needed() -> None:
    challenge = Freshness(
        max_age_s=300.9, methods=frozenset({"otp", "hwk"}), acr_values=frozenset({"b", "a"})
    ).challenge()
    assert challenge.reason == "FRESH_AUTHENTICATION_REQUIRED"
    assert "sign in again" in challenge.message
    assert "300 seconds" in challenge.message
    assert challenge.metadata == {"max_age_s": "300", "amr": "hwk otp", "acr_values": "a b"}
    assert Freshness(max_age_s=1, methods=frozenset({"otp"})).challenge().metadata == {"max_age_s": "1", "amr": "otp"}


@pytest.mark.parametrize("demand", [{"max_age_s": 0}, {"max_age_s": -1}, {"max_age_s": 300, "methods": frozenset()}])
def test_a_demand_nobody_can_meet_is_refused(demand: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="freshness"):
        Freshness(**demand)
