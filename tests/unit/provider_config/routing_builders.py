"""What routes and choices name, and commands about them that are right unless a test says otherwise."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from libs.core.resource_names import KeyName, Owner, ProfileName, ProviderName, RouteName
from services.provider_config.domain.changes import Changed
from services.provider_config.domain.checked_choices import CheckedChoices
from services.provider_config.domain.create_profile import CreateProfile, create_profile
from services.provider_config.domain.create_provider import create_provider
from services.provider_config.domain.create_route import CreateRoute, create_route
from services.provider_config.domain.ports import ConfigStore, KeyCheck, KeyUsability
from services.provider_config.domain.preference import Preferences
from services.provider_config.domain.preference_choices import (
    ProviderReference,
    Wanted,
    WantedChoice,
    WantedTaskChoice,
    keys_of,
)
from services.provider_config.domain.profile import Profile
from services.provider_config.domain.provider import Provider, ProviderSettings
from services.provider_config.domain.route import Route, RouteSettings, RouteTarget, RoutingStrategy
from services.provider_config.domain.update_preferences import UpdatePreferences, update_preferences
from services.provider_config.domain.update_profile import UpdateProfile, update_profile
from services.provider_config.domain.update_provider import UpdateProvider, update_provider
from services.provider_config.domain.update_route import UpdateRoute, update_route
from tests.unit.provider_config.builders import ACME, RULES, act, add_model, creation

USER = Owner("acme", "ann")
PLATFORM = Owner()


class FakeKeys:
    """key_vault, where every key can be opened unless a test says otherwise."""

    def __init__(self) -> None:
        self.findings: dict[KeyName, KeyCheck] = {}
        self.asked: list[Sequence[tuple[KeyName, str]]] = []
        self.failure: Exception | None = None

    async def check(self, wanted: Sequence[tuple[KeyName, str]]) -> Sequence[KeyCheck]:
        self.asked.append(wanted)
        if self.failure is not None:
            raise self.failure
        return [
            self.findings.get(name, KeyCheck(usability=KeyUsability.USABLE, origin=origin)) for name, origin in wanted
        ]


def target(provider: str = "main", owner: Owner = ACME, **values: Any) -> RouteTarget:
    return RouteTarget(provider=ProviderName(owner, provider), **values)


def route_settings(*targets: RouteTarget, **values: Any) -> RouteSettings:
    return RouteSettings(**({"strategy": RoutingStrategy.PRIORITY, "targets": targets or (target(),)} | values))


async def provide(
    store: ConfigStore, name: str = "main", *models: str, owner: Owner = ACME, **settings: Any
) -> Provider:
    """A provider with these models, one called `m` if none is named."""
    command = creation(name, owner=owner, **settings)
    provider = (await store.write(partial(create_provider, command=command))).resource
    for model in models or ("m",):
        await store.write(add_model(model, provider=provider.name))
    return provider


async def change_provider(store: ConfigStore, name: str = "main", owner: Owner = ACME, **values: Any) -> Provider:
    command = UpdateProvider(
        name=ProviderName(owner, name), fields=frozenset(values), settings=ProviderSettings(**values), act=act()
    )
    return (await store.write(partial(update_provider, command=command, rules=RULES))).resource


def route_creation(
    task: str, settings: RouteSettings, *, tenant: str = "acme", validate_only: bool = False
) -> CreateRoute:
    return CreateRoute(
        name=RouteName(tenant, task),
        settings=settings,
        uid=str(uuid.uuid4()),
        act=act("CreateRoute"),
        validate_only=validate_only,
    )


async def route(store: ConfigStore, task: str = "t", *targets: RouteTarget, **values: Any) -> Route:
    command = route_creation(task, route_settings(*targets, **values))
    return (await store.write(partial(create_route, command=command))).resource


async def change_route(
    store: ConfigStore, task: str = "t", *, etag: str = "", validate_only: bool = False, **values: Any
) -> Changed[Route]:
    command = UpdateRoute(
        name=RouteName("acme", task),
        fields=frozenset(values),
        settings=RouteSettings(**values),
        etag=etag,
        act=act("UpdateRoute"),
        validate_only=validate_only,
    )
    return await store.write(partial(update_route, command=command))


def wanted(
    resource: str = "preferences",
    *,
    user: Owner = USER,
    preferred: ProviderReference | tuple[ProviderReference, str] | None = None,
    tasks: Mapping[str, ProviderReference] | None = None,
    providers: Sequence[ProviderReference] = (),
) -> Wanted:
    if preferred is not None and not isinstance(preferred, tuple):
        preferred = (preferred, "")
    return Wanted(
        user=user,
        resource=resource,
        providers=tuple(providers),
        preferred=None if preferred is None else WantedChoice(provider=preferred[0], model=preferred[1]),
        tasks=tuple(
            WantedTaskChoice(task=task, choice=WantedChoice(provider=provider))
            for task, provider in (tasks or {}).items()
        ),
    )


async def prefer(
    store: ConfigStore, keys: FakeKeys, *, etag: str = "", user: Owner = USER, **values: Any
) -> Changed[Preferences]:
    command = UpdatePreferences(
        wanted=wanted(user=user, **values),
        fields=frozenset(values),
        etag=etag,
        uid=str(uuid.uuid4()),
        act=act("UpdatePreferences"),
    )
    choices = CheckedChoices(store=store, keys=keys)
    return await choices.write(partial(keys_of, wanted=command.wanted), partial(update_preferences, command=command))


async def profile(
    store: ConfigStore, keys: FakeKeys, name: str = "work", *, validate_only: bool = False, **values: Any
) -> Profile:
    command = CreateProfile(
        name=ProfileName("acme", "ann", name),
        wanted=wanted("profile", **values),
        uid=str(uuid.uuid4()),
        act=act("CreateProfile"),
        validate_only=validate_only,
    )
    choices = CheckedChoices(store=store, keys=keys)
    work = partial(create_profile, command=command)
    return (await choices.write(partial(keys_of, wanted=command.wanted), work)).resource


async def change_profile(
    store: ConfigStore, keys: FakeKeys, name: str = "work", *, etag: str = "", display_name: str = "", **values: Any
) -> Changed[Profile]:
    command = UpdateProfile(
        name=ProfileName("acme", "ann", name),
        fields=frozenset(values) | ({"display_name"} if display_name else set()),
        display_name=display_name,
        wanted=wanted("profile", **values),
        etag=etag,
        act=act("UpdateProfile"),
    )
    choices = CheckedChoices(store=store, keys=keys)
    return await choices.write(partial(keys_of, wanted=command.wanted), partial(update_profile, command=command))
