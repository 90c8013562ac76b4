"""Routes, preferences, profiles and policies of snapshots, from messages to the router's domain."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping

from gatehouse.providerconfig.v1 import preference_pb2, provider_pb2, route_pb2

from libs.core.resource_names import Owner, ProfileName, RouteName
from services.router.domain.configuration import Policy
from services.router.domain.features import CAPABILITY_NAMES
from services.router.domain.preference import Choice, Preferences, Profile
from services.router.domain.route import Arm, Experiment, Route, RouteTarget, Strategy, Tier

_STRATEGIES = {
    route_pb2.ROUTING_STRATEGY_PRIORITY: Strategy.PRIORITY,
    route_pb2.ROUTING_STRATEGY_WEIGHTED: Strategy.WEIGHTED,
    route_pb2.ROUTING_STRATEGY_LOWEST_COST: Strategy.LOWEST_COST,
    route_pb2.ROUTING_STRATEGY_LOWEST_LATENCY: Strategy.LOWEST_LATENCY,
    route_pb2.ROUTING_STRATEGY_LEAST_BUSY: Strategy.LEAST_BUSY,
    route_pb2.ROUTING_STRATEGY_COMPLEXITY: Strategy.COMPLEXITY,
}

_POLICY, _PLATFORM_LAST = Policy(), Policy(platform_last=True)

text = sys.intern


def route_in(message: route_pb2.Route) -> Route:
    """A route. A strategy of a later version is taken for PRIORITY. Raises InvalidArgument."""
    name = RouteName.parse(message.name)
    fallback = RouteName.parse(message.fallback_route).task if message.fallback_route else ""
    return Route(
        name=text(message.name),
        task=text(name.task),
        active=message.active,
        strategy=_STRATEGIES.get(message.strategy, Strategy.PRIORITY),
        targets=_targets(message.targets),
        fallbacks=_targets(message.fallbacks),
        fallback_task=text(fallback),
        tiers=tuple(
            Tier(id=text(tier.tier_id), most_score=tier.most_score, targets=_targets(tier.targets))
            for tier in message.tiers
        ),
        experiment=_experiment(message),
    )


def preferences_in(message: preference_pb2.Preferences) -> Preferences:
    """The preferences of a user. Raises InvalidArgument."""
    return Preferences(
        user=text(Owner.parse(message.name.removesuffix("/preferences"), field="name").user or ""),
        preferred=_choice(message.preferred) if message.HasField("preferred") else None,
        tasks=_choices(message.tasks),
        active_profile=text(message.active_profile),
    )


def profile_in(message: preference_pb2.Profile) -> Profile:
    """A profile. Raises InvalidArgument."""
    ProfileName.parse(message.name)
    return Profile(
        name=text(message.name),
        providers=frozenset(map(text, message.providers)),
        preferred=_choice(message.preferred) if message.HasField("preferred") else None,
        tasks=_choices(message.tasks),
    )


def policy_in(message: route_pb2.RoutingPolicy) -> Policy:
    """A policy; the usual one where nothing is set."""
    last = message.platform_fallback == route_pb2.PLATFORM_FALLBACK_LAST
    return _PLATFORM_LAST if last else _POLICY


def _experiment(message: route_pb2.Route) -> Experiment | None:
    """The experiment, if one runs."""
    experiment = message.experiment
    if not message.HasField("experiment") or not experiment.active:
        return None
    return Experiment(
        name=text(f"{message.name}/experiments/{experiment.experiment_id}"),
        arms=tuple(
            Arm(id=text(arm.arm_id), share_percent=arm.share_percent, target=_target(arm.target))
            for arm in experiment.arms
        ),
    )


def _targets(messages: Iterable[route_pb2.RouteTarget]) -> tuple[RouteTarget, ...]:
    return tuple(map(_target, messages))


def _target(message: route_pb2.RouteTarget) -> RouteTarget:
    return RouteTarget(
        provider=text(message.provider),
        model=text(message.model),
        weight=message.weight if message.HasField("weight") else None,
        plans=frozenset(map(text, message.plans)),
        requires=_mask(message.requires),
    )


def _mask(can: provider_pb2.Capabilities) -> int:
    return sum(1 << bit for bit, name in enumerate(CAPABILITY_NAMES) if getattr(can, name))


def _choice(message: preference_pb2.Choice) -> Choice:
    return Choice(text(message.provider), text(message.model))


def _choices(messages: Iterable[preference_pb2.TaskChoice]) -> Mapping[str, Choice]:
    return {text(each.task): _choice(each.choice) for each in messages}
