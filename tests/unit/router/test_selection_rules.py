"""The rules of selection, one after the other, as `plan.py` lists them."""

from __future__ import annotations

from collections import Counter

import pytest

from libs.core.errors import InvalidArgument
from libs.core.resource_names import Owner
from services.router.domain.configuration import Capabilities, ProviderLimits
from services.router.domain.errors import Reason
from services.router.domain.health import TargetHealth
from services.router.domain.limits import ProviderLimiter
from services.router.domain.preference import Preferences, Profile
from services.router.domain.route import Arm, Experiment
from services.router.domain.routing.causes import Cause, Rule
from services.router.domain.routing.experiments import arm_of
from tests.unit.router.fakes import ask, choice, configuration, model, provider, route, to
from tests.unit.router.planning import ANN, NOW, by_rule, causes, fault, ids, key_of, plan

ONE_TO_FOUR = [provider("one"), provider("two"), provider("three"), provider("four")]
WORK = "tenants/acme/users/ann/profiles/work"


def experiment(*arms: Arm, name: str = "cheaper") -> Experiment:
    return Experiment(name=f"tenants/acme/routes/write/experiments/{name}", arms=arms)


def test_a_target_stands_where_the_first_rule_put_it() -> None:
    config = configuration(
        [
            *(provider(each) for each in ("alone", "arm", "fallback", "named", "preferred", "routed", "by_default")),
            provider("for_task", default_for_tasks=("write",)),
            provider("standard", is_default=True),
        ],
        [provider("common", owner=Owner())],
        routes=[
            route(
                "write",
                *("routed", "arm", "preferred"),
                fallbacks=(to("fallback"), to("named")),
                experiment=experiment(Arm(id="a", share_percent=100, target=to("arm"))),
            ),
            route("default", "by_default", "routed"),
        ],
        preferences=Preferences(user="ann", preferred=choice("preferred")),
        platform_last=True,
    )
    made = plan(ask(task="write", provider="named", fallback=True), config)
    assert by_rule(made) == [
        ("named", "request"),
        ("arm", "experiment"),
        ("preferred", "preference"),
        ("routed", "route"),
        ("fallback", "route_fallback"),
        ("by_default", "default_route"),
        ("for_task", "default"),
        ("standard", "default"),
        ("alone", "priority"),
        ("common", "platform"),
    ]
    assert made.rejected == ()
    assert (made.route, made.arm) == ("tenants/acme/routes/write", "a")
    assert made.experiment == "tenants/acme/routes/write/experiments/cheaper"
    assert all(each.reason for each in made.targets)


def test_one_provider_may_serve_with_two_models() -> None:
    config = configuration(
        [provider("one", models=[model("big"), model("small")], default_model="small")],
        routes=[route("default", to("one", model="big"))],
    )
    made = plan(ask(), config)
    assert [(each.model.id, each.rule) for each in made.targets] == [
        ("big", Rule.DEFAULT_ROUTE),
        ("small", Rule.PRIORITY),
    ]


def test_the_rules_end_with_what_is_named_when_no_fallback_is_allowed() -> None:
    config = configuration(ONE_TO_FOUR, routes=[route("default", "two")])
    made = plan(ask(provider="one", fallback=False), config)
    assert (by_rule(made), made.rejected) == ([("one", "request")], ())


def test_an_id_means_the_user_s_then_the_tenant_s_then_the_platform_s_provider() -> None:
    mine, ours, common = provider("x", owner=ANN), provider("x"), provider("x", owner=Owner())
    for held in ([mine, ours], [ours]):
        made = plan(ask(provider="x", fallback=False), configuration(held, [common]))
        assert made.targets[0].provider == held[0]
    assert plan(ask(provider="x", fallback=False), configuration([], [common])).targets[0].provider == common


# Experiments ---------------------------------------------------------------------------------------------------------


