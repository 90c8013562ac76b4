"""What a router that knows a scope up to a revision has to be sent."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from libs.core.resource_names import Owner, ProfileName, ProviderName, RouteName
from services.provider_config.domain.policy import RoutingPolicy
from services.provider_config.domain.ports import Transaction
from services.provider_config.domain.preference import Preferences
from services.provider_config.domain.profile import Profile
from services.provider_config.domain.route import Route
from services.provider_config.domain.snapshot import ProviderSnapshot, Snapshot, SnapshotDelta

# Up to so many changed names are looked up one by one; for more, reading the whole scope is quicker.
_LOOKED_UP = 16
# More than a scope can hold.
_ALL = 1_000_000


def news_of(transaction: Transaction, scope: Owner, *, since: int) -> Snapshot | SnapshotDelta:
    """What changed in `scope` after `since`, or all that it holds.

    All, when it is not known any more what changed, and when that is as much as there is. What a delta holds beside the
    names of what is gone is part of the whole, and few names are remembered: the bound on a scope covers both.
    """
    names = transaction.changed_names(scope, since=since)
    if names is None:
        return transaction.snapshot(scope)
    if len(names) > _LOOKED_UP:
        whole = transaction.snapshot(scope)
        return whole if len(names) >= whole.size else _part(whole, since, frozenset(names))
    news = _News()
    for name in sorted(names):
        news.look_up(transaction, name)
    return SnapshotDelta(
        scope=scope,
        from_revision=since,
        revision=transaction.revision(),
        providers=news.providers,
        routes=news.routes,
        preferences=news.preferences,
        profiles=news.profiles,
        policy=news.policy,
        deleted=news.deleted,
    )


def changed_resource(name: str) -> ProviderName | RouteName | ProfileName | Owner:
    """What a change is noted under; an Owner stands for a user's preferences or a tenant's policy.

    Raises ValueError for names of anything else: their changes could not be sent.
    """
    match name.split("/"):
        case ["platform", "providers", _] | ["tenants", _, "providers", _] | ["tenants", _, "users", _, "providers", _]:
            return ProviderName.parse(name)
        case ["tenants", _, "routes", _]:
            return RouteName.parse(name)
        case ["tenants", _, "users", _, "profiles", _]:
            return ProfileName.parse(name)
        case ["tenants", tenant, "users", user, "preferences"]:
            return Owner(tenant, user)
        case ["tenants", tenant, "policy"]:
            return Owner(tenant)
        case _:
            raise ValueError(f"changes of {name} cannot be sent to routers")


@dataclass(slots=True)
class _News:
    """What a delta says."""

    providers: list[ProviderSnapshot] = field(default_factory=list)
    routes: list[Route] = field(default_factory=list)
    preferences: list[Preferences] = field(default_factory=list)
    profiles: list[Profile] = field(default_factory=list)
    policy: RoutingPolicy | None = None
    deleted: list[str] = field(default_factory=list)

    def look_up(self, transaction: Transaction, name: str) -> None:
        """Add what is called `name` as it is now."""
        match changed_resource(name):
            case ProviderName() as provider_name:
                provider = transaction.providers.get(provider_name)
                if provider is not None:
                    models = transaction.models.page(provider, after=None, limit=_ALL)
                    self.providers.append(ProviderSnapshot(provider=provider, models=models))
                    return
            case RouteName() as route_name:
                route = transaction.routes.get(route_name)
                if route is not None:
                    self.routes.append(route)
                    return
            case ProfileName() as profile_name:
                profile = transaction.profiles.get(profile_name)
                if profile is not None:
                    self.profiles.append(profile)
                    return
            case Owner(user=None) as tenant:
                self.policy = transaction.policies.get(tenant)
                return
            case Owner() as user:
                preferences = transaction.preferences.get(user)
                if preferences is not None:
                    self.preferences.append(preferences)
                    return
        self.deleted.append(name)


def _part(whole: Snapshot, since: int, names: AbstractSet[str]) -> SnapshotDelta:
    """Of `whole` what has one of `names`."""
    providers = {str(each.provider.name): each for each in whole.providers}
    routes = {str(each.name): each for each in whole.routes}
    preferences = {each.name: each for each in whole.preferences}
    profiles = {str(each.name): each for each in whole.profiles}
    policies = {} if whole.policy is None else {whole.policy.name: whole.policy}
    held = providers.keys() | routes.keys() | preferences.keys() | profiles.keys() | policies.keys()
    return SnapshotDelta(
        scope=whole.scope,
        from_revision=since,
        revision=whole.revision,
        providers=[each for name, each in providers.items() if name in names],
        routes=[each for name, each in routes.items() if name in names],
        preferences=[each for name, each in preferences.items() if name in names],
        profiles=[each for name, each in profiles.items() if name in names],
        policy=next((each for name, each in policies.items() if name in names), None),
        deleted=sorted(names - held),
    )
