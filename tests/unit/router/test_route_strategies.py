"""The strategies of routes, in whole plans."""

from __future__ import annotations

from collections import Counter

import pytest

from services.router.domain.errors import Reason
from services.router.domain.generation import Tool
from services.router.domain.health import TargetHealth
from services.router.domain.route import Strategy, Tier
from tests.unit.router.fakes import ask, configuration, provider, route, to
from tests.unit.router.planning import NOW, fault, ids, key_of, plan

ONE_TO_FOUR = [provider("one"), provider("two"), provider("three"), provider("four")]


def test_weights_hold_and_zero_is_never_first() -> None:
    config = configuration(
        [provider("one", weight=20), provider("two"), provider("three"), provider("four", weight=500)],
        routes=[
            route(
                "default", "one", to("two", weight=70), to("three", weight=0), to("four", weight=10),
                strategy=Strategy.WEIGHTED,
            )
        ],
    )  # fmt: skip
    first = Counter(ids(plan(ask(), config, seed=seed))[0] for seed in range(3000))
    assert first["three"] == 0
    assert first["one"] == pytest.approx(600, abs=4 * 22)
    assert first["two"] == pytest.approx(2100, abs=4 * 25)
    assert first["four"] == pytest.approx(300, abs=4 * 17)
    assert all(ids(plan(ask(), config, seed=seed))[3] == "three" for seed in range(20))


def test_a_target_that_cannot_serve_leaves_the_drawn_order_of_the_others_as_it_was() -> None:
    health = TargetHealth(threshold=1)
    fault(health, key_of("two"))
    config = configuration(
        ONE_TO_FOUR, routes=[route("default", "one", "two", "three", "four", strategy=Strategy.WEIGHTED)]
    )
    for seed in range(50):
        whole = ids(plan(ask(), config, seed=seed))
        assert ids(plan(ask(), config, seed=seed, health=health)) == [each for each in whole if each != "two"]


def test_the_lowest_latency_is_that_of_the_call_s_kind_and_the_untried_are_tried() -> None:
    health = TargetHealth()
    for name, first_s, whole_s in (("one", 2.0, 3.0), ("two", 1.0, 9.0)):
        visit = health.enter(key_of(name), NOW)
        health.first_content(visit, first_s, NOW)
        health.succeeded(visit, NOW)
        health.succeeded(health.enter(key_of(name), NOW), NOW, whole_s=whole_s)
    config = configuration(
        ONE_TO_FOUR, routes=[route("default", "one", "two", "three", strategy=Strategy.LOWEST_LATENCY)]
    )
    assert ids(plan(ask(), config, health=health, streaming=True))[:3] == ["three", "two", "one"]
    assert ids(plan(ask(), config, health=health))[:3] == ["three", "one", "two"]
    health.enter(key_of("three"), NOW)
    assert ids(plan(ask(), config, health=health))[:3] == ["one", "two", "three"]


@pytest.mark.parametrize("reason", [Reason.PROVIDER_RATE_LIMITED, Reason.PROVIDER_OVERLOADED])
def test_what_failed_lately_does_not_count_as_untried(reason: Reason) -> None:
    health = TargetHealth()
    for name, whole_s in (("one", 3.0), ("two", 9.0)):
        health.succeeded(health.enter(key_of(name), NOW), NOW, whole_s=whole_s)
    config = configuration(
        ONE_TO_FOUR, routes=[route("default", "three", "one", "two", strategy=Strategy.LOWEST_LATENCY)]
    )
    fault(health, key_of("three"), reason, now=NOW - 1)
    assert ids(plan(ask(), config, health=health))[:3] == ["one", "two", "three"]
    health = TargetHealth()
    fault(health, key_of("three"), reason, now=NOW - 61)
    assert ids(plan(ask(), config, health=health))[0] == "three"


def test_of_two_drawn_targets_the_less_busy_one_leads() -> None:
    health = TargetHealth()
    for _ in range(3):
        health.enter(key_of("two"), NOW)
    config = configuration(ONE_TO_FOUR[:2], routes=[route("default", "one", "two", strategy=Strategy.LEAST_BUSY)])
    assert {tuple(ids(plan(ask(), config, health=health, seed=seed))) for seed in range(20)} == {("one", "two")}
    idle = {tuple(ids(plan(ask(), config, seed=seed))) for seed in range(20)}
    assert idle == {("one", "two"), ("two", "one")}


def test_tiers_go_by_the_score_then_upwards_then_downwards() -> None:
    tiers = (
        Tier(id="simple", most_score=9, targets=(to("one"),)),
        Tier(id="middle", most_score=30, targets=(to("two"),)),
        Tier(id="hard", most_score=100, targets=(to("three"),)),
    )
    config = configuration(
        ONE_TO_FOUR, routes=[route("write", strategy=Strategy.COMPLEXITY, tiers=tiers, fallbacks=(to("four"),))]
    )
    tools = (Tool(name="t", description="", parameters_json=""),)
    easy = plan(ask(task="write"), config)
    assert ids(easy) == ["one", "two", "three", "four"]
    assert [each.rule.value for each in easy.targets] == ["route", *["route_fallback"] * 3]
    some = plan(ask("x" * 4_000, task="write", tools=tools), config)
    assert some.complexity is not None
    assert (some.complexity.score, some.complexity.tier, ids(some)) == (16, "middle", ["two", "three", "one", "four"])
