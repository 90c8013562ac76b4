"""The settings of routes as JSON and back: what the database holds of them, and of what they were."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from datetime import timedelta
from typing import Any

from libs.core.provider_types import Capabilities
from libs.core.resource_names import ProviderName, RouteName
from services.provider_config.domain.route import (
    CacheMode,
    CachePolicy,
    ComplexityTier,
    Experiment,
    ExperimentArm,
    RouteSettings,
    RouteTarget,
    RoutingStrategy,
)

_MICROSECOND = timedelta(microseconds=1)
_CAPABILITIES = frozenset(each.name for each in fields(Capabilities))


def route_body(settings: RouteSettings) -> Mapping[str, Any]:
    """`settings` as what JSON can hold."""
    return {
        "display_name": settings.display_name,
        "description": settings.description,
        "active": settings.active,
        "strategy": settings.strategy,
        "targets": [_target_body(each) for each in settings.targets],
        "fallbacks": [_target_body(each) for each in settings.fallbacks],
        "fallback_route": str(settings.fallback_route) if settings.fallback_route else None,
        "tiers": [
            {
                "tier_id": tier.tier_id,
                "most_score": tier.most_score,
                "targets": [_target_body(each) for each in tier.targets],
            }
            for tier in settings.tiers
        ],
        "experiment": _experiment_body(settings.experiment) if settings.experiment else None,
        "cache": _cache_body(settings.cache) if settings.cache else None,
        "labels": dict(settings.labels),
    }


def route_settings(body: Mapping[str, Any]) -> RouteSettings:
    """The settings in `body`."""
    experiment, cache, fallback_route = body["experiment"], body["cache"], body["fallback_route"]
    return RouteSettings(
        display_name=body["display_name"],
        description=body["description"],
        active=body["active"],
        strategy=RoutingStrategy(body["strategy"]),
        targets=tuple(map(_target, body["targets"])),
        fallbacks=tuple(map(_target, body["fallbacks"])),
        fallback_route=RouteName.parse(fallback_route) if fallback_route else None,
        tiers=tuple(
            ComplexityTier(
                tier_id=tier["tier_id"],
                most_score=tier["most_score"],
                targets=tuple(map(_target, tier["targets"])),
            )
            for tier in body["tiers"]
        ),
        experiment=_experiment(experiment) if experiment else None,
        cache=_cache(cache) if cache else None,
        labels=body["labels"],
    )


def _target_body(target: RouteTarget) -> Mapping[str, Any]:
    return {
        "provider": str(target.provider),
        "model": target.model,
        "weight": target.weight,
        "plans": list(target.plans),
        "requires": asdict(target.requires) if target.requires else None,
    }


def _target(body: Mapping[str, Any]) -> RouteTarget:
    requires = body["requires"]
    return RouteTarget(
        provider=ProviderName.parse(body["provider"]),
        model=body["model"],
        weight=body["weight"],
        plans=tuple(body["plans"]),
        # An ability that a later release knew and this one does not cannot be asked for.
        requires=None
        if requires is None
        else Capabilities(**{k: v for k, v in requires.items() if k in _CAPABILITIES}),
    )


def _experiment_body(experiment: Experiment) -> Mapping[str, Any]:
    return {
        "experiment_id": experiment.experiment_id,
        "active": experiment.active,
        "arms": [
            {"arm_id": arm.arm_id, "share_percent": arm.share_percent, "target": _target_body(arm.target)}
            for arm in experiment.arms
        ],
    }


def _experiment(body: Mapping[str, Any]) -> Experiment:
    return Experiment(
        experiment_id=body["experiment_id"],
        active=body["active"],
        arms=tuple(
            ExperimentArm(arm_id=arm["arm_id"], share_percent=arm["share_percent"], target=_target(arm["target"]))
            for arm in body["arms"]
        ),
    )


def _cache_body(cache: CachePolicy) -> Mapping[str, Any]:
    kept = cache.time_to_live
    return {"mode": cache.mode, "time_to_live_us": None if kept is None else kept // _MICROSECOND}


def _cache(body: Mapping[str, Any]) -> CachePolicy:
    kept = body["time_to_live_us"]
    return CachePolicy(
        mode=CacheMode(body["mode"]), time_to_live=None if kept is None else timedelta(microseconds=kept)
    )
