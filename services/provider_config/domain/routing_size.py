"""What routes, preferences and profiles take in a snapshot; counted with what `scope_size.py` counts.

A policy is one small message of a scope and has its place in the frame around the rest.
"""

from __future__ import annotations

from collections.abc import Iterable

from services.provider_config.domain.preference import Choice, Preferences, TaskChoice
from services.provider_config.domain.profile import Profile
from services.provider_config.domain.route import Route, RouteSettings, RouteTarget

# A hundred versions of each route are kept, and answers to repeated requests: one that has all that it may in every
# list would take a megabyte each time.
MAX_ROUTE_BYTES = 100_000

# Tags, lengths, numbers and times of a message, beyond the bytes of its texts: at most this, tested.
_ROUTE_FRAME = 200
_TARGET_FRAME = 48
_TIER_FRAME = 16
_ARM_FRAME = 16
_PREFERENCES_FRAME = 80
_PROFILE_FRAME = 120
_CHOICE_FRAME = 24
_TEXT_FRAME = 6
_LABEL_FRAME = 12


def route_bytes(route: Route) -> int:
    """An upper bound of what `route` takes in a snapshot."""
    texts = (str(route.name), route.uid, route.etag, route.created_by)
    return sum(map(_size, texts)) + route_settings_bytes(route.settings)


def route_settings_bytes(settings: RouteSettings) -> int:
    """An upper bound of what a route with `settings` takes, without what the server adds to them."""
    texts = (
        settings.display_name,
        settings.description,
        str(settings.fallback_route or ""),
        settings.experiment.experiment_id if settings.experiment else "",
    )
    arms = settings.experiment.arms if settings.experiment else ()
    return (
        _ROUTE_FRAME
        + sum(map(_size, texts))
        + sum(_target_bytes(target) for _, target in settings.every_target())
        + sum(_TIER_FRAME + _size(tier.tier_id) for tier in settings.tiers)
        + sum(_ARM_FRAME + _size(arm.arm_id) for arm in arms)
        + sum(_LABEL_FRAME + _size(key) + _size(value) for key, value in settings.labels.items())
    )


def preferences_bytes(preferences: Preferences) -> int:
    """An upper bound of what `preferences` take in a snapshot."""
    texts = (preferences.name, preferences.etag, str(preferences.active_profile or ""))
    settings = preferences.settings
    return _PREFERENCES_FRAME + sum(map(_size, texts)) + _choices_bytes(settings.preferred, settings.tasks)


def profile_bytes(profile: Profile) -> int:
    """An upper bound of what `profile` takes in a snapshot."""
    settings = profile.settings
    texts = (str(profile.name), profile.uid, profile.etag, settings.display_name, settings.description)
    return (
        _PROFILE_FRAME
        + sum(map(_size, texts))
        + sum(_TEXT_FRAME + _size(str(provider)) for provider in settings.providers)
        + _choices_bytes(settings.preferred, settings.tasks)
    )


def _target_bytes(target: RouteTarget) -> int:
    plans = sum(_TEXT_FRAME + _size(plan) for plan in target.plans)
    return _TARGET_FRAME + _size(str(target.provider)) + _size(target.model) + plans


def _choices_bytes(preferred: Choice | None, tasks: Iterable[TaskChoice]) -> int:
    return (_choice_bytes(preferred) if preferred else 0) + sum(
        _size(each.task) + _choice_bytes(each.choice) for each in tasks
    )


def _choice_bytes(choice: Choice) -> int:
    return _CHOICE_FRAME + _size(str(choice.provider)) + _size(choice.model)


def _size(text: str) -> int:
    return len(text.encode())
