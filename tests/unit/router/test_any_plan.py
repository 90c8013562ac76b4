"""Any plan, over random snapshots: what must hold whatever is configured and asked for."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from libs.core.errors import InvalidArgument
from libs.core.resource_names import Owner
from services.router.domain.configuration import Capabilities, Configuration, Policy, Provider, ProviderLimits, Snapshot
from services.router.domain.errors import Reason
from services.router.domain.generation import Generation, Tool
from services.router.domain.health import TargetHealth
from services.router.domain.limits import ProviderLimiter
from services.router.domain.preference import Choice, Preferences, Profile
from services.router.domain.route import Arm, Experiment, Route, RouteTarget, Strategy, Tier
from services.router.domain.routing.causes import Cause, Rule
from services.router.domain.routing.route_plan import RoutePlan
from tests.unit.router.fakes import PRICE, TYPES, ask, model, provider
from tests.unit.router.planning import ANN, NOW, fault, plan

OWNERS = [Owner("acme"), ANN, Owner("acme", "bob"), Owner()]
NAMES = [f"{owner}/providers/{each}" for owner in OWNERS for each in "abc"]
MODELS = ["m1", "m2", "m3"]
TASKS = ["write", "draft", "default"]
PLANS = ["free", "pro"]
WORK = "tenants/acme/users/ann/profiles/work"

models = st.builds(
    model,
    st.sampled_from(MODELS[:2]),
    enabled=st.booleans(),
    context_tokens=st.sampled_from([0, 1, 100_000]),
    max_output_tokens=st.sampled_from([0, 10, 1000]),
    capabilities=st.builds(Capabilities, tools=st.booleans(), documents=st.booleans()),
    price=st.sampled_from([None, PRICE]),
)


@st.composite
def providers(draw: st.DrawFn, owners: list[Owner]) -> list[Provider]:
    return draw(
        st.lists(
            st.builds(
                provider,
                st.sampled_from("abc"),
                owner=st.sampled_from(owners),
                models=st.lists(models, min_size=1, max_size=2, unique_by=lambda each: each.id),
                key=st.sampled_from([None, None, ""]),
                active=st.sampled_from([True, True, False]),
                is_default=st.booleans(),
                priority=st.integers(0, 2),
                default_model=st.sampled_from(["", "", *MODELS]),
                provider_type=st.sampled_from(["openai", "openai_compatible", "other"]),
                weight=st.sampled_from([None, 0, 1, 5]),
                default_for_tasks=st.sampled_from([(), ("write",)]),
                limits=st.sampled_from([None, ProviderLimits(tokens_per_minute=50), ProviderLimits()]),
            ),
            max_size=6,
            unique_by=lambda each: each.name,
        )
    )


choices = st.builds(Choice, st.sampled_from(NAMES), st.sampled_from(["", *MODELS]))
targets = st.builds(
    RouteTarget,
    provider=st.sampled_from(NAMES),
    model=st.sampled_from(["", *MODELS]),
    weight=st.sampled_from([None, 0, 3]),
    plans=st.sampled_from([frozenset[str](), frozenset({"pro"})]),
    requires=st.sampled_from([0, 0, Capabilities(documents=True).mask]),
)
few = st.lists(targets, max_size=3).map(tuple)


@st.composite
def routes(draw: st.DrawFn) -> dict[str, Route]:
    made = {}
    for task in draw(st.lists(st.sampled_from(TASKS), unique=True)):
        strategy = draw(st.sampled_from(list(Strategy)))
        name = f"tenants/acme/routes/{task}"
        share = draw(st.integers(1, 100))
        arm = Arm(id="a", share_percent=share, target=draw(targets))
        tiers = (
            Tier(id="low", most_score=draw(st.integers(0, 20)), targets=draw(few)),
            Tier(id="high", most_score=100, targets=draw(few)),
        )
        made[task] = Route(
            name=name,
            task=task,
            active=draw(st.sampled_from([True, True, False])),
            strategy=strategy,
            targets=draw(few),
            fallbacks=draw(few),
            fallback_task=draw(st.sampled_from(["", *TASKS])),
            tiers=tiers if strategy is Strategy.COMPLEXITY else (),
            experiment=draw(st.sampled_from([None, Experiment(name=f"{name}/experiments/x", arms=(arm,))])),
        )
    return made


@st.composite
def configurations(draw: st.DrawFn) -> Configuration:
    preferences = Preferences(
        user="ann",
        preferred=draw(st.none() | choices),
        tasks=draw(st.dictionaries(st.sampled_from(TASKS[:2]), choices)),
        active_profile=draw(st.sampled_from(["", WORK])),
    )
    profile = Profile(
        name=WORK,
        providers=draw(st.sampled_from([frozenset[str](), frozenset(NAMES[:4]), frozenset(NAMES[3:5])])),
        preferred=draw(st.none() | choices),
        tasks=draw(st.dictionaries(st.sampled_from(TASKS[:2]), choices)),
    )
    return Configuration(
        tenant=Snapshot(
            scope="tenants/acme",
            revision=1,
            providers=tuple(draw(providers(OWNERS[:3]))),
            routes=draw(routes()),
            preferences={"ann": preferences},
            profiles={WORK: profile},
            policy=Policy(platform_last=draw(st.booleans())),
        ),
        platform=Snapshot(scope="platform", revision=1, providers=tuple(draw(providers(OWNERS[3:])))),
    )


requests = st.builds(
    ask,
    st.sampled_from(["Why?", "x" * 50]),
    provider=st.sampled_from(["", "", "", "a", *NAMES[:3]]),
    model=st.sampled_from(["", "", "m1", "m2"]),
    fallback=st.booleans(),
    task=st.sampled_from(["", *TASKS[:2], "other"]),
    tools=st.sampled_from([(), (Tool(name="t", description="", parameters_json=""),)]),
    max_output_tokens=st.sampled_from([None, 5, 50]),
)


def sick(troubles: list[tuple[str, str, Reason]]) -> TargetHealth:
    health = TargetHealth(threshold=1)
    for name, model_id, reason in troubles:
        fault(health, (name, model_id, name.replace("/providers/", "/keys/")), reason)
    return health


troubled = st.lists(
    st.tuples(
        st.sampled_from(NAMES),
        st.sampled_from(MODELS[:2]),
        st.sampled_from([Reason.PROVIDER_ERROR, Reason.PROVIDER_KEY_REJECTED, Reason.PROVIDER_BILLING]),
    ),
    max_size=3,
).map(sick)


def own(config: Configuration) -> list[Provider]:
    return [each for each in config.tenant.providers if each.owner.user in (None, "ann")]


@settings(max_examples=400)
@given(
    config=configurations(),
    request=requests,
    health=troubled,
    seed=st.integers(0, 5),
    token_plan=st.sampled_from(PLANS),
    last=st.none() | st.tuples(st.sampled_from(NAMES), st.sampled_from(MODELS), st.just("")),
)
def test_any_plan_is_sound(
    config: Configuration,
    request: Generation,
    health: TargetHealth,
    seed: int,
    token_plan: str,
    last: tuple[str, str, str] | None,
) -> None:
    def planned() -> RoutePlan:
        return plan(request, config, health=health, seed=seed, token_plan=token_plan, last_served=last)

    try:
        made = planned()
    except InvalidArgument:
        assert_nobody_has_what_is_named(request, config)
        return
    assert made == planned(), "the same seed gives the same plan"
    assert_no_target_is_unusable(made, request, config, health)
    assert_nothing_is_there_twice(made)
    assert_nothing_is_lost(made, request, config)
    assert_the_rules_are_in_order(made)
    for each in made.rejected:
        assert each.cause in Cause
        assert each.description
        assert each.reason
    assert all(each.reason for each in made.targets)
    assert set(map(id, made.passed_over)) <= set(map(id, made.rejected))
    if not request.fallback:
        assert len(made.targets) <= 1


def assert_nobody_has_what_is_named(request: Generation, config: Configuration) -> None:
    visible = [*own(config), *config.platform.providers]
    named = [each for each in visible if request.provider in (each.id, each.name)]
    if request.provider and not request.model:
        assert not named
    elif request.model and not request.provider:
        assert not any(request.model in each.models for each in visible)
    else:
        assert not all(request.model in each.models for each in named) or not named


def assert_no_target_is_unusable(
    made: RoutePlan, request: Generation, config: Configuration, health: TargetHealth
) -> None:
    preferences, profile = config.tenant.preferences["ann"], config.tenant.profiles[WORK]
    allowed = profile.providers if preferences.active_profile else frozenset[str]()
    for target in made.targets:
        provider_, model_ = target.provider, target.model
        assert provider_.active
        assert model_.enabled
        assert provider_.models[model_.id] is model_
        assert provider_.type in TYPES.known
        assert provider_.key or provider_.type in TYPES.keyless
        assert model_.capabilities.tools or not request.tools
        assert not allowed or provider_.name in allowed
        if provider_.owner.is_platform:
            assert not own(config) or config.tenant.policy.platform_last
        else:
            assert provider_.owner in (Owner("acme"), ANN)
        if model_.max_output_tokens and request.max_output_tokens:
            assert request.max_output_tokens <= model_.max_output_tokens
        assert model_.context_tokens != 1 or len(request.messages[0].parts[0].text) < 16  # type: ignore[union-attr]
        if provider_.limits is not None:
            assert ProviderLimiter().exceeded(provider_, replace(provider_.limits, tokens_per_minute=0), 1, NOW) is None
        pause = health.pause(target.health_key, NOW)
        assert pause is None or (made.resting and pause.mendable)


def assert_nothing_is_there_twice(made: RoutePlan) -> None:
    seen = [(each.provider.name, each.model.id) for each in made.targets]
    seen += [(each.provider_name, each.model) for each in made.rejected]
    assert len(seen) == len(set(seen))


def assert_nothing_is_lost(made: RoutePlan, request: Generation, config: Configuration) -> None:
    """Every provider the caller may see, and all that choices and lists of its routes name, is there."""
    if not request.fallback and (request.provider or request.model):
        return
    there = {(each.provider.name, each.model.id) for each in made.targets}
    there |= {(each.provider_name, each.model) for each in made.rejected}
    for each in (*own(config), *config.platform.providers):
        if each.usual_model is not None:
            assert (each.name, each.usual_model.id) in there
        else:
            assert each.name in {name for name, _ in there}
    named = [config.tenant.preferences["ann"].preferred, config.tenant.preferences["ann"].tasks.get(request.task)]
    if config.tenant.preferences["ann"].active_profile:
        named += [config.tenant.profiles[WORK].preferred, config.tenant.profiles[WORK].tasks.get(request.task)]
    applying = [config.tenant.route(task) for task in (request.task, "default")]
    listed = [
        Choice(each.provider, each.model)
        for route in applying
        if route is not None
        for each in (*route.targets, *route.fallbacks, *(target for tier in route.tiers for target in tier.targets))
    ]
    for choice in (*named, *listed):
        if choice is not None and choice.model:
            assert choice in there
        elif choice is not None:
            assert choice.provider in {name for name, _ in there}


def assert_the_rules_are_in_order(made: RoutePlan) -> None:
    order = list(Rule)
    places = [order.index(each.rule) for each in made.targets]
    if not made.resting:
        assert places == sorted(places)
