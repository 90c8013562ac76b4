"""Reading single routes, policies, preferences and profiles, and pages of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from libs.core.resource_names import Owner, ProfileName, RouteName
from services.provider_config.domain.policy import PlatformFallback, RoutingPolicy
from services.provider_config.domain.ports import Transaction
from services.provider_config.domain.preference import Preferences
from services.provider_config.domain.profile import Profile
from services.provider_config.domain.route import Route, RouteSettings
from services.provider_config.domain.routing_errors import profile_not_found, route_not_found
from services.provider_config.domain.versions import Version, newest_first


def get_route(transaction: Transaction, name: RouteName) -> Route:
    """The route. Raises NotFound `ROUTE_NOT_FOUND`."""
    route = transaction.routes.get(name)
    if route is None:
        raise route_not_found(name)
    return route


def list_routes(transaction: Transaction, tenant: Owner, *, after: str | None, size: int) -> Sequence[Route]:
    """A page of the routes of a tenant, by task, and one more when there is a next page."""
    return transaction.routes.page(tenant, after=after, limit=size + 1)


def route_versions(
    transaction: Transaction, name: RouteName, *, before: int | None
) -> tuple[Route, Iterator[Version[RouteSettings]]]:
    """The route, and its versions before the number `before`, newest first, read as they are taken.

    Raises NotFound `ROUTE_NOT_FOUND`.
    """
    route = get_route(transaction, name)
    return route, newest_first(transaction.route_versions, route.uid, before=before)


def get_policy(transaction: Transaction, tenant: Owner) -> RoutingPolicy:
    """The policy of a tenant; one that nobody changed has its defaults."""
    return transaction.policies.get(tenant) or RoutingPolicy(tenant=tenant)


def allows_platform(transaction: Transaction, tenant: Owner, user: Owner | None = None) -> bool:
    """Whether the platform's providers may serve a tenant, or one of its users.

    While it has no provider of its own, nor the user, and else by the tenant's policy.
    """
    owners = (tenant,) if user is None else (user, tenant)
    if not any(transaction.providers.page(owner, after=None, limit=1) for owner in owners):
        return True
    return get_policy(transaction, tenant).platform_fallback is PlatformFallback.LAST


def get_preferences(transaction: Transaction, user: Owner) -> Preferences:
    """The preferences of a user; those that nobody changed are empty."""
    return transaction.preferences.get(user) or Preferences(user=user)


def get_profile(transaction: Transaction, name: ProfileName) -> Profile:
    """The profile. Raises NotFound `PROFILE_NOT_FOUND`."""
    profile = transaction.profiles.get(name)
    if profile is None:
        raise profile_not_found(name)
    return profile


def list_profiles(transaction: Transaction, user: Owner, *, after: str | None, size: int) -> Sequence[Profile]:
    """A page of the profiles of a user, by id, and one more when there is a next page."""
    return transaction.profiles.page(user, after=after, limit=size + 1)
