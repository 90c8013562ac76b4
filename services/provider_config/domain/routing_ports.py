"""What the use cases about routes, policies, preferences and profiles need of a transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from libs.core.resource_names import Owner, ProfileName, RouteName
from services.provider_config.domain.policy import RoutingPolicy
from services.provider_config.domain.preference import Preferences
from services.provider_config.domain.profile import Profile
from services.provider_config.domain.route import Route


class Routes(Protocol):
    """The stored routes."""

    def get(self, name: RouteName) -> Route | None:
        """The route called `name`."""
        ...

    def page(self, tenant: Owner, *, after: str | None, limit: int) -> Sequence[Route]:
        """Up to `limit` routes of `tenant`, by task, those after the task `after`."""
        ...

    def of_scope(self, scope: Owner) -> Sequence[Route]:
        """All routes of a tenant, by name; the platform has none."""
        ...

    def fallbacks(self, tenant: str) -> Mapping[str, str]:
        """The tasks of the tenant's routes that fall back to another, each with the task of that one."""
        ...

    def add(self, route: Route) -> None:
        """Store a new route. Raises AlreadyExists `ROUTE_EXISTS`."""
        ...

    def put(self, route: Route) -> None:
        """Store a new version of a route."""
        ...

    def remove(self, route: Route) -> None:
        """Remove a route."""
        ...


class Policies(Protocol):
    """The stored policies of tenants."""

    def get(self, tenant: Owner) -> RoutingPolicy | None:
        """The policy of `tenant`; None as long as nobody changed it."""
        ...

    def put(self, policy: RoutingPolicy) -> None:
        """Store a policy, the first or a new version."""
        ...


class PreferenceSets(Protocol):
    """The stored preferences of users."""

    def get(self, user: Owner) -> Preferences | None:
        """The preferences of `user`; None as long as nobody changed them."""
        ...

    def of_scope(self, scope: Owner) -> Sequence[Preferences]:
        """Those of all users of a tenant, by name; the platform has none."""
        ...

    def put(self, preferences: Preferences) -> None:
        """Store preferences, the first or a new version."""
        ...


class Profiles(Protocol):
    """The stored profiles. Which one is active, the preferences of its user say."""

    def get(self, name: ProfileName) -> Profile | None:
        """The profile called `name`."""
        ...

    def page(self, user: Owner, *, after: str | None, limit: int) -> Sequence[Profile]:
        """Up to `limit` profiles of `user`, by id, those after the id `after`."""
        ...

    def of_scope(self, scope: Owner) -> Sequence[Profile]:
        """Those of all users of a tenant, by name; the platform has none."""
        ...

    def count(self, user: Owner) -> int:
        """How many `user` has."""
        ...

    def add(self, profile: Profile) -> None:
        """Store a new profile. Raises AlreadyExists `PROFILE_EXISTS`."""
        ...

    def put(self, profile: Profile) -> None:
        """Store a new version of a profile."""
        ...

    def remove(self, profile: Profile) -> None:
        """Remove a profile."""
        ...
