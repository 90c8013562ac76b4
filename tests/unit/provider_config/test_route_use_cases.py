"""What may be done with routes and policies."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from libs.core.errors import (
    Aborted,
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
)
from libs.core.resource_names import ModelName, Owner, ProviderName, RouteName
from services.provider_config.domain import changes
from services.provider_config.domain.create_route import create_route
from services.provider_config.domain.delete_route import delete_route
from services.provider_config.domain.model import ModelSettings
from services.provider_config.domain.policy import PlatformFallback
from services.provider_config.domain.route import (
    ComplexityTier,
    Experiment,
    ExperimentArm,
    Route,
    RouteSettings,
    RoutingStrategy,
)
from services.provider_config.domain.routing_look_up import get_policy, get_route
from services.provider_config.domain.update_model import UpdateModel, update_model
from services.provider_config.domain.update_policy import UpdatePolicy, update_policy
from services.provider_config.domain.update_route import RollbackRoute, rollback_route
from tests.unit.provider_config.builders import (
    ACME,
    NOTHING_KNOWN,
    act,
    add_model,
    drop_model,
    drop_provider,
    list_route_versions,
    provider_name,
)
from tests.unit.provider_config.memory_store import MemoryStore
from tests.unit.provider_config.routing_builders import (
    PLATFORM,
    change_provider,
    change_route,
    provide,
    route,
    route_creation,
    route_settings,
    target,
)


@pytest.fixture
async def store() -> MemoryStore:
    """With one provider `main`, whose one model is `m`."""
    store = MemoryStore()
    await provide(store)
    return store


async def _get(store: MemoryStore, task: str = "t") -> Route:
    return await store.read(partial(get_route, name=RouteName("acme", task)))


async def _delete(store: MemoryStore, task: str = "t", etag: str = "") -> int:
    return await store.write(partial(delete_route, name=RouteName("acme", task), etag=etag, act=act("DeleteRoute")))


async def _rollback(store: MemoryStore, version: int, etag: str = "") -> Any:
    command = RollbackRoute(name=RouteName("acme", "t"), version=version, etag=etag, act=act("RollbackRoute"))
    return await store.write(partial(rollback_route, command=command))


async def _disable_model(store: MemoryStore, provider: str = "main", model: str = "m") -> None:
    command = UpdateModel(
        name=ModelName(provider_name(provider), model),
        fields=frozenset({"enabled"}),
        settings=ModelSettings(enabled=False),
        act=act(),
    )
    await store.write(partial(update_model, command=command, catalogue=NOTHING_KNOWN))


async def _refused_fields(call: Any) -> list[str]:
    with pytest.raises(InvalidArgument) as caught:
        await call
    return [violation.field for violation in caught.value.field_violations]


async def test_each_change_has_the_next_revision_and_version(store: MemoryStore) -> None:
    before = await store.read(lambda transaction: transaction.revision())
    created = await store.write(partial(create_route, command=route_creation("t", route_settings())))
    changed = await change_route(store, display_name="x")
    assert [created.revision, changed.revision, await _delete(store)] == [before + 1, before + 2, before + 3]
    assert (created.resource.version, changed.resource.version) == (1, 2)
    assert created.resource.created_by == "tenants/acme/users/ann"


async def test_a_task_has_one_route_of_each_tenant(store: MemoryStore) -> None:
    await route(store)
    with pytest.raises(AlreadyExists) as caught:
        await route(store)
    assert (caught.value.reason, caught.value.metadata) == ("ROUTE_EXISTS", {"name": "tenants/acme/routes/t"})
    await provide(store, owner=Owner("other"))
    elsewhere = route_creation("t", route_settings(target(owner=Owner("other"))), tenant="other")
    await store.write(partial(create_route, command=elsewhere))


async def test_an_active_route_may_use_the_platforms_providers_where_they_may_serve(store: MemoryStore) -> None:
    await provide(store, "shared", owner=PLATFORM)
    with pytest.raises(InvalidArgument) as caught:
        await route(store, "t", target(), target("shared", PLATFORM))
    assert [each.field for each in caught.value.field_violations] == ["route.targets[1].provider"]
    assert "must not be of the platform" in caught.value.message
    assert not (await route(store, "later", target("shared", PLATFORM), active=False)).settings.active
    await _policy(store, PlatformFallback.LAST)
    assert (await route(store, "t", target("shared", PLATFORM))).settings.active
    # Of a tenant that has none, they serve every call.
    elsewhere = route_creation("t", route_settings(target("shared", PLATFORM)), tenant="bare")
    assert (await store.write(partial(create_route, command=elsewhere))).resource.settings.active


_ELSEWHERE = target("gone")


@pytest.mark.parametrize(
    ("settings", "path"),
    [
        (route_settings(target(), _ELSEWHERE), "targets[1]"),
        (route_settings(fallbacks=(target(), _ELSEWHERE)), "fallbacks[1]"),
        (route_settings(experiment=Experiment(experiment_id="e", active=False, arms=(
            ExperimentArm(arm_id="a", share_percent=1, target=_ELSEWHERE),))), "experiment.arms[0].target"),
        (RouteSettings(strategy=RoutingStrategy.COMPLEXITY, tiers=(
            ComplexityTier(tier_id="a", most_score=1, targets=(target(),)),
            ComplexityTier(tier_id="b", most_score=100, targets=(target(), _ELSEWHERE)))), "tiers[1].targets[1]"),
    ],
)  # fmt: skip
async def test_all_that_an_active_route_names_must_exist(
    store: MemoryStore, settings: RouteSettings, path: str
) -> None:
    work = partial(create_route, command=route_creation("t", settings))
    assert await _refused_fields(store.write(work)) == [f"route.{path}.provider"]
    await provide(store, "gone")
    await store.write(work)


async def test_every_missing_and_disabled_thing_is_named_at_once(store: MemoryStore) -> None:
    await provide(store, "off", active=False)
    await provide(store, "half", "on", "disabled")
    await _disable_model(store, "half", "disabled")
    targets = (
        target("gone"),
        target("off"),
        target("half", model="none"),
        target("half", model="disabled"),
        target("half", model="on"),
    )
    assert await _refused_fields(route(store, "t", *targets, fallback_route=RouteName("acme", "none"))) == [
        "route.targets[0].provider",
        "route.targets[1].provider",
        "route.targets[2].model",
        "route.targets[3].model",
        "route.fallback_route",
    ]


async def test_where_no_model_is_named_the_default_must_serve(store: MemoryStore) -> None:
    await provide(store, "other", "a", default_model="b")
    assert await _refused_fields(route(store, "t", target("other"))) == ["route.targets[0].model"]
    await change_provider(store, "other", default_model="a")
    await route(store, "t", target("other"))


async def test_without_a_default_any_enabled_model_will_do(store: MemoryStore) -> None:
    await _disable_model(store)
    assert await _refused_fields(route(store)) == ["route.targets[0].model"]
    # More than one page of them, and only the last is enabled.
    for number in range(201):
        await store.write(add_model(f"a{number:03}", provider=provider_name("main"), enabled=number == 200))
    await route(store)


async def test_an_inactive_route_may_name_what_does_not_exist_and_is_checked_when_activated(
    store: MemoryStore,
) -> None:
    await route(store, "t", target("gone"), active=False, fallback_route=RouteName("acme", "none"))
    assert await _refused_fields(change_route(store, active=True)) == [
        "route.targets[0].provider",
        "route.fallback_route",
    ]
    await provide(store, "gone")
    await route(store, "none", active=False)
    assert await _refused_fields(change_route(store, active=True)) == ["route.fallback_route"]
    await change_route(store, "none", active=True)
    assert (await change_route(store, active=True)).resource.settings.active


async def test_a_route_stays_when_what_it_names_breaks_and_its_texts_can_be_changed(store: MemoryStore) -> None:
    await route(store, "t", target(model="m"))
    await _disable_model(store)
    assert (await _get(store)).settings.active
    assert (await change_route(store, display_name="x", labels={"a": "b"})).resource.settings.display_name == "x"
    for change in ({"strategy": RoutingStrategy.LEAST_BUSY}, {"active": True}, {"fallbacks": ()}):
        assert await _refused_fields(change_route(store, **change)) == ["route.targets[0].model"]
    assert not (await change_route(store, active=False)).resource.settings.active


async def test_fields_are_checked_against_those_that_stay(store: MemoryStore) -> None:
    await route(store, "t", target(weight=0))
    assert await _refused_fields(change_route(store, strategy=RoutingStrategy.WEIGHTED)) == ["route.targets"]
    assert await _refused_fields(change_route(store, strategy=RoutingStrategy.COMPLEXITY)) == ["route.tiers"]
    assert await _refused_fields(change_route(store, strategy=None)) == ["route.strategy"]
    assert await _refused_fields(change_route(store, targets=())) == ["route.targets"]


async def test_unset_weights_are_those_of_the_providers(store: MemoryStore) -> None:
    await provide(store, "weightless", weight=0)
    weighted = {"strategy": RoutingStrategy.WEIGHTED}
    assert await _refused_fields(route(store, "t", target("weightless"), **weighted)) == ["route.targets"]
    await route(store, "t", target("weightless"), target("main"), **weighted)
    await route(store, "u", target("weightless", weight=1), **weighted)


async def test_two_routes_cannot_fall_back_to_each_other(store: MemoryStore) -> None:
    await route(store, "a")
    assert await _refused_fields(change_route(store, "a", fallback_route=RouteName("acme", "a"))) == [
        "route.fallback_route"
    ]
    await route(store, "b", fallback_route=RouteName("acme", "a"))
    await route(store, "c", fallback_route=RouteName("acme", "b"))
    with pytest.raises(InvalidArgument) as caught:
        await change_route(store, "a", fallback_route=RouteName("acme", "c"))
    assert "a -> c -> b -> a" in caught.value.message


async def test_a_circle_over_a_route_that_did_not_exist_is_refused_too(store: MemoryStore) -> None:
    await route(store, "a", active=False, fallback_route=RouteName("acme", "b"))
    refused = route(store, "b", active=False, fallback_route=RouteName("acme", "a"))
    assert await _refused_fields(refused) == ["route.fallback_route"]
    await route(store, "b")


async def test_a_route_in_use_is_not_deleted(store: MemoryStore) -> None:
    await route(store, "a")
    for user in ("c", "b"):
        await route(store, user, active=user == "b", fallback_route=RouteName("acme", "a"))
    with pytest.raises(FailedPrecondition) as caught:
        await _delete(store, "a")
    assert caught.value.reason == "ROUTE_IN_USE"
    assert caught.value.metadata == {"name": "tenants/acme/routes/a", "count": "2"}
    assert [each.subject for each in caught.value.precondition_violations] == [
        "tenants/acme/routes/b",
        "tenants/acme/routes/c",
    ]
    for user in ("b", "c"):
        await change_route(store, user, fallback_route=None)
    await _delete(store, "a")
    with pytest.raises(NotFound) as gone:
        await _get(store, "a")
    assert gone.value.reason == "ROUTE_NOT_FOUND"


async def test_a_stale_etag_changes_nothing(store: MemoryStore) -> None:
    before = await route(store)
    await change_route(store, etag=before.etag, display_name="first")
    for change in (
        change_route(store, etag=before.etag, display_name="second"),
        _rollback(store, 1, before.etag),
        _delete(store, etag=before.etag),
    ):
        with pytest.raises(Aborted) as caught:
            await change
        assert (caught.value.reason, caught.value.metadata) == ("ETAG_MISMATCH", {"name": "tenants/acme/routes/t"})
    assert (await _get(store)).settings.display_name == "first"


async def test_an_update_that_changes_nothing_leaves_no_trace(store: MemoryStore) -> None:
    before = await route(store, display_name="same")
    recorded = len(store.events)
    after = await change_route(store, display_name="same", targets=before.settings.targets)
    assert after.resource == before
    assert after.revision == await store.read(lambda transaction: transaction.revision())
    assert len(store.events) == recorded


async def test_validating_checks_everything_and_changes_nothing(store: MemoryStore) -> None:
    command = route_creation("t", route_settings(), validate_only=True)
    assert (await store.write(partial(create_route, command=command))).revision == 0
    with pytest.raises(NotFound):
        await _get(store)
    before = await route(store)
    recorded = len(store.events)
    validated = await change_route(store, validate_only=True, display_name="x")
    assert (validated.resource.settings.display_name, validated.revision) == ("x", 0)
    assert (await change_route(store, validate_only=True, display_name="")).revision == 0
    assert await _refused_fields(change_route(store, validate_only=True, targets=(target("gone"),))) == [
        "route.targets[0].provider"
    ]
    with pytest.raises(Aborted):
        await change_route(store, validate_only=True, etag="stale", display_name="x")
    assert (await _get(store), len(store.events)) == (before, recorded)


async def _versions(store: MemoryStore) -> list[tuple[int, str]]:
    _, found = await store.read(partial(list_route_versions, name=RouteName("acme", "t")))
    return [(each.version, each.settings.display_name) for each in found]


async def test_a_route_goes_back_to_what_it_was_as_a_new_version(store: MemoryStore) -> None:
    await route(store, display_name="one")
    await change_route(store, display_name="two")
    restored = await _rollback(store, 1)
    assert (restored.resource.version, restored.resource.settings.display_name) == (3, "one")
    assert await _versions(store) == [(3, "one"), (2, "two"), (1, "one")]
    assert dict(store.events[-1].details) == {"fields": "display_name", "restored": "1", "version": "3"}


async def test_there_is_no_way_back_to_what_is_gone(store: MemoryStore) -> None:
    await provide(store, "old", "x")
    await route(store, "t", target("old", model="x"))
    await change_route(store, targets=(target(),))
    await store.write(drop_model(ModelName(provider_name("old"), "x"), force=True))
    assert await _refused_fields(_rollback(store, 1)) == ["route.targets[0].model"]
    with pytest.raises(NotFound) as caught:
        await _rollback(store, 9)
    assert caught.value.reason == "VERSION_NOT_FOUND"
    assert caught.value.metadata == {"name": "tenants/acme/routes/t", "version": "9"}
    assert (await _get(store)).version == 2


async def test_a_route_created_anew_has_no_past(store: MemoryStore) -> None:
    await route(store, display_name="old")
    await _delete(store)
    await route(store, display_name="new")
    assert await _versions(store) == [(1, "new")]


async def test_each_change_is_in_the_audit_log_once(store: MemoryStore) -> None:
    recorded = len(store.events)
    await route(store)
    await change_route(store, display_name="x", strategy=RoutingStrategy.LEAST_BUSY)
    await _delete(store)
    assert [(each.action, each.scope, each.target, dict(each.details)) for each in store.events[recorded:]] == [
        ("CreateRoute", "tenants/acme", "tenants/acme/routes/t", {"strategy": "PRIORITY"}),
        ("UpdateRoute", "tenants/acme", "tenants/acme/routes/t", {"fields": "display_name,strategy", "version": "2"}),
        ("DeleteRoute", "tenants/acme", "tenants/acme/routes/t", {}),
    ]


async def test_a_route_is_bounded_as_a_whole_too(store: MemoryStore) -> None:
    plans = tuple(f"{number:02d}" + "x" * 62 for number in range(32))
    targets = tuple(target(model=f"m{number}", plans=plans) for number in range(32))
    await route(store, "large", *targets, active=False)
    with pytest.raises(InvalidArgument) as caught:
        await change_route(store, "large", fallbacks=targets)
    assert [each.field for each in caught.value.field_violations] == ["route"]
    with pytest.raises(InvalidArgument) as caught:
        await route(store, "larger", *targets, active=False, fallbacks=targets)
    assert [each.field for each in caught.value.field_violations] == ["route"]


async def test_a_full_scope_takes_no_more_but_can_shrink(store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    await route(store, "a", description="x" * 2000)
    full = await store.read(lambda transaction: transaction.scope_bytes(ACME))
    monkeypatch.setattr(changes, "MAX_SCOPE_BYTES", full + 100)
    for change in (route(store, "b"), change_route(store, "a", labels={"a": "x" * 200})):
        with pytest.raises(ResourceExhausted) as caught:
            await change
        assert (caught.value.reason, caught.value.metadata) == ("SCOPE_FULL", {"scope": "tenants/acme"})
    await change_route(store, "a", description="")
    await route(store, "b")
    await _delete(store, "b")
    await change_route(store, "a", description="x" * 2000)


async def test_who_names_a_provider_or_model_is_known(store: MemoryStore) -> None:
    main, spare = ProviderName(ACME, "main"), ProviderName(ACME, "spare")
    await provide(store, "spare", "m")
    await route(store, "a", target(model="m"))
    await route(store, "b", target("spare"), fallbacks=(target(),))

    async def users(provider: ProviderName, model: str | None = None) -> list[str]:
        return list(await store.read(lambda transaction: transaction.users_of(provider, model)))

    assert await users(main) == ["tenants/acme/routes/a", "tenants/acme/routes/b"]
    assert await users(main, "m") == ["tenants/acme/routes/a"]
    assert await users(spare) == ["tenants/acme/routes/b"]
    assert await users(spare, "m") == []
    with pytest.raises(FailedPrecondition) as caught:
        await store.write(drop_provider(spare))
    assert caught.value.reason == "PROVIDER_IN_USE"
    await _delete(store, "b")
    await store.write(drop_provider(spare))


async def _policy(store: MemoryStore, fallback: PlatformFallback | None, etag: str = "") -> Any:
    command = UpdatePolicy(tenant=ACME, platform_fallback=fallback, etag=etag, uid="u", act=act("UpdateRoutingPolicy"))
    return await store.write(partial(update_policy, command=command))


async def test_a_policy_nobody_changed_keeps_the_platform_out(store: MemoryStore) -> None:
    policy = await store.read(partial(get_policy, tenant=ACME))
    assert (policy.name, policy.etag, policy.platform_fallback) == ("tenants/acme/policy", "", PlatformFallback.NEVER)
    assert policy.update_time is None


async def test_a_policy_changes_with_its_etag(store: MemoryStore) -> None:
    with pytest.raises(Aborted):
        await _policy(store, PlatformFallback.LAST, "etag")
    first = await _policy(store, PlatformFallback.LAST)
    assert first.resource.platform_fallback is PlatformFallback.LAST
    again = await _policy(store, PlatformFallback.LAST, first.resource.etag)
    assert (again.resource, again.revision) == (first.resource, first.revision)
    assert (await _policy(store, None)).resource == first.resource
    second = await _policy(store, PlatformFallback.NEVER, first.resource.etag)
    assert second.revision == first.revision + 1
    with pytest.raises(Aborted) as caught:
        await _policy(store, PlatformFallback.LAST, first.resource.etag)
    assert caught.value.metadata == {"name": "tenants/acme/policy"}
    assert [each.action for each in store.events[-2:]] == ["UpdateRoutingPolicy"] * 2
    assert dict(store.events[-1].details) == {"platform_fallback": "NEVER", "version": "2"}
