"""What it takes to choose targets: `plan_route` and the trace of it that every answer carries, in this process.

Microseconds; each figure is the best of many short rounds: what the work takes while nothing else has the core.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator

from gatehouse.router.v1 import generation_service_pb2 as pb

from libs.core.money import PicoUsdPerToken, TokenPrices
from libs.core.resource_names import Owner
from services.router.api.plans import write_trace
from services.router.domain.configuration import Configuration, Model, Provider, Snapshot
from services.router.domain.generation import Generation, Message, Role, Text
from services.router.domain.health import TargetHealth
from services.router.domain.limits import ProviderLimiter
from services.router.domain.preference import Choice, Preferences
from services.router.domain.route import Arm, Experiment, Route, RouteTarget, Strategy, Tier
from services.router.domain.routing.plan import Circumstances, plan_route
from services.router.domain.routing.route_plan import RoutePlan
from services.router.providers.registry import DIALECTS, provider_types

TARGETS = 20
_SWEEPS = 8
_ROUNDS = 12
_PLANS = 50
_TENANT = "tenants/bench"
_PRICE = TokenPrices(
    input=PicoUsdPerToken(150_000),
    cache_read=PicoUsdPerToken(75_000),
    cache_write=PicoUsdPerToken(150_000),
    output=PicoUsdPerToken(600_000),
    reasoning=PicoUsdPerToken(600_000),
)
_QUESTION = "Why is the sky blue, and why does it turn red in the evening?"
_REQUEST = Generation(messages=(Message(Role.USER, (Text(_QUESTION),)),), task="write")


def measure_planning() -> dict[str, dict[str, float]]:
    """By case: microseconds for a plan, and for its trace; each plan has 20 targets, but for `one provider`."""
    works: dict[str, dict[str, Callable[[], object]]] = {}
    figures: dict[str, dict[str, float]] = {}
    for case, configuration in _cases():
        plan = _planner(configuration)
        made = plan()
        works[case] = {"plan_us": plan, "trace_us": _tracer(made)}
        figures[case] = {"targets": len(made.targets), "plan_us": math.inf, "trace_us": math.inf}
    for _ in range(_SWEEPS):
        for case, work in works.items():
            for name, do in work.items():
                figures[case][name] = min(figures[case][name], _microseconds(do))
    return figures


def _cases() -> Iterator[tuple[str, Configuration]]:
    providers = [_provider(number) for number in range(TARGETS)]
    targets = tuple(RouteTarget(provider=each.name, weight=1 + number) for number, each in enumerate(providers))
    yield "one provider", _configuration(providers[:1])
    yield "by priority", _configuration(providers)
    for strategy in Strategy:
        tiered = strategy is Strategy.COMPLEXITY
        tiers = tuple(
            Tier(id=f"tier-{number}", most_score=25 * (number + 1), targets=targets[5 * number : 5 * number + 5])
            for number in range(4)
        )
        route = Route(
            name=f"{_TENANT}/routes/write",
            task="write",
            strategy=strategy,
            targets=() if tiered else targets,
            tiers=tiers if tiered else (),
        )
        yield strategy.value, _configuration(providers, route)
    everything = Route(
        name=f"{_TENANT}/routes/write",
        task="write",
        strategy=Strategy.WEIGHTED,
        targets=targets[:8],
        fallbacks=targets[8:12],
        experiment=Experiment(
            name=f"{_TENANT}/routes/write/experiments/x", arms=(Arm(id="a", share_percent=100, target=targets[19]),)
        ),
    )
    preferences = Preferences(user="ann", tasks={"write": Choice(providers[18].name)})
    yield "all rules", _configuration(providers, everything, preferences)


def _provider(number: int) -> Provider:
    name = f"{_TENANT}/providers/provider-{number:02}"
    model = Model(id="model", provider_model_id="model", max_output_tokens=4_096, price=_PRICE)
    return Provider(
        name=name,
        id=f"provider-{number:02}",
        owner=Owner("bench"),
        type="openai",
        base_url="https://api.example/v1",
        origin="https://api.example:443",
        key=f"{_TENANT}/keys/key-{number:02}",
        default_model="",
        active=True,
        is_default=number == 0,
        priority=number,
        models={model.id: model},
    )


def _configuration(
    providers: list[Provider], route: Route | None = None, preferences: Preferences | None = None
) -> Configuration:
    return Configuration(
        tenant=Snapshot(
            scope=_TENANT,
            revision=2,
            providers=tuple(providers),
            routes={route.task: route} if route is not None else {},
            preferences={preferences.user: preferences} if preferences is not None else {},
        ),
        platform=Snapshot(scope="platform", revision=1),
    )


def _planner(configuration: Configuration) -> Callable[[], RoutePlan]:
    health = TargetHealth()
    # As in a router that has called them all: every target is known, and has an average.
    for provider in configuration.tenant.providers:
        visit = health.enter((provider.name, "model", provider.key), 99.0)
        health.first_content(visit, 0.5, 99.5)
        health.succeeded(visit, 99.9)
    circumstances = Circumstances(
        health=health,
        limits=ProviderLimiter(),
        types=provider_types(DIALECTS),
        now=100.0,
        seed=7,
    )
    caller = Owner("bench", "ann")
    return lambda: plan_route(_REQUEST, caller, configuration, circumstances, plan="pro", streaming=True)


def _tracer(plan: RoutePlan) -> Callable[[], object]:
    def write() -> bytes:
        response = pb.GenerateResponse()
        write_trace(response.outcome.trace, plan, 0.1)
        return response.SerializeToString()

    return write


def _microseconds(work: Callable[[], object]) -> float:
    rounds = []
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        for _ in range(_PLANS):
            work()
        rounds.append((time.perf_counter() - began) / _PLANS * 1e6)
    return min(rounds)


def slowest_us(figures: dict[str, dict[str, float]]) -> float:
    """The slowest plan of 20 targets."""
    return max(each["plan_us"] for each in figures.values())
