"""Routes, policies, preferences and profiles in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from libs.core.resource_names import Owner, ProfileName, ProviderName, RouteName
from services.provider_config.domain.policy import RoutingPolicy
from services.provider_config.domain.preference import Preferences
from services.provider_config.domain.profile import Profile
from services.provider_config.domain.route import Route
from services.provider_config.domain.routing_errors import profile_exists, route_exists
from services.provider_config.domain.routing_size import preferences_bytes, profile_bytes, route_bytes


@dataclass
class RoutingState:
    routes: dict[RouteName, Route] = field(default_factory=dict)
    policies: dict[Owner, RoutingPolicy] = field(default_factory=dict)
    preferences: dict[Owner, Preferences] = field(default_factory=dict)
    profiles: dict[ProfileName, Profile] = field(default_factory=dict)

    def size(self, scope: Owner) -> int:
        return (
            sum(route_bytes(each) for each in self.routes.values() if scope.covers(each.name.owner))
            + sum(preferences_bytes(each) for each in self.preferences.values() if scope.covers(each.user))
            + sum(profile_bytes(each) for each in self.profiles.values() if scope.covers(each.name.owner))
        )

    def naming(self, provider: ProviderName, model: str | None) -> set[str]:
        """The names of all that name `provider`, or its `model`."""
        named = [
            *((str(each.name), t.provider, t.model) for each in self.routes.values()
              for _, t in each.settings.every_target()),
            *((each.name, c.provider, c.model) for each in self.preferences.values()
              for _, c in each.settings.every_choice()),
            *((str(each.name), c.provider, c.model) for each in self.profiles.values()
              for _, c in each.settings.every_choice()),
            *((str(each.name), name, "") for each in self.profiles.values() for name in each.settings.providers),
        ]  # fmt: skip
        return {user for user, name, of in named if name == provider and model in {None, of}}


class MemoryRoutes:
    def __init__(self, state: RoutingState) -> None:
        self._routes = state.routes

    def get(self, name: RouteName) -> Route | None:
        return self._routes.get(name)

    def page(self, tenant: Owner, *, after: str | None, limit: int) -> Sequence[Route]:
        return [each for each in self.of_scope(tenant) if after is None or each.name.task > after][:limit]

    def of_scope(self, scope: Owner) -> Sequence[Route]:
        return [route for name, route in sorted(self._routes.items()) if name.owner == scope]

    def fallbacks(self, tenant: str) -> Mapping[str, str]:
        found = ((each.name.task, each.settings.fallback_route) for each in self.of_scope(Owner(tenant)))
        return {task: fallback.task for task, fallback in found if fallback is not None}

    def add(self, route: Route) -> None:
        if route.name in self._routes:
            raise route_exists(route.name)
        self._routes[route.name] = route

    def put(self, route: Route) -> None:
        self._routes[route.name] = route

    def remove(self, route: Route) -> None:
        del self._routes[route.name]


class MemoryPolicies:
    def __init__(self, state: RoutingState) -> None:
        self._policies = state.policies

    def get(self, tenant: Owner) -> RoutingPolicy | None:
        return self._policies.get(tenant)

    def put(self, policy: RoutingPolicy) -> None:
        self._policies[policy.tenant] = policy


class MemoryPreferenceSets:
    def __init__(self, state: RoutingState) -> None:
        self._preferences = state.preferences

    def get(self, user: Owner) -> Preferences | None:
        return self._preferences.get(user)

    def of_scope(self, scope: Owner) -> Sequence[Preferences]:
        found = (each for each in self._preferences.values() if each.scope == scope)
        return sorted(found, key=lambda each: each.name)

    def put(self, preferences: Preferences) -> None:
        self._preferences[preferences.user] = preferences


class MemoryProfiles:
    def __init__(self, state: RoutingState) -> None:
        self._profiles = state.profiles
        self._preferences = state.preferences

    def get(self, name: ProfileName) -> Profile | None:
        profile = self._profiles.get(name)
        return None if profile is None else self._seen(profile)

    def page(self, user: Owner, *, after: str | None, limit: int) -> Sequence[Profile]:
        found = (each for each in self.of_scope(Owner(user.tenant)) if each.name.owner == user)
        return [each for each in found if after is None or each.name.profile > after][:limit]

    def of_scope(self, scope: Owner) -> Sequence[Profile]:
        found = (self._seen(each) for each in self._profiles.values() if each.scope == scope)
        return sorted(found, key=lambda each: str(each.name))

    def count(self, user: Owner) -> int:
        return sum(name.owner == user for name in self._profiles)

    def add(self, profile: Profile) -> None:
        if profile.name in self._profiles:
            raise profile_exists(profile.name)
        self._profiles[profile.name] = profile

    def put(self, profile: Profile) -> None:
        self._profiles[profile.name] = profile

    def remove(self, profile: Profile) -> None:
        del self._profiles[profile.name]

    def _seen(self, profile: Profile) -> Profile:
        preferences = self._preferences.get(profile.name.owner)
        return replace(profile, active=preferences is not None and preferences.active_profile == profile.name)
