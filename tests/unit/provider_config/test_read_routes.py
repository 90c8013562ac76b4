"""Requests about routes: what is right is normalised, every wrong field is named."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from gatehouse.providerconfig.v1 import route_pb2
from gatehouse.providerconfig.v1 import route_service_pb2 as pb
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st

from libs.core.errors import InvalidArgument
from libs.core.provider_types import Capabilities
from libs.core.resource_names import Owner, ProviderName, RouteName
from services.provider_config.api import read_routes
from services.provider_config.api.convert_routing import route_message
from services.provider_config.domain.create_route import CreateRoute
from services.provider_config.domain.policy import PlatformFallback
from services.provider_config.domain.route import (
    CacheMode,
    CachePolicy,
    Route,
    RouteSettings,
    RouteTarget,
    RoutingStrategy,
)
from tests.unit.provider_config.builders import ACME, act
from tests.unit.provider_config.memory_store import NOW

_NAME = "tenants/acme/routes/extraction"


def _create(**changes: Any) -> CreateRoute:
    request: dict[str, Any] = {
        "parent": "tenants/acme",
        "route_id": "extraction",
        "route": {"strategy": "ROUTING_STRATEGY_PRIORITY", "targets": [{"provider": "main"}]},
    }
    request["route"] |= changes.pop("route", {})
    message = json_format.ParseDict(request | changes, pb.CreateRouteRequest())
    return read_routes.create_command(message, uid="u", act=act())


def _update(mask: str | None = None, **route: Any) -> Any:
    message = json_format.ParseDict({"route": {"name": _NAME} | route}, pb.UpdateRouteRequest())
    message.update_mask.paths.extend(mask.split(",") if mask else ())
    return read_routes.update_command(message, act=act())


def _fields(error: InvalidArgument) -> list[str]:
    return [violation.field for violation in error.field_violations]


def _tier(tier_id: str, most_score: int, *providers: str) -> dict[str, Any]:
    return {"tier_id": tier_id, "most_score": most_score, "targets": [{"provider": each} for each in providers]}


def _arm(arm_id: str, share_percent: int) -> dict[str, Any]:
    return {"arm_id": arm_id, "share_percent": share_percent, "target": {"provider": "main"}}


_TIERS = [_tier("simple", 40, "small"), _tier("hard", 100, "large")]


def _complex(*tiers: dict[str, Any], **route: Any) -> dict[str, Any]:
    return {"route": {"strategy": "ROUTING_STRATEGY_COMPLEXITY", "targets": [], "tiers": list(tiers)} | route}


def _target(**target: Any) -> dict[str, Any]:
    return {"route": {"targets": [{"provider": "a"}, {"provider": "b"}, {"provider": "c"} | target]}}


def _experiment(*arms: dict[str, Any], experiment_id: str = "e") -> dict[str, Any]:
    return {"route": {"experiment": {"experiment_id": experiment_id, "arms": list(arms)}}}


def _cache(mode: str, seconds: str | None = None) -> dict[str, Any]:
    kept = {} if seconds is None else {"time_to_live": seconds}
    return {"route": {"cache": {"mode": f"CACHE_MODE_{mode}", **kept}}}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"parent": ""}, "parent"),
        ({"parent": "platform"}, "parent"),
        ({"parent": "tenants/acme/users/ann"}, "parent"),
        ({"route_id": ""}, "route_id"),
        ({"route_id": "Cover Letter"}, "route_id"),
        ({"route_id": "x" * 64}, "route_id"),
        ({"request_id": "1"}, "request_id"),
        ({"route": {"display_name": "x" * 201}}, "route.display_name"),
        ({"route": {"display_name": "a\x00"}}, "route.display_name"),
        ({"route": {"description": "x" * 2001}}, "route.description"),
        ({"route": {"labels": {"Team": ""}}}, "route.labels['Team']"),
        ({"route": {"labels": {f"l{number}": "" for number in range(65)}}}, "route.labels"),
        ({"route": {"strategy": "ROUTING_STRATEGY_UNSPECIFIED"}}, "route.strategy"),
        ({"route": {"strategy": 99}}, "route.strategy"),
        ({"route": {"targets": []}}, "route.targets"),
        ({"route": {"targets": [{"provider": f"p{number}"} for number in range(33)]}}, "route.targets"),
        ({"route": {"fallbacks": [{"provider": f"p{number}"} for number in range(33)]}}, "route.fallbacks"),
        ({"route": {"fallbacks": [{"provider": "a"}, {"provider": "a"}]}}, "route.fallbacks[1]"),
        ({"route": {"fallbacks": [{"provider": ""}]}}, "route.fallbacks[0].provider"),
        (_target(provider=""), "route.targets[2].provider"),
        (_target(provider="No"), "route.targets[2].provider"),
        (_target(provider="tenants/acme"), "route.targets[2].provider"),
        (_target(provider="tenants/acme/keys/main"), "route.targets[2].provider"),
        (_target(provider="tenants/other/providers/main"), "route.targets[2].provider"),
        (_target(provider="tenants/acme/users/ann/providers/main"), "route.targets[2].provider"),
        (_target(provider="a"), "route.targets[2]"),
        (_target(provider="tenants/acme/providers/a"), "route.targets[2]"),
        (_target(model="meta-llama/Llama"), "route.targets[2].model"),
        (_target(weight=-1), "route.targets[2].weight"),
        (_target(weight=1_000_001), "route.targets[2].weight"),
        (_target(plans=["pro"] * 33), "route.targets[2].plans"),
        (_target(plans=["pro", ""]), "route.targets[2].plans[1]"),
        (_target(plans=["x" * 65]), "route.targets[2].plans[0]"),
        (_target(plans=["\x1b[2J"]), "route.targets[2].plans[0]"),
        (_target(requires={"fixed_sampling": True}), "route.targets[2].requires.fixed_sampling"),
        ({"route": {"strategy": "ROUTING_STRATEGY_WEIGHTED", "targets": [
            {"provider": "a", "weight": 0}, {"provider": "b", "weight": 0}]}}, "route.targets"),
        ({"route": {"fallback_route": "No"}}, "route.fallback_route"),
        ({"route": {"fallback_route": "tenants/acme/providers/x"}}, "route.fallback_route"),
        ({"route": {"fallback_route": "tenants/other/routes/x"}}, "route.fallback_route"),
        ({"route": {"tiers": _TIERS}}, "route.tiers"),
        (_complex(), "route.tiers"),
        (_complex(_tier("only", 100, "a")), "route.tiers"),
        (_complex(*(_tier(f"t{number}", 92 + number, "a") for number in range(9))), "route.tiers"),
        (_complex(_tier("a", 50, "a"), _tier("a", 100, "a")), "route.tiers[1].tier_id"),
        (_complex(_tier("", 50, "a"), _tier("b", 100, "a")), "route.tiers[0].tier_id"),
        (_complex(_tier("a", 50, "a"), _tier("b", 50, "a"), _tier("c", 100, "a")), "route.tiers[1].most_score"),
        (_complex(_tier("a", 50, "a"), _tier("b", 40, "a"), _tier("c", 100, "a")), "route.tiers[1].most_score"),
        (_complex(_tier("a", -1, "a"), _tier("b", 100, "a")), "route.tiers[0].most_score"),
        (_complex(_tier("a", 50, "a"), _tier("b", 99, "a")), "route.tiers[1].most_score"),
        (_complex(_tier("a", 50), _tier("b", 100, "a")), "route.tiers[0].targets"),
        (_complex(_tier("a", 50, *(f"p{n}" for n in range(9))), _tier("b", 100, "a")), "route.tiers[0].targets"),
        (_complex(_tier("a", 50, "a", "a"), _tier("b", 100, "a")), "route.tiers[0].targets[1]"),
        (_complex(_tier("a", 50, ""), _tier("b", 100, "a")), "route.tiers[0].targets[0].provider"),
        (_experiment(_arm("a", 50), experiment_id=""), "route.experiment.experiment_id"),
        (_experiment(), "route.experiment.arms"),
        (_experiment(*(_arm(f"a{number}", 1) for number in range(9))), "route.experiment.arms"),
        (_experiment(_arm("a", 50), _arm("a", 50)), "route.experiment.arms[1].arm_id"),
        (_experiment(_arm("A", 50)), "route.experiment.arms[0].arm_id"),
        (_experiment(_arm("a", 0)), "route.experiment.arms[0].share_percent"),
        (_experiment(_arm("a", 50), _arm("b", 51)), "route.experiment.arms"),
        (_experiment(_arm("a", 50) | {"target": {}}), "route.experiment.arms[0].target.provider"),
        (_cache("EXACT"), "route.cache.time_to_live"),
        (_cache("EXACT", "0.999s"), "route.cache.time_to_live"),
        (_cache("EXACT", "-1s"), "route.cache.time_to_live"),
        (_cache("EXACT", "2592000.000001s"), "route.cache.time_to_live"),
        (_cache("OFF", "0s"), "route.cache.time_to_live"),
        ({"route": {"cache": {"mode": 9, "time_to_live": "1s"}}}, "route.cache.mode"),
    ],
)  # fmt: skip
def test_a_wrong_field_of_a_new_route_is_named(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        _create(**changes)
    assert _fields(caught.value) == [field]
    assert caught.value.reason == "INVALID_FIELD"


def test_all_wrong_fields_are_named_at_once() -> None:
    with pytest.raises(InvalidArgument) as caught:
        _create(
            parent="nobody",
            route_id="-",
            route={
                "strategy": 0,
                "targets": [{"provider": "", "weight": -1}, {"provider": ""}],
                "cache": {"mode": "CACHE_MODE_EXACT"},
            },
        )
    assert _fields(caught.value) == [
        "parent",
        "route_id",
        "route.targets[0].weight",
        "route.targets[0].provider",
        "route.targets[1].provider",
        "route.cache.time_to_live",
        "route.strategy",
    ]


def test_ids_become_names_of_the_tenant_and_names_of_the_platform_stay() -> None:
    settings = _create(
        route={
            "targets": [
                {"provider": "main"},
                {"provider": "tenants/acme/providers/spare"},
                {"provider": "platform/providers/main"},
            ],
            "fallback_route": "default",
        }
    ).settings
    assert [str(each.provider) for each in settings.targets] == [
        "tenants/acme/providers/main",
        "tenants/acme/providers/spare",
        "platform/providers/main",
    ]
    assert settings.fallback_route == RouteName("acme", "default")
    assert _update(fallback_route="tenants/acme/routes/default").settings.fallback_route == settings.fallback_route


def test_a_new_route_gets_defaults() -> None:
    settings = _create(route=_experiment(_arm("a", 1))["route"] | {"cache": {}}).settings
    assert settings.active
    assert settings.experiment is not None
    assert settings.experiment.active
    assert settings.cache == CachePolicy(mode=CacheMode.OFF)
    assert settings.targets == (RouteTarget(provider=ProviderName(ACME, "main")),)
    assert not _create(route={"active": False}).settings.active


def test_unset_differs_from_zero() -> None:
    settings = _create(route={"targets": [{"provider": "a", "weight": 0, "requires": {}}, {"provider": "b"}]}).settings
    assert [each.weight for each in settings.targets] == [0, None]
    assert [each.requires for each in settings.targets] == [Capabilities(), None]


@pytest.mark.parametrize(("text", "kept"), [("1s", timedelta(seconds=1)), ("2592000s", timedelta(days=30))])
def test_answers_are_kept_from_a_second_to_a_month(text: str, kept: timedelta) -> None:
    assert _create(**_cache("EXACT", text)).settings.cache == CachePolicy(mode=CacheMode.EXACT, time_to_live=kept)


def test_targets_may_be_in_several_lists_and_arms_alike() -> None:
    target = [{"provider": "main"}]
    experiment = _experiment(_arm("a", 50), _arm("b", 50))["route"]["experiment"]
    settings = _create(**_complex(*_TIERS, targets=target, fallbacks=target, experiment=experiment)).settings
    assert [path for path, _ in settings.every_target()] == [
        "targets[0]",
        "fallbacks[0]",
        "tiers[0].targets[0]",
        "tiers[1].targets[0]",
        "experiment.arms[0].target",
        "experiment.arms[1].target",
    ]


_ids = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,8}", fullmatch=True)
_targets = st.builds(
    RouteTarget,
    provider=st.builds(ProviderName, st.sampled_from([ACME, Owner()]), _ids),
    model=st.one_of(st.just(""), _ids),
    weight=st.one_of(st.none(), st.integers(1, 1_000_000)),
    plans=st.lists(_ids, max_size=3).map(tuple),
    requires=st.one_of(st.none(), st.builds(Capabilities, tools=st.booleans(), embeddings=st.booleans())),
)
_target_lists = st.lists(_targets, min_size=1, max_size=5, unique_by=lambda each: each.serves).map(tuple)
_settings = st.builds(
    RouteSettings,
    active=st.booleans(),
    strategy=st.sampled_from([each for each in RoutingStrategy if each is not RoutingStrategy.COMPLEXITY]),
    targets=_target_lists,
    fallbacks=_target_lists,
    fallback_route=st.one_of(st.none(), st.builds(RouteName, st.just("acme"), _ids)),
    cache=st.one_of(
        st.none(),
        st.builds(CachePolicy, mode=st.sampled_from(CacheMode),
                  time_to_live=st.timedeltas(timedelta(seconds=1), timedelta(days=30))),
    ),
    labels=st.dictionaries(st.from_regex(r"[a-z][a-z0-9]{0,8}", fullmatch=True), st.just("x"), max_size=3),
)  # fmt: skip


@given(_settings)
def test_what_was_read_can_be_written_back(settings: RouteSettings) -> None:
    route = Route(
        name=RouteName("acme", "t"),
        uid="u",
        version=1,
        settings=settings,
        created_by="",
        create_time=NOW,
        update_time=NOW,
    )
    request = pb.CreateRouteRequest(parent="tenants/acme", route_id="t", route=route_message(route))
    assert read_routes.create_command(request, uid="u", act=act()).settings == settings


@given(st.lists(_targets, min_size=1, max_size=4, unique_by=lambda each: each.serves))
def test_normalising_ids_twice_changes_nothing_more(targets: list[RouteTarget]) -> None:
    message = route_pb2.Route(
        strategy=route_pb2.ROUTING_STRATEGY_PRIORITY,
        targets=[
            # As people write them: their own by id.
            route_pb2.RouteTarget(
                provider=str(each.provider) if each.provider.owner.is_platform else each.provider.provider,
                model=each.model,
            )
            for each in targets
        ],
    )
    request = pb.CreateRouteRequest(parent="tenants/acme", route_id="t", route=message)
    first = read_routes.create_command(request, uid="u", act=act()).settings
    assert [each.provider for each in first.targets] == [each.provider for each in targets]
    for written, each in zip(message.targets, first.targets, strict=True):
        written.provider = str(each.provider)
    request = pb.CreateRouteRequest(parent="tenants/acme", route_id="t", route=message)
    assert read_routes.create_command(request, uid="u", act=act()).settings == first


@pytest.mark.parametrize("mask", ["uid", "name", "etag", "created_by", "targets.weight", "colour", "*,active"])
def test_a_wrong_mask_path_is_named(mask: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        _update(mask)
    assert _fields(caught.value) == ["update_mask"]


def test_a_mask_selects_what_changes_and_is_checked() -> None:
    command = _update("active,labels", active=False, fallback_route="NO", targets=[{"provider": ""}], strategy=77)
    assert command.fields == {"active", "labels"}
    assert (command.settings.active, command.settings.targets) == (False, ())


def test_an_empty_mask_selects_what_is_set_and_a_star_everything() -> None:
    assert _update(active=False, description="").fields == {"active"}
    assert _update("*").fields == set(RouteSettings.__dataclass_fields__)


@pytest.mark.parametrize(
    ("route", "field"),
    [
        ({"name": ""}, "route.name"),
        ({"name": "tenants/acme/routes/"}, "route.name"),
        ({"etag": "x" * 101}, "route.etag"),
        ({"targets": [{"provider": "tenants/other/providers/x"}]}, "route.targets[0].provider"),
        ({"targets": [{"provider": "x", "weight": -1}]}, "route.targets[0].weight"),
    ],
)
def test_a_wrong_field_of_a_changed_route_is_named(route: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        _update(**route)
    assert _fields(caught.value) == [field]


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.RollbackRouteRequest(name=_NAME), "version"),
        (pb.RollbackRouteRequest(name=_NAME, version=-1), "version"),
        (pb.RollbackRouteRequest(name="x", version=1), "name"),
        (pb.RollbackRouteRequest(name=_NAME, version=1, etag="x" * 101), "etag"),
    ],
)
def test_a_wrong_field_of_a_rollback_is_named(request_: pb.RollbackRouteRequest, field: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        read_routes.rollback_command(request_, act=act())
    assert _fields(caught.value) == [field]


def _policy(parent: str = "tenants/acme", mask: str | None = None, **policy: Any) -> Any:
    request = json_format.ParseDict({"parent": parent, "policy": policy}, pb.UpdateRoutingPolicyRequest())
    request.update_mask.paths.extend(mask.split(",") if mask else ())
    return read_routes.policy_command(request, uid="u", act=act())


def test_a_policy_is_read_with_its_mask() -> None:
    assert _policy(platform_fallback="PLATFORM_FALLBACK_LAST").platform_fallback is PlatformFallback.LAST
    assert _policy().platform_fallback is None
    assert _policy(mask="platform_fallback").platform_fallback is PlatformFallback.NEVER
    assert _policy(mask="*").platform_fallback is PlatformFallback.NEVER


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"parent": "platform"}, "parent"),
        ({"parent": "tenants/acme/users/ann"}, "parent"),
        ({"platform_fallback": 7}, "policy.platform_fallback"),
        ({"etag": "x" * 101}, "policy.etag"),
        ({"mask": "name"}, "update_mask"),
    ],
)
def test_a_wrong_field_of_a_policy_is_named(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        _policy(**changes)
    assert _fields(caught.value) == [field]
