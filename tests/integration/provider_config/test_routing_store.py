"""The store's contract for routes, policies, preferences and profiles: in memory, SQLite and PostgreSQL alike."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import select

from libs.core.errors import Aborted, GatehouseError, InvalidArgument, ResourceExhausted
from libs.core.provider_types import Capabilities
from libs.core.resource_names import ModelName, Owner, ProfileName, ProviderName, RouteName
from libs.storage.database import Database
from services.provider_config.domain.create_route import create_route
from services.provider_config.domain.delete_profile import delete_profile
from services.provider_config.domain.delete_route import delete_route
from services.provider_config.domain.policy import PlatformFallback
from services.provider_config.domain.ports import ConfigStore, Transaction
from services.provider_config.domain.preference import Choice, Preferences, PreferenceSettings, TaskChoice
from services.provider_config.domain.profile import MAX_PROFILES, Profile, ProfileSettings
from services.provider_config.domain.route import (
    CacheMode,
    CachePolicy,
    ComplexityTier,
    Experiment,
    ExperimentArm,
    Route,
    RouteSettings,
    RouteTarget,
    RoutingStrategy,
)
from services.provider_config.domain.routing_look_up import (
    get_policy,
    get_preferences,
    get_profile,
    get_route,
    list_profiles,
    list_routes,
)
from services.provider_config.domain.routing_size import preferences_bytes, profile_bytes, route_bytes
from services.provider_config.domain.scope_size import model_bytes, provider_bytes
from services.provider_config.domain.switch_profile import activate_profile
from services.provider_config.domain.update_policy import UpdatePolicy, update_policy
from services.provider_config.domain.update_route import RollbackRoute, rollback_route
from services.provider_config.domain.versions import MOST_KEPT
from services.provider_config.storage.store import SqlConfigStore
from services.provider_config.storage.tables import provider_references, versions
from tests.unit.provider_config.builders import ACME, act, drop_model, list_route_versions, provider_name
from tests.unit.provider_config.memory_store import NOW, SEAL
from tests.unit.provider_config.routing_builders import (
    PLATFORM,
    USER,
    FakeKeys,
    change_route,
    prefer,
    profile,
    provide,
    route,
    route_creation,
    route_settings,
    target,
)

_NAME = RouteName("acme", "t")
_EVERYTHING = RouteSettings(
    display_name="Ünïcode 🎉",
    description="two\nlines",
    active=False,
    strategy=RoutingStrategy.COMPLEXITY,
    targets=(
        RouteTarget(
            provider=ProviderName(ACME, "main"),
            model="m",
            weight=0,
            plans=("pro", "enterprise"),
            requires=Capabilities(tools=True, embeddings=True),
        ),
        RouteTarget(provider=ProviderName(Owner(), "main"), requires=Capabilities()),
    ),
    fallbacks=(target("spare"),),
    fallback_route=RouteName("acme", "default"),
    tiers=(
        ComplexityTier(tier_id="simple", most_score=0, targets=(target(), target("spare"))),
        ComplexityTier(tier_id="hard", most_score=100, targets=(target(weight=1_000_000),)),
    ),
    experiment=Experiment(
        experiment_id="cheaper",
        active=False,
        arms=(ExperimentArm(arm_id="control", share_percent=100, target=target(plans=("free",))),),
    ),
    cache=CachePolicy(mode=CacheMode.EXACT, time_to_live=timedelta(days=30, microseconds=-1)),
    labels={"team": "a", "empty": ""},
)


def _read_route(task: str = "t") -> partial[Route]:
    return partial(get_route, name=RouteName("acme", task))


@pytest.mark.parametrize(
    "settings",
    [
        _EVERYTHING,
        route_settings(active=False),
        route_settings(active=False, cache=CachePolicy()),
        replace(_EVERYTHING, cache=CachePolicy(mode=CacheMode.OFF, time_to_live=timedelta(seconds=1))),
    ],
)
async def test_a_route_and_its_versions_are_read_as_they_were_stored(
    store: ConfigStore, settings: RouteSettings
) -> None:
    created = (await store.write(partial(create_route, command=route_creation("t", settings)))).resource
    assert created.settings == settings
    assert created == await store.read(_read_route())
    later = created.changed(route_settings(active=False), now=NOW + timedelta(days=1, microseconds=1))
    await store.write(lambda transaction: transaction.routes.put(later))
    assert later == await store.read(_read_route())
    _, (first,) = await store.read(partial(list_route_versions, name=_NAME))
    assert (first.settings, first.version, first.change_time) == (settings, 1, NOW)


async def test_routes_are_apart_by_tenant(store: ConfigStore) -> None:
    for tenant in ("acme", "acme2", "acm"):
        command = route_creation("t", route_settings(active=False, display_name=tenant), tenant=tenant)
        await store.write(partial(create_route, command=command))
    for tenant in ("acme", "acme2", "acm"):
        (found,) = await store.read(partial(list_routes, tenant=Owner(tenant), after=None, size=9))
        assert (found.name, found.settings.display_name) == (RouteName(tenant, "t"), tenant)
        assert await store.read(lambda transaction: transaction.routes.of_scope(Owner())) == []
    assert await store.read(partial(list_routes, tenant=Owner("nobody"), after=None, size=9)) == []


async def test_pages_of_routes_and_profiles_are_by_id(store: ConfigStore) -> None:
    ids = ["a", "a-b", "a.b", "a_b", "a0", "aa", "b", "0"]
    await provide(store)
    for name in ids:
        await route(store, name)
        await profile(store, FakeKeys(), name)
    pages: list[Any] = [
        lambda after: partial(list_routes, tenant=ACME, after=after, size=2),
        lambda after: partial(list_profiles, user=USER, after=after, size=2),
    ]
    for page in pages:
        seen: list[str] = []
        after: str | None = None
        while True:
            found = [str(each.name).rpartition("/")[2] for each in await store.read(page(after))]
            seen += found[:2]
            if len(found) < 3:
                break
            after = found[1]
        assert seen == sorted(ids)


async def test_only_the_last_versions_are_kept(store: ConfigStore) -> None:
    await provide(store)
    await route(store)
    for number in range(MOST_KEPT + 5):
        await change_route(store, display_name=f"v{number}")
    present, found = await store.read(partial(list_route_versions, name=_NAME))
    assert [each.version for each in found] == list(range(MOST_KEPT + 6, 6, -1))
    assert found[0].settings == present.settings
    _, page = await store.read(partial(list_route_versions, name=_NAME, before=50, size=2))
    assert [each.version for each in page] == [49, 48]
    with pytest.raises(GatehouseError) as caught:
        await store.write(partial(rollback_route, command=RollbackRoute(name=_NAME, version=6, act=act())))
    assert caught.value.reason == "VERSION_NOT_FOUND"
    await store.write(partial(rollback_route, command=RollbackRoute(name=_NAME, version=7, act=act())))


async def test_there_is_no_way_back_to_a_model_that_is_gone(store: ConfigStore) -> None:
    await provide(store, "main", "m", "old")
    await route(store, "t", target(model="old"))
    await change_route(store, targets=(target(model="m"),))
    await store.write(drop_model(ModelName(provider_name("main"), "old"), force=True))
    with pytest.raises(InvalidArgument) as caught:
        await store.write(partial(rollback_route, command=RollbackRoute(name=_NAME, version=1, act=act())))
    assert caught.value.metadata == {"field": "route.targets[0].model"}
    assert (await store.read(_read_route())).version == 2


async def test_a_policy_is_read_as_it_was_stored(store: ConfigStore) -> None:
    for fallback in (PlatformFallback.LAST, PlatformFallback.NEVER):
        command = UpdatePolicy(tenant=ACME, platform_fallback=fallback, uid="u", act=act())
        changed = (await store.write(partial(update_policy, command=command))).resource
        assert changed == await store.read(partial(get_policy, tenant=ACME))
        assert (changed.platform_fallback, changed.update_time) == (fallback, NOW)
    assert (await store.read(partial(get_policy, tenant=Owner("other")))).version == 0


async def test_preferences_and_profiles_are_read_as_they_were_stored(store: ConfigStore) -> None:
    choice = Choice(provider=ProviderName(USER, "mine"), model="m")
    tasks = (
        TaskChoice(task="cv", choice=choice),
        TaskChoice(task="a", choice=Choice(provider=ProviderName(ACME, "x"))),
    )
    name = ProfileName("acme", "ann", "work")
    stored_profile = Profile(
        name=name,
        uid="p",
        version=1,
        settings=ProfileSettings(
            display_name="Ünïcode 🎉",
            description="two\nlines",
            providers=(ProviderName(Owner(), "x"), choice.provider),
            preferred=choice,
            tasks=tasks,
        ),
        create_time=NOW,
        update_time=NOW,
    )
    preferences = Preferences(user=USER).changed(PreferenceSettings(preferred=choice, tasks=tasks), uid="u", now=NOW)

    def add(transaction: Transaction) -> None:
        transaction.profiles.add(stored_profile)
        transaction.preferences.put(preferences)

    await store.write(add)
    assert await store.read(partial(get_profile, name=name)) == stored_profile
    assert await store.read(partial(get_preferences, user=USER)) == preferences
    later = preferences.switched(name, uid="", now=NOW + timedelta(microseconds=1))
    emptied = stored_profile.changed(ProfileSettings(), now=NOW)

    def put(transaction: Transaction) -> None:
        transaction.profiles.put(emptied)
        transaction.preferences.put(later)

    await store.write(put)
    assert await store.read(partial(get_preferences, user=USER)) == later
    assert await store.read(partial(get_profile, name=name)) == replace(emptied, active=True)


async def test_a_snapshot_holds_all_of_the_scope_and_its_size_is_their_sum(store: ConfigStore) -> None:
    keys = FakeKeys()
    for owner in (ACME, PLATFORM, Owner("other")):
        await provide(store, "main", owner=owner)
    for task in ("b", "a"):
        await route(store, task)
    await profile(store, keys, "work", preferred="main")
    await profile(store, keys, "home")
    await prefer(store, keys, preferred="main")
    await prefer(store, keys, user=Owner("acme", "al"), preferred="main")
    await prefer(store, keys, user=Owner("other", "ann"), preferred="main")
    await store.write(partial(activate_profile, name=ProfileName("acme", "ann", "work"), uid="", act=act()))
    policy = UpdatePolicy(tenant=ACME, platform_fallback=PlatformFallback.LAST, uid="u", act=act())
    await store.write(partial(update_policy, command=policy))
    snapshot = await store.read(lambda transaction: transaction.snapshot(ACME))
    assert [each.name.task for each in snapshot.routes] == ["a", "b"]
    assert [each.user.user for each in snapshot.preferences] == ["al", "ann"]
    assert [(each.name.profile, each.active) for each in snapshot.profiles] == [("home", False), ("work", True)]
    assert snapshot.policy is not None
    counted = await store.read(lambda transaction: transaction.scope_bytes(ACME))
    assert counted == (
        sum(provider_bytes(each.provider) + sum(map(model_bytes, each.models)) for each in snapshot.providers)
        + sum(map(route_bytes, snapshot.routes))
        + sum(map(preferences_bytes, snapshot.preferences))
        + sum(map(profile_bytes, snapshot.profiles))
    )
    user = Owner("acme", "ann")
    await provide(store, "own", "m", owner=user)
    snapshot = await store.read(lambda transaction: transaction.snapshot(ACME))
    (own,) = (each for each in snapshot.providers if each.provider.name.owner == user)
    assert await store.read(lambda transaction: transaction.scope_bytes(user)) == (
        provider_bytes(own.provider)
        + sum(map(model_bytes, own.models))
        + sum(preferences_bytes(each) for each in snapshot.preferences if each.user == user)
        + sum(profile_bytes(each) for each in snapshot.profiles if each.name.owner == user)
    )


async def test_who_names_what_is_known_as_long_as_they_do(store: ConfigStore) -> None:
    keys, main = FakeKeys(), ProviderName(ACME, "main")
    await provide(store, "main", "m", "n")
    await provide(store, "spare")
    await route(store, "a", target(model="m"), fallbacks=(target(model="n"), target()))
    await prefer(store, keys, preferred=("main", "m"), tasks={"x": "main"})
    await profile(store, keys, "work", providers=["main"])

    async def users(model: str | None) -> list[str]:
        return list(await store.read(lambda transaction: transaction.users_of(main, model)))

    names = ["tenants/acme/routes/a", "tenants/acme/users/ann/preferences", "tenants/acme/users/ann/profiles/work"]
    assert await users(None) == names
    assert await users("m") == names[:2]
    assert await users("n") == names[:1]
    await change_route(store, "a", targets=(target("spare"),), fallbacks=())
    assert await users(None) == names[1:]
    await prefer(store, keys, preferred=None, tasks={})
    await store.write(partial(delete_profile, name=ProfileName("acme", "ann", "work"), etag="", act=act()))
    assert await users(None) == []
    await store.write(partial(delete_route, name=RouteName("acme", "a"), etag="", act=act()))
    spare = ProviderName(ACME, "spare")
    assert await store.read(lambda transaction: list(transaction.users_of(spare, None))) == []


async def test_a_choice_is_checked_anew_when_it_comes_to_mean_another_provider(store: ConfigStore) -> None:
    class Racing(FakeKeys):
        async def check(self, wanted: Any) -> Any:
            if not self.asked:
                await provide(store, "main", owner=USER)
            return await super().check(wanted)

    await provide(store)
    keys = Racing()
    preferred = (await prefer(store, keys, preferred="main")).resource.settings.preferred
    assert preferred == Choice(provider=ProviderName(USER, "main"))
    assert [[str(name) for name, _ in asked] for asked in keys.asked] == [
        ["tenants/acme/keys/prod"],
        ["tenants/acme/users/ann/keys/prod"],
    ]


# On a database only: several processes.


async def test_of_two_writers_with_one_etag_one_is_aborted(replicas: tuple[ConfigStore, ConfigStore]) -> None:
    await provide(replicas[0])
    for round_ in range(10):
        created = await route(replicas[0], f"t{round_}")
        outcomes = await asyncio.gather(
            *(
                change_route(replica, f"t{round_}", etag=created.etag, display_name=f"by {index}")
                for index, replica in enumerate(replicas)
            ),
            return_exceptions=True,
        )
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Aborted", "Changed"]
        (error,) = [outcome for outcome in outcomes if isinstance(outcome, Aborted)]
        assert error.reason == "ETAG_MISMATCH"


async def test_two_changes_at_once_cannot_make_a_circle_together(replicas: tuple[ConfigStore, ConfigStore]) -> None:
    await provide(replicas[0])
    for round_ in range(10):
        tasks = [f"a{round_}", f"b{round_}"]
        for task in tasks:
            await route(replicas[0], task)
        outcomes = await asyncio.gather(
            change_route(replicas[0], tasks[0], fallback_route=RouteName("acme", tasks[1])),
            change_route(replicas[1], tasks[1], fallback_route=RouteName("acme", tasks[0])),
            return_exceptions=True,
        )
        (refused,) = [outcome for outcome in outcomes if isinstance(outcome, InvalidArgument)]
        assert refused.metadata == {"field": "route.fallback_route"}
        onward = await replicas[0].read(lambda transaction: transaction.routes.fallbacks("acme"))
        assert len({*tasks} & onward.keys()) == 1


async def test_a_route_is_not_deleted_while_another_begins_to_fall_back_to_it(
    replicas: tuple[ConfigStore, ConfigStore],
) -> None:
    await provide(replicas[0])
    await route(replicas[0], "user")
    for round_ in range(10):
        task = f"t{round_}"
        await route(replicas[0], task)
        deleting, _ = await asyncio.gather(
            replicas[0].write(partial(delete_route, name=RouteName("acme", task), etag="", act=act())),
            change_route(replicas[1], "user", fallback_route=RouteName("acme", task)),
            return_exceptions=True,
        )
        named = (await replicas[0].read(_read_route("user"))).settings.fallback_route
        found = await replicas[0].read(partial(list_routes, tenant=ACME, after=None, size=99))
        exists = RouteName("acme", task) in {each.name for each in found}
        assert exists == (named == RouteName("acme", task)) == isinstance(deleting, GatehouseError)


async def test_no_user_gets_more_profiles_by_asking_at_once(replicas: tuple[ConfigStore, ConfigStore]) -> None:
    keys = FakeKeys()
    for number in range(MAX_PROFILES - 3):
        await profile(replicas[0], keys, f"p{number}")
    outcomes = await asyncio.gather(
        *(profile(replicas[number % 2], keys, f"more{number}") for number in range(8)), return_exceptions=True
    )
    refused = [outcome for outcome in outcomes if isinstance(outcome, ResourceExhausted)]
    assert [error.reason for error in refused] == ["TOO_MANY_PROFILES"] * 5
    assert await replicas[0].read(lambda transaction: transaction.profiles.count(USER)) == MAX_PROFILES


async def test_nothing_stays_of_what_was_deleted(config_url: str) -> None:
    async with Database.open(config_url, name="config") as database:
        store = SqlConfigStore(database, SEAL, changed=lambda: None)
        await provide(store)
        await route(store)
        await change_route(store, display_name="x")
        await profile(store, FakeKeys(), "work", providers=["main"])
        await store.write(partial(delete_route, name=_NAME, etag="", act=act()))
        await store.write(partial(delete_profile, name=ProfileName("acme", "ann", "work"), etag="", act=act()))
        remembered = await database.read(
            lambda connection: [
                *connection.execute(select(provider_references)),
                *connection.execute(select(versions).where(versions.c.kind == "route")),
            ]
        )
        assert remembered == []