def test_a_user_keeps_its_arm_and_shares_hold() -> None:
    half = experiment(Arm(id="a", share_percent=50, target=to("one")), Arm(id="b", share_percent=30, target=to("two")))
    config = configuration(ONE_TO_FOUR, routes=[route("write", "three", experiment=half)])

    def arm(number: int) -> str:
        made = plan(ask(task="write"), config, caller=Owner("acme", f"user-{number}"), seed=number)
        assert made.arm == plan(ask(task="write"), config, caller=Owner("acme", f"user-{number}"), seed=0).arm
        first = {"a": "one", "b": "two", "": "three"}[made.arm]
        assert (ids(made)[0], bool(made.experiment)) == (first, bool(made.arm))
        return made.arm

    counted = Counter(arm(number) for number in range(2000))
    assert counted["a"] == pytest.approx(1000, abs=4 * 23)
    assert counted["b"] == pytest.approx(600, abs=4 * 21)
    assert counted[""] == pytest.approx(400, abs=4 * 18)


def test_a_user_keeps_its_arm_when_the_arms_are_listed_in_another_order() -> None:
    arms = [Arm(id=name, share_percent=30, target=to("one")) for name in ("a", "b", "c")]
    for user in map(str, range(100)):
        assert arm_of(experiment(*arms), user) == arm_of(experiment(*reversed(arms)), user)


def test_a_new_experiment_distributes_users_anew() -> None:
    arms = (Arm(id="a", share_percent=50, target=to("one")), Arm(id="b", share_percent=50, target=to("two")))
    held = [
        configuration(ONE_TO_FOUR, routes=[route("write", "three", experiment=experiment(*arms, name=name))])
        for name in ("first", "second")
    ]
    callers = [Owner("acme", f"user-{number}") for number in range(400)]
    first, second = ([plan(ask(task="write"), config, caller=each).arm for each in callers] for config in held)
    moved = sum(a != b for a, b in zip(first, second, strict=True))
    assert moved == pytest.approx(200, abs=4 * 10)


def test_an_experiment_on_the_default_route_is_for_tasks_without_a_route() -> None:
    everyone = experiment(Arm(id="a", share_percent=100, target=to("two")))
    config = configuration(ONE_TO_FOUR, routes=[route("default", "one", experiment=everyone), route("write", "three")])
    assert plan(ask(task="other"), config).arm == "a"
    assert plan(ask(), config).arm == "a"
    assert plan(ask(task="write"), config).arm == ""


def test_an_arm_that_cannot_serve_leaves_the_user_in_it_and_says_so() -> None:
    everyone = experiment(Arm(id="a", share_percent=100, target=to("off")))
    config = configuration(
        [*ONE_TO_FOUR, provider("off", active=False)], routes=[route("write", "one", experiment=everyone)]
    )
    made = plan(ask(task="write"), config)
    assert (made.arm, by_rule(made)[0]) == ("a", ("one", "route"))
    assert [(each.rule, each.cause) for each in made.passed_over] == [(Rule.EXPERIMENT, Cause.PROVIDER_INACTIVE)]


def test_an_arm_for_other_plans_takes_no_preference_away() -> None:
    everyone = experiment(Arm(id="a", share_percent=100, target=to("one", plans=frozenset({"pro"}))))
    config = configuration(
        ONE_TO_FOUR,
        routes=[route("write", "two", experiment=everyone)],
        preferences=Preferences(user="ann", preferred=choice("one")),
    )
    made = plan(ask(task="write"), config, token_plan="free")
    assert (by_rule(made)[:2], made.rejected) == ([("one", "preference"), ("two", "route")], ())
    assert by_rule(plan(ask(task="write"), config, token_plan="pro"))[0] == ("one", "experiment")


# Preferences and profiles --------------------------------------------------------------------------------------------


def test_the_profile_s_choices_come_before_the_plain_ones_and_the_task_s_before_the_preferred() -> None:
    config = configuration(
        ONE_TO_FOUR,
        preferences=Preferences(
            user="ann", preferred=choice("four"), tasks={"write": choice("three")}, active_profile=WORK
        ),
        profile=Profile(name=WORK, preferred=choice("two"), tasks={"write": choice("one")}),
    )
    made = plan(ask(task="write"), config)
    assert by_rule(made) == [(each, "preference") for each in ("one", "two", "three", "four")]
    assert made.profile == WORK
    assert made.targets[0].reason == "preferred for write in profile work"
    assert ids(plan(ask(task="other"), config))[:2] == ["two", "four"]


def test_another_user_s_preferences_and_profiles_do_not_matter() -> None:
    config = configuration(
        ONE_TO_FOUR,
        preferences=Preferences(user="ann", preferred=choice("two"), active_profile=WORK),
        profile=Profile(name=WORK, providers=frozenset({"tenants/acme/providers/two"})),
    )
    made = plan(ask(), config, caller=Owner("acme", "bob"))
    assert (made.targets[0].rule, made.profile, made.rejected) == (Rule.PRIORITY, "", ())


