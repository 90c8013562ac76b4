"""Any plan, over random snapshots: what must hold whatever is configured and asked for."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from hypothesis import given, settings
from hypothesis import strategies as st

from libs.core.errors import InvalidArgument, PermissionDenied
from libs.core.resource_names import Owner
from services.router.domain.configuration import (
    Capabilities,
    Configuration,
    Model,
    Policy,
    Provider,
    ProviderLimits,
    Snapshot,
)
from services.router.domain.errors import Reason
from services.router.domain.generation import Generation, Tool
from services.router.domain.health import HealthKey, TargetHealth
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
WORK = "tenants/acme/users/ann/profiles/work"
DOCUMENTS = Capabilities(streaming=False, tools=False, json_schema=False, images=False, documents=True).mask

T = TypeVar("T")


class World:
    """A random world. Made from a seed and not of strategies: a snapshot is hundreds of choices, too many to draw."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        # In most worlds most things work; in the others hardly anything does.
        self.trouble = self.one(0.03, 0.1, 0.3)
        self.made: list[Provider] = []
        own, common = self.providers(OWNERS[:3]), self.providers(OWNERS[3:])
        self.configuration = Configuration(
            tenant=Snapshot(
                scope="tenants/acme",
                revision=1,
                providers=own,
                routes={each.task: each for each in map(self.route, TASKS) if self.chance.random() < 0.6},
                preferences={
                    "ann": Preferences(
                        user="ann",
                        preferred=self.one(None, self.choice()),
                        tasks=self.one({}, {"write": self.choice()}),
                        active_profile=self.mostly("", WORK),
                    )
                },
                profiles={
                    WORK: Profile(
                        name=WORK,
                        providers=self.one(frozenset(), frozenset(NAMES[:4]), frozenset(NAMES[3:5])),
                        preferred=self.one(None, self.choice()),
                        tasks=self.one({}, {"write": self.choice()}),
                    )
                },
                policy=Policy(platform_last=self.one(True, False)),
            ),
            platform=Snapshot(scope="platform", revision=1, providers=common),
        )
        self.health = TargetHealth(threshold=1)
        for _ in range(self.one(0, 0, 3)):
            reason = self.one(Reason.PROVIDER_ERROR, Reason.PROVIDER_KEY_REJECTED, Reason.PROVIDER_BILLING)
            fault(self.health, self.key(), reason)
        self.request = ask(
            self.one("Why?", "x" * 50),
            provider=self.mostly("", "a", *NAMES[:3], self.name()),
            model=self.mostly("", "m1", "m2"),
            fallback=self.one(True, True, False),
            task=self.one("", *TASKS[:2], "other"),
            tools=self.one((), (), (Tool(name="t", description="", parameters_json=""),)),
            max_output_tokens=self.one(None, None, 5, 50),
        )
        self.last_served = self.one(None, self.key())
        self.token_plan = self.one("free", "pro", "")

    def one(self, *values: Any) -> Any:
        return self.chance.choice(values)

    def mostly(self, usual: Any, *troubles: Any) -> Any:
        return self.chance.choice(troubles) if self.chance.random() < self.trouble else usual

    def name(self) -> str:
        """Of a provider that exists, mostly."""
        there = [each.name for each in self.made]
        return self.chance.choice(there if there and self.chance.random() > self.trouble else NAMES)

    def key(self) -> HealthKey:
        name = self.name()
        return name, self.one(*MODELS[:2]), name.replace("/providers/", "/keys/")

    def few(self, make: Callable[[], T], most: int) -> tuple[T, ...]:
        return tuple(make() for _ in range(self.chance.randint(0, most)))

    def model(self) -> Model:
        return model(
            self.one(*MODELS[:2]),
            enabled=self.mostly(True, False),
            context_tokens=self.mostly(0, 1, 100_000),
            max_output_tokens=self.mostly(1_000, 10, 0),
            capabilities=Capabilities(tools=self.mostly(True, False), documents=self.one(True, False)),
            price=self.one(None, PRICE),
        )

    def providers(self, owners: list[Owner]) -> tuple[Provider, ...]:
        made = {each.name: each for each in self.few(lambda: self.provider(self.one(*owners)), 8)}
        self.made += made.values()
        return tuple(made.values())

    def provider(self, owner: Owner) -> Provider:
        return provider(
            self.one("a", "b", "c"),
            owner=owner,
            models=[self.model() for _ in range(2)],
            key=self.mostly(None, ""),
            active=self.mostly(True, False),
            is_default=self.one(True, False),
            priority=self.one(0, 1),
            default_model=self.mostly("", *MODELS),
            provider_type=self.mostly("openai", "openai_compatible", "other"),
            weight=self.one(None, 0, 1, 5),
            default_for_tasks=self.one((), ("write",)),
            limits=self.mostly(None, ProviderLimits(tokens_per_minute=50), ProviderLimits()),
        )

    def choice(self) -> Choice:
        return Choice(self.name(), self.mostly("", *MODELS))

    def target(self) -> RouteTarget:
        return RouteTarget(
            provider=self.name(),
            model=self.mostly("", *MODELS),
            weight=self.one(None, 0, 3),
            plans=self.mostly(frozenset(), frozenset({"pro"})),
            requires=self.mostly(0, DOCUMENTS),
        )

    def route(self, task: str) -> Route:
        strategy = self.one(*Strategy)
        name = f"tenants/acme/routes/{task}"
        arm = Arm(id="a", share_percent=self.chance.randint(1, 100), target=self.target())
        tiers = (
            Tier(id="low", most_score=self.chance.randint(0, 20), targets=self.few(self.target, 3)),
            Tier(id="high", most_score=100, targets=self.few(self.target, 3)),
        )
        return Route(
            name=name,
            task=task,
            active=self.mostly(True, False),
            strategy=strategy,
            targets=self.few(self.target, 3),
            fallbacks=self.few(self.target, 2),
            fallback_task=self.one("", "", *TASKS),
            tiers=tiers if strategy is Strategy.COMPLEXITY else (),
            experiment=self.one(None, Experiment(name=f"{name}/experiments/x", arms=(arm,))),
        )

    def plan(self, seed: int) -> RoutePlan:
        return plan(
            self.request,
            self.configuration,
            health=self.health,
            seed=seed,
            token_plan=self.token_plan,
            last_served=self.last_served,
        )


def own(config: Configuration) -> list[Provider]:
    return [each for each in config.tenant.providers if each.owner.user in (None, "ann")]


@settings(max_examples=600)
@given(world=st.integers(0, 2**64 - 1).map(World), seed=st.integers(0, 2**64 - 1))
def test_any_plan_is_sound(world: World, seed: int) -> None:
    request, config, health = world.request, world.configuration, world.health
    try:
        made = world.plan(seed)
    except InvalidArgument:
        assert_nobody_has_what_is_named(request, config)
        return
    except PermissionDenied:
        assert request.provider.startswith("tenants/acme/users/bob/")
        return
    assert made == world.plan(seed), "the same seed gives the same plan"
    assert_no_target_is_unusable(made, request, config, health)
    assert_nothing_is_there_twice(made)
    assert_nothing_is_lost(made, request, config)
    assert_the_rules_are_in_order(made)
    for each in made.rejected:
        assert each.cause in Cause
        assert each.description
        assert each.reason
    assert all(each.reason for each in made.targets)
    assert {id(each) for each in made.passed_over} <= {id(each) for each in made.rejected}
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
