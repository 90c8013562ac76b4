"""Routes, policies, preferences and profiles as messages. Pure; the other direction is in `read_routes.py` and
`read_preferences.py`.
"""

from __future__ import annotations

from collections.abc import Iterable

from gatehouse.providerconfig.v1 import preference_pb2, route_pb2
from google.protobuf.duration_pb2 import Duration

from services.provider_config.api.convert import capabilities_message, timestamp_message
from services.provider_config.domain.policy import RoutingPolicy
from services.provider_config.domain.preference import Choice, Preferences, TaskChoice
from services.provider_config.domain.profile import Profile
from services.provider_config.domain.route import CachePolicy, Experiment, Route, RouteSettings, RouteTarget
from services.provider_config.domain.versions import Version


def route_message(route: Route) -> route_pb2.Route:
    """The route as callers see it."""
    settings = route.settings
    return route_pb2.Route(
        name=str(route.name),
        uid=route.uid,
        etag=route.etag,
        display_name=settings.display_name,
        description=settings.description,
        active=settings.active,
        strategy=route_pb2.RoutingStrategy.Value(f"ROUTING_STRATEGY_{settings.strategy or 'UNSPECIFIED'}"),
        targets=map(_target, settings.targets),
        fallbacks=map(_target, settings.fallbacks),
        fallback_route=str(settings.fallback_route or ""),
        tiers=[
            route_pb2.ComplexityTier(
                tier_id=tier.tier_id, most_score=tier.most_score, targets=map(_target, tier.targets)
            )
            for tier in settings.tiers
        ],
        experiment=_experiment(settings.experiment) if settings.experiment else None,
        cache=_cache(settings.cache) if settings.cache else None,
        labels=settings.labels,
        created_by=route.created_by,
        create_time=timestamp_message(route.create_time),
        update_time=timestamp_message(route.update_time),
    )


def route_version_message(route: Route, version: Version[RouteSettings]) -> route_pb2.RouteVersion:
    """What `route` was at `version`."""
    message = route_message(route.at(version))
    message.ClearField("etag")
    return route_pb2.RouteVersion(
        version=version.version,
        changed_by=version.changed_by,
        change_time=timestamp_message(version.change_time),
        route=message,
    )


def policy_message(policy: RoutingPolicy) -> route_pb2.RoutingPolicy:
    """The policy as callers see it."""
    return route_pb2.RoutingPolicy(
        name=policy.name,
        etag=policy.etag,
        platform_fallback=route_pb2.PlatformFallback.Value(f"PLATFORM_FALLBACK_{policy.platform_fallback}"),
        update_time=timestamp_message(policy.update_time) if policy.update_time else None,
    )


def preferences_message(preferences: Preferences) -> preference_pb2.Preferences:
    """The preferences as callers see them."""
    settings = preferences.settings
    return preference_pb2.Preferences(
        name=preferences.name,
        etag=preferences.etag,
        preferred=_choice(settings.preferred) if settings.preferred else None,
        tasks=_tasks(settings.tasks),
        active_profile=str(preferences.active_profile or ""),
        update_time=timestamp_message(preferences.update_time) if preferences.update_time else None,
    )


def profile_message(profile: Profile) -> preference_pb2.Profile:
    """The profile as callers see it."""
    settings = profile.settings
    return preference_pb2.Profile(
        name=str(profile.name),
        uid=profile.uid,
        etag=profile.etag,
        display_name=settings.display_name,
        description=settings.description,
        providers=map(str, settings.providers),
        preferred=_choice(settings.preferred) if settings.preferred else None,
        tasks=_tasks(settings.tasks),
        active=profile.active,
        create_time=timestamp_message(profile.create_time),
        update_time=timestamp_message(profile.update_time),
    )


def _target(target: RouteTarget) -> route_pb2.RouteTarget:
    return route_pb2.RouteTarget(
        provider=str(target.provider),
        model=target.model,
        weight=target.weight,
        plans=target.plans,
        requires=capabilities_message(target.requires) if target.requires else None,
    )


def _experiment(experiment: Experiment) -> route_pb2.Experiment:
    return route_pb2.Experiment(
        experiment_id=experiment.experiment_id,
        active=experiment.active,
        arms=[
            route_pb2.ExperimentArm(arm_id=arm.arm_id, share_percent=arm.share_percent, target=_target(arm.target))
            for arm in experiment.arms
        ],
    )


def _cache(cache: CachePolicy) -> route_pb2.CachePolicy:
    message = route_pb2.CachePolicy(mode=route_pb2.CacheMode.Value(f"CACHE_MODE_{cache.mode}"))
    if cache.time_to_live is not None:
        kept = Duration()
        kept.FromTimedelta(cache.time_to_live)
        message.time_to_live.CopyFrom(kept)
    return message


def _tasks(tasks: Iterable[TaskChoice]) -> Iterable[preference_pb2.TaskChoice]:
    return [preference_pb2.TaskChoice(task=each.task, choice=_choice(each.choice)) for each in tasks]


def _choice(choice: Choice) -> preference_pb2.Choice:
    return preference_pb2.Choice(provider=str(choice.provider), model=choice.model)