def test_a_profile_that_is_not_active_changes_nothing() -> None:
    config = configuration(
        ONE_TO_FOUR,
        preferences=Preferences(user="ann"),
        profile=Profile(name=WORK, providers=frozenset({"tenants/acme/providers/two"}), preferred=choice("two")),
    )
    assert len(ids(plan(ask(), config))) == 4


def test_only_the_active_profile_s_providers_serve() -> None:
    config = configuration(
        ONE_TO_FOUR,
        preferences=Preferences(user="ann", preferred=choice("one"), active_profile=WORK),
        profile=Profile(name=WORK, providers=frozenset({"tenants/acme/providers/two"})),
    )
    made = plan(ask(), config)
    assert ids(made) == ["two"]
    assert set(causes(made).values()) == {Cause.NOT_IN_PROFILE}
    assert made.passed_over == ()
    named = plan(ask(provider="one", fallback=False), config)
    assert (ids(named), causes(named)) == ([], {"one": Cause.NOT_IN_PROFILE})


def test_a_preference_with_a_model_takes_that_model() -> None:
    config = configuration(
        [provider("one", models=[model("big"), model("small")])],
        preferences=Preferences(user="ann", preferred=choice("one", "small")),
    )
    assert plan(ask(), config).targets[0].model.id == "small"


@pytest.mark.parametrize("wanted", ["gone", "tenants/acme/users/bob/providers/his"])
def test_a_preference_for_what_is_not_there_is_passed_over(wanted: str) -> None:
    config = configuration(
        [provider("one"), provider("his", owner=Owner("acme", "bob"))],
        preferences=Preferences(user="ann", preferred=choice(wanted)),
    )
    made = plan(ask(), config)
    assert ids(made) == ["one"]
    assert [(each.rule, each.cause) for each in made.passed_over] == [(Rule.PREFERENCE, Cause.UNKNOWN_PROVIDER)]


# Routes --------------------------------------------------------------------------------------------------------------


def test_routes_follow_each_other_and_then_the_default_route() -> None:
    config = configuration(
        [provider(each) for each in "abcdefg"],
        routes=[
            route("write", "g", fallbacks=(to("f"),), fallback_task="draft"),
            route("draft", "e", fallbacks=(to("d"),), fallback_task="last"),
            route("last", "c"),
            route("default", "b"),
        ],
    )
    made = plan(ask(task="write"), config)
    assert by_rule(made) == [
        ("g", "route"),
        ("f", "route_fallback"),
        ("e", "route_fallback"),
        ("d", "route_fallback"),
        ("c", "route_fallback"),
        ("b", "default_route"),
        ("a", "priority"),
    ]


def test_a_ring_of_routes_ends() -> None:
    config = configuration(
        ONE_TO_FOUR, routes=[route("a", "one", fallback_task="b"), route("b", "two", fallback_task="a")]
    )
    assert ids(plan(ask(task="a"), config))[:2] == ["one", "two"]


def test_a_route_that_is_not_active_is_not_gone_by() -> None:
    config = configuration(
        ONE_TO_FOUR,
        routes=[
            route("write", "four", active=False),
            route("default", "three", fallback_task="more"),
            route("more", "two", active=False),
        ],
    )
    made = plan(ask(task="write"), config)
    assert (made.route, ids(made)) == ("tenants/acme/routes/default", ["three", "four", "one", "two"])


def test_a_target_for_other_plans_is_left_out_of_the_whole_plan() -> None:
    config = configuration(
        ONE_TO_FOUR, routes=[route("default", to("one", plans=frozenset({"pro", "enterprise"})), "two")]
    )
    assert ids(plan(ask(), config, token_plan="pro"))[:2] == ["one", "two"]
    for token_plan in ("free", ""):
        made = plan(ask(), config, token_plan=token_plan)
        assert ids(made) == ["two", "four", "three"]
        assert causes(made) == {"one": Cause.PLAN_EXCLUDED}
        assert made.passed_over == ()


def test_what_one_list_keeps_for_other_plans_another_list_may_offer() -> None:
    config = configuration(
        ONE_TO_FOUR,
        routes=[route("default", to("one", plans=frozenset({"pro"})), "two", fallbacks=(to("one"),))],
    )
    made = plan(ask(), config, token_plan="free")
    assert ids(made)[:2] == ["two", "one"]
    assert made.rejected == ()


def test_a_target_must_do_all_that_its_route_requires() -> None:
    documents = Capabilities(documents=True)
    only_documents = Capabilities(streaming=False, tools=False, json_schema=False, images=False, documents=True).mask
    config = configuration(
        [provider("plain"), provider("able", models=[model(capabilities=documents)])],
        routes=[route("default", to("plain", requires=only_documents), to("able", requires=only_documents))],
    )
    made = plan(ask(), config)
    assert (ids(made), causes(made)) == (["able"], {"plain": Cause.CAPABILITY_MISSING})
    assert "documents" in made.rejected[0].description


def test_a_route_may_name_what_is_gone() -> None:
    config = configuration(ONE_TO_FOUR, routes=[route("default", "gone", to("one", model="gone"), "two")])
    made = plan(ask(), config)
    assert ids(made)[0] == "two"
    assert [each.cause for each in made.rejected] == [Cause.UNKNOWN_PROVIDER, Cause.UNKNOWN_MODEL]


def test_a_route_is_passed_over_when_none_of_its_targets_serves() -> None:
    health = TargetHealth(threshold=1)
    fault(health, key_of("one"))
    fault(health, key_of("two"))
    whole = configuration(ONE_TO_FOUR, routes=[route("default", "one", "two")])
    made = plan(ask(), whole, health=health)
    assert [(each.provider_name, each.cause) for each in made.passed_over] == [
        ("tenants/acme/providers/one", Cause.COOLING_DOWN)
    ]
    partly = configuration(ONE_TO_FOUR, routes=[route("default", "one", "three")])
    assert plan(ask(), partly, health=health).passed_over == ()


# Own providers and the platform's ------------------------------------------------------------------------------------


def test_the_default_for_the_task_comes_before_the_default_and_the_user_s_before_the_tenant_s() -> None:
    config = configuration(
        [
            provider("a", default_for_tasks=("write",)),
            provider("b", is_default=True),
            provider("c", owner=ANN, default_for_tasks=("write", "draft")),
            provider("d", owner=ANN, is_default=True),
            provider("e", owner=ANN, priority=900),
            provider("f", priority=1),
        ]
    )
    assert ids(plan(ask(task="write"), config)) == ["c", "a", "d", "b", "e", "f"]
    assert ids(plan(ask(task="other"), config)) == ["d", "b", "c", "e", "f", "a"]


def test_providers_of_one_priority_with_weights_take_turns_before_those_without() -> None:
    config = configuration(
        [
            provider("first", priority=1),
            provider("heavy", priority=5, weight=3),
            provider("light", priority=5, weight=1),
            provider("a", priority=5),
        ]
    )
    orders = Counter(tuple(ids(plan(ask(), config, seed=seed))) for seed in range(2000))
    assert set(orders) == {("first", "heavy", "light", "a"), ("first", "light", "heavy", "a")}
    assert orders["first", "heavy", "light", "a"] == pytest.approx(1500, abs=4 * 20)


def test_a_tenant_that_brought_its_own_gets_the_platform_s_only_by_its_policy() -> None:
    common = provider("common", owner=Owner())
    for own in ([provider("own")], [provider("own", active=False)], [provider("own", owner=ANN)]):
        never = plan(ask(), configuration(own, [common]))
        assert "common" not in ids(never)
        assert causes(never)["common"] is Cause.PLATFORM_NOT_ALLOWED
        last = plan(ask(), configuration(own, [common], platform_last=True))
        assert by_rule(last)[-1] == ("common", "platform")


def test_another_user_s_provider_is_not_one_s_own() -> None:
    config = configuration([provider("his", owner=Owner("acme", "bob"))], [provider("common", owner=Owner())])
    assert by_rule(plan(ask(), config)) == [("common", "platform")]


@pytest.mark.parametrize("how", ["named", "its model named", "preferred", "routed"])
def test_no_choice_leads_to_the_platform_past_the_policy(how: str) -> None:
    common = provider("common", owner=Owner(), models=[model("rare")])
    chosen = "platform/providers/common"
    config = configuration(
        [provider("own")],
        [common],
        routes=[route("default", to(chosen))] if how == "routed" else [],
        preferences=Preferences(user="ann", preferred=choice(chosen)) if how == "preferred" else None,
    )
    fields = {"named": {"provider": chosen}, "its model named": {"model": "rare"}}.get(how, {})
    made = plan(ask(**fields), config)
    assert ids(made) == ["own"]
    assert causes(made) == {"common": Cause.PLATFORM_NOT_ALLOWED}
    assert [each.cause for each in made.passed_over] == [Cause.PLATFORM_NOT_ALLOWED]


def test_a_route_may_lead_to_the_platform_where_the_policy_allows_it() -> None:
    config = configuration(
        [provider("own")],
        [provider("common", owner=Owner())],
        routes=[route("default", to("platform/providers/common"))],
        platform_last=True,
    )
    assert by_rule(plan(ask(), config)) == [("common", "default_route"), ("own", "priority")]


def test_a_model_nobody_has_is_told_by_its_field() -> None:
    with pytest.raises(InvalidArgument) as unknown:
        plan(ask(model="nobodys"), configuration([provider("own")], [provider("common", owner=Owner())]))
    assert unknown.value.field_violations[0].field == "generation.model"


# Sessions, limits, rests ---------------------------------------------------------------------------------------------


def test_a_session_stays_with_its_target_within_the_rule_that_chose_it() -> None:
    config = configuration(ONE_TO_FOUR, routes=[route("default", "one", "two", fallbacks=(to("three"), to("four")))])
    assert ids(plan(ask(), config, last_served=key_of("two"))) == ["two", "one", "three", "four"]
    assert ids(plan(ask(), config, last_served=key_of("four"))) == ["one", "two", "four", "three"]
    assert ids(plan(ask(), config, last_served=key_of("gone"))) == ["one", "two", "three", "four"]


def test_a_session_does_not_hold_up_a_new_preference() -> None:
    config = configuration(ONE_TO_FOUR, preferences=Preferences(user="ann", preferred=choice("two")))
    assert ids(plan(ask(), config, last_served=key_of("one")))[:2] == ["two", "one"]


def test_a_session_stays_with_the_provider_of_a_named_model_and_within_a_priority_list() -> None:
    config = configuration(ONE_TO_FOUR)
    assert ids(plan(ask(model="small"), config, last_served=key_of("two")))[0] == "two"
    assert ids(plan(ask(), config, last_served=key_of("two")))[0] == "two"


def test_a_provider_at_its_limit_is_passed_by() -> None:
    limits = ProviderLimiter()
    full = provider("full", priority=1, limits=ProviderLimits(requests_per_minute=1))
    config = configuration([full, provider("other")])
    assert ids(plan(ask(), config, limits=limits))[0] == "full"
    limits.begin(full, 10, NOW)
    made = plan(ask(), config, limits=limits)
    assert (ids(made), causes(made)) == (["other"], {"full": Cause.RATE_LIMITED})
    assert made.rejected[0].description == "it is at its limit of 1 calls a minute"


def test_a_call_that_may_take_more_than_a_minute_s_tokens_is_never_sent() -> None:
    small = provider("small", limits=ProviderLimits(tokens_per_minute=4_000))
    assert causes(plan(ask(), configuration([small]))) == {"small": Cause.RATE_LIMITED}
    assert ids(plan(ask(max_output_tokens=100), configuration([small]))) == ["small"]


def test_what_rests_for_its_key_is_tried_only_when_nothing_else_is_left() -> None:
    health = TargetHealth()
    fault(health, key_of("one"), Reason.PROVIDER_KEY_REJECTED)
    made = plan(ask(), configuration(ONE_TO_FOUR[:2]), health=health)
    assert (ids(made), causes(made), made.resting) == (["two"], {"one": Cause.COOLING_DOWN}, False)
    alone = plan(ask(), configuration(ONE_TO_FOUR[:1]), health=health)
    assert (ids(alone), alone.rejected, alone.resting) == (["one"], (), True)


def test_the_breaker_holds_also_for_the_only_target() -> None:
    health = TargetHealth(threshold=1)
    fault(health, key_of("one"))
    made = plan(ask(), configuration(ONE_TO_FOUR[:1]), health=health)
    assert (ids(made), causes(made)) == ([], {"one": Cause.COOLING_DOWN})
