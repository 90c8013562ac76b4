from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from gatehouse.cli.output import local_time
from gatehouse.providerconfig.v1.route_pb2 import (
    ROUTING_STRATEGY_COMPLEXITY,
    ROUTING_STRATEGY_PRIORITY,
    ROUTING_STRATEGY_WEIGHTED,
    CacheMode,
    Route,
    RouteTarget,
    RouteVersion,
    RoutingPolicy,
)
from gatehouse.providerconfig.v1.route_service_pb2 import (
    CreateRouteResponse,
    DeleteRouteResponse,
    GetRouteResponse,
    GetRoutingPolicyResponse,
    ListRoutesResponse,
    ListRouteVersionsResponse,
    RollbackRouteResponse,
    UpdateRouteResponse,
    UpdateRoutingPolicyResponse,
)
from google.rpc import error_details_pb2

from tests.unit.client.fake_gatehouse import FakeGatehouse, failure
from tests.unit.client.samples import NOON, ROUTE

Run = Callable[..., Any]

MINI = RouteTarget(provider="tenants/acme/providers/openai", model="gpt-4o-mini")


@pytest.fixture(autouse=True)
def answers(fake: FakeGatehouse) -> None:
    fake.answers |= {
        "CreateRoute": lambda _: CreateRouteResponse(route=ROUTE, revision=41),
        "GetRoute": lambda _: GetRouteResponse(route=ROUTE),
        "ListRoutes": lambda _: ListRoutesResponse(routes=[ROUTE]),
        "UpdateRoute": lambda _: UpdateRouteResponse(route=ROUTE, revision=42),
        "DeleteRoute": lambda _: DeleteRouteResponse(revision=43),
        "RollbackRoute": lambda _: RollbackRouteResponse(route=ROUTE, revision=44),
        "ListRouteVersions": lambda _: ListRouteVersionsResponse(versions=VERSIONS),
        "GetRoutingPolicy": lambda _: GetRoutingPolicyResponse(policy=RoutingPolicy(name="tenants/acme/policy")),
        "UpdateRoutingPolicy": lambda request: UpdateRoutingPolicyResponse(policy=request.policy, revision=45),
    }


def version(number: int, **fields: Any) -> RouteVersion:
    route = Route(name=ROUTE.name, **fields)
    return RouteVersion(version=number, changed_by="tenants/acme/users/ann", change_time=NOON, route=route)


VERSIONS = [
    version(3, strategy=ROUTING_STRATEGY_WEIGHTED, targets=[RouteTarget(provider=MINI.provider, weight=3)]),
    version(2, strategy=ROUTING_STRATEGY_PRIORITY, targets=[RouteTarget(provider=MINI.provider, weight=1)]),
    version(1, strategy=ROUTING_STRATEGY_PRIORITY, targets=[RouteTarget(provider=MINI.provider, weight=1)]),
]


def cells(text: str) -> list[list[str]]:
    return [re.split(r" {2,}", line.strip()) for line in text.splitlines() if line.strip()]


def told(result: Any) -> str:
    return re.sub(r"[│\s]+", " ", result.stderr)


def created(fake: FakeGatehouse, run: Run, *options: str) -> Route:
    result = run("routes", "create", "extraction", *options)
    assert result.exit_code == 0, result.output
    route: Route = fake.last("CreateRoute").request.route
    return route


def test_a_route_is_created_from_targets(fake: FakeGatehouse, run: Run) -> None:
    options = ["--target", "openai/gpt-4o:plans=pro+enterprise,requires=tools+images", "--target", "openai/gpt-4o-mini"]
    route = created(fake, run, *options, "--fallback", "platform/openai/gpt-4o-mini", "--fallback-route", "default")
    request = fake.last("CreateRoute").request
    assert (request.parent, request.route_id, bool(request.request_id)) == ("tenants/acme", "extraction", True)
    assert route.strategy == ROUTING_STRATEGY_PRIORITY
    first, second = route.targets
    assert (first.provider, first.model, list(first.plans)) == (MINI.provider, "gpt-4o", ["pro", "enterprise"])
    assert (first.requires.tools, first.requires.images, first.requires.audio) == (True, True, False)
    assert second == MINI
    assert [target.provider for target in route.fallbacks] == ["platform/providers/openai"]
    assert route.fallback_route == "tenants/acme/routes/default"
    assert not route.HasField("active")


def test_the_strategy_follows_from_what_is_given(fake: FakeGatehouse, run: Run) -> None:
    weighted = created(fake, run, "--target", "a:weight=0", "--target", "b:weight=3")
    assert (weighted.strategy, [target.weight for target in weighted.targets]) == (ROUTING_STRATEGY_WEIGHTED, [0, 3])
    assert weighted.targets[0].HasField("weight")
    tiers = created(fake, run, "--tier", "hard<=100=openai/gpt-4o", "--tier", "simple<=30=a", "--tier", "simple<=30=b")
    assert tiers.strategy == ROUTING_STRATEGY_COMPLEXITY
    assert [(tier.tier_id, tier.most_score, len(tier.targets)) for tier in tiers.tiers] == [
        ("simple", 30, 2),
        ("hard", 100, 1),
    ]
    assert created(fake, run, "--target", "a:weight=1", "--strategy", "priority").strategy == ROUTING_STRATEGY_PRIORITY


def test_an_experiment_has_arms_with_shares(fake: FakeGatehouse, run: Run) -> None:
    arms = ["--arm", "control=openai/gpt-4o@50", "--arm", "mini=openai/gpt-4o-mini:plans=free@25%"]
    route = created(fake, run, "--target", "openai", "--experiment", "cheaper", *arms, "--cache", "1h30m")
    assert route.experiment.experiment_id == "cheaper"
    assert [(arm.arm_id, arm.share_percent, arm.target.model) for arm in route.experiment.arms] == [
        ("control", 50, "gpt-4o"),
        ("mini", 25, "gpt-4o-mini"),
    ]
    assert (route.cache.mode, route.cache.time_to_live.seconds) == (CacheMode.CACHE_MODE_EXACT, 5_400)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ((), "say where calls go"),
        (("--target", "a/b/c"), "must be PROVIDER or PROVIDER/MODEL"),
        (("--target", "Big"), "must name a provider"),
        (("--target", "a/B c"), "names no model"),
        (("--target", "a:weight=x"), "has a weight that is no whole number"),
        (("--target", "a:weight=1,weight=2"), "says weight twice"),
        (("--target", "a:plans="), "names no plans"),
        (("--target", "a:requires=flying"), "requires what is none of streaming"),
        (("--target", "a:color=red"), "has an option 'color'"),
        (("--fallback", "a/b/c", "--target", "a"), "--fallback"),
        (("--tier", "simple=30=a"), "is not ID<=SCORE=TARGET"),
        (("--tier", "a<=1=x", "--tier", "a<=2=x"), "a takes scores up to 1 or 2?"),
        (("--target", "a", "--experiment", "e"), "an experiment needs both"),
        (("--target", "a", "--arm", "a=b@1"), "an experiment needs both"),
        (("--target", "a", "--experiment", "e", "--arm", "a=b"), "is not ARM=TARGET@PERCENT"),
        (("--target", "a", "--experiment", "e", "--arm", "a=b@60", "--arm", "b=c@60"), "more than 100 %"),
        (("--target", "a", "--cache", "soon"), "must be a duration"),
        (("--target", "a", "--cache", "1ms"), "must be from 1s to 30d"),
        (("--target", "a", "--strategy", "magic"), "magic"),
    ],
)
def test_what_makes_no_route_is_a_usage_error(
    fake: FakeGatehouse, run: Run, options: tuple[str, ...], text: str
) -> None:
    result = run("routes", "create", "extraction", *options)
    assert result.exit_code == 2
    assert text in told(result)
    assert fake.received == []


def test_a_route_comes_whole_from_a_file(fake: FakeGatehouse, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "route.yaml"
    file.write_text(
        "strategy: weighted\nactive: false\ntargets:\n- {provider: openai, weight: 3}\n- {provider: groq}\n"
    )
    route = created(fake, run, "--file", str(file), "--dry-run")
    assert (route.strategy, route.active, len(route.targets)) == (ROUTING_STRATEGY_WEIGHTED, False, 2)
    assert fake.last("CreateRoute").request.validate_only
    assert run("routes", "update", "extraction", "-f", "-", input=file.read_text()).exit_code == 0
    request = fake.last("UpdateRoute").request
    assert list(request.update_mask.paths) == [
        *("active", "cache", "description", "display_name", "experiment", "fallback_route", "fallbacks", "labels"),
        *("strategy", "targets", "tiers"),
    ]
    assert not request.route.HasField("experiment")
    assert run("routes", "create", "x", "--file", str(file), "--target", "a").exit_code == 2
    file.write_text("strategy: weightd\n")
    wrong = run("routes", "create", "x", "--file", str(file))
    assert wrong.exit_code == 1
    assert f"{file}:1: strategy: must be one of" in wrong.stderr


def test_routes_are_shown(run: Run) -> None:
    header, row = cells(run("routes", "list").stdout)
    assert header == ["TASK", "STRATEGY", "STATE", "TARGETS", "FALLBACKS", "EXPERIMENT"]
    assert row == [
        *("extraction", "weighted", "active", "openai/gpt-4o-mini, openai/gpt-4o", "platform/openai, route default"),
        "cheaper",
    ]
    shown = cells(run("routes", "get", "extraction").stdout)
    assert ["experiment", "cheaper (running)"] in shown
    assert ["answers are kept", "for 1h (stored; nothing is kept yet)"] in shown
    assert ["1", "openai", "gpt-4o-mini", "3 (75%)", "all"] in shown
    assert ["2", "openai", "gpt-4o", "1 (25%)", "pro", "tools"] in shown
    assert ["control", "50 %", "openai/gpt-4o"] in shown
    assert json.loads(run("routes", "get", "extraction", "--json").stdout)["strategy"] == "ROUTING_STRATEGY_WEIGHTED"


def test_a_tenant_without_routes_is_told_how_to_make_one(fake: FakeGatehouse, run: Run) -> None:
    fake.answers["ListRoutes"] = lambda _: ListRoutesResponse()
    result = run("routes", "list")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "gatehouse routes create default" in result.stderr


def test_an_update_changes_only_what_is_given(fake: FakeGatehouse, run: Run) -> None:
    assert run("routes", "update", "extraction", "--inactive", "--no-fallbacks", "--fallback-route", "").exit_code == 0
    request = fake.last("UpdateRoute").request
    assert list(request.update_mask.paths) == ["active", "fallback_route", "fallbacks"]
    assert (request.route.active, request.route.HasField("active"), request.route.etag) == (False, True, "")
    assert run("routes", "update", "extraction", "--no-experiment").exit_code == 0
    assert list(fake.last("UpdateRoute").request.update_mask.paths) == ["experiment"]
    assert not fake.last("UpdateRoute").request.route.HasField("experiment")
    nothing = run("routes", "update", "extraction")
    assert nothing.exit_code == 2
    assert "say what to change" in nothing.stderr


def test_an_experiment_is_paused_without_being_told_again(fake: FakeGatehouse, run: Run) -> None:
    assert run("routes", "update", "extraction", "--pause-experiment").exit_code == 0
    request = fake.last("UpdateRoute").request
    assert (request.route.etag, list(request.update_mask.paths)) == (ROUTE.etag, ["experiment"])
    assert (request.route.experiment.active, len(request.route.experiment.arms)) == (False, 2)
    assert run("routes", "update", "extraction", "--experiment", "again", "--run-experiment").exit_code == 0
    experiment = fake.last("UpdateRoute").request.route.experiment
    assert (experiment.experiment_id, experiment.active, len(experiment.arms)) == ("again", True, 2)
    fake.answers["GetRoute"] = lambda _: GetRouteResponse(route=Route(name=ROUTE.name))
    none = run("routes", "update", "extraction", "--pause-experiment")
    assert none.exit_code == 2
    assert "has no experiment" in told(none)


def test_versions_say_what_each_changed(fake: FakeGatehouse, run: Run) -> None:
    time = local_time(NOON)
    rows = cells(run("routes", "versions", "extraction").stdout)
    assert rows == [
        ["VERSION", "TIME", "BY", "WHAT CHANGED"],
        ["3", time, "tenants/acme/users/ann", "strategy: priority -> weighted, targets[0].weight: 1 -> 3"],
        ["2", time, "tenants/acme/users/ann", "nothing that is shown"],
        ["1", time, "tenants/acme/users/ann", "created"],
    ]
    assert fake.last("ListRouteVersions").request.name == ROUTE.name
    assert len(cells(run("routes", "versions", "extraction", "--limit", "1").stdout)) == 2
    assert [each["version"] for each in json.loads(run("routes", "versions", "extraction", "--json").stdout)] == [
        *("3", "2", "1")
    ]


@pytest.mark.usefixtures("terminal")
def test_a_rollback_shows_what_it_changes_and_asks(fake: FakeGatehouse, run: Run) -> None:
    refused = run("routes", "rollback", "extraction", "2", input="n\n")
    assert refused.exit_code == 1
    assert "strategy: weighted -> priority" in refused.stderr
    assert not [call for call in fake.received if call.method == "RollbackRoute"]
    assert run("routes", "rollback", "extraction", "2", input="y\n").exit_code == 0
    request = fake.last("RollbackRoute").request
    assert (request.name, request.version, request.etag) == (ROUTE.name, 2, ROUTE.etag)


def test_a_rollback_needs_consent_and_a_version(fake: FakeGatehouse, run: Run) -> None:
    assert run("routes", "rollback", "extraction", "2").exit_code == 2
    assert run("routes", "rollback", "extraction", "0", "--yes").exit_code == 2
    assert fake.received == []
    assert run("routes", "rollback", "extraction", "2", "--yes").exit_code == 0
    fake.fails("RollbackRoute", failure(grpc.StatusCode.NOT_FOUND, "no such version", "VERSION_NOT_FOUND"))
    missing = run("routes", "rollback", "extraction", "9", "--yes")
    assert missing.exit_code == 1
    assert "`versions` command" in missing.stderr


def test_a_route_is_deleted_once_agreed(fake: FakeGatehouse, run: Run) -> None:
    assert run("routes", "delete", "extraction").exit_code == 2
    assert fake.received == []
    assert "revision 43" in run("routes", "delete", "extraction", "--yes").stderr
    violation = error_details_pb2.PreconditionFailure.Violation(
        type="ROUTE", subject="tenants/acme/routes/other", description="falls back to it"
    )
    in_use = error_details_pb2.PreconditionFailure(violations=[violation])
    fake.fails("DeleteRoute", failure(grpc.StatusCode.FAILED_PRECONDITION, "in use", "ROUTE_IN_USE", in_use))
    refused = run("routes", "delete", "extraction", "--yes")
    assert refused.exit_code == 1
    assert "tenants/acme/routes/other: falls back to it" in refused.stderr
    assert "--fallback-route ''" in refused.stderr


def test_the_policy_is_shown_and_changed(fake: FakeGatehouse, run: Run) -> None:
    shown = cells(run("policy", "get").stdout)
    assert shown == [
        ["name", "tenants/acme/policy"],
        ["platform serves", "never, while the tenant has providers of its own"],
        ["changed", "never"],
    ]
    result = run("policy", "set", "--platform-fallback", "last")
    assert "after all of the tenant's own" in result.stdout
    assert "revision 45" in result.stderr
    request = fake.last("UpdateRoutingPolicy").request
    assert (request.parent, request.policy.platform_fallback) == ("tenants/acme", 2)
    assert list(request.update_mask.paths) == ["platform_fallback"]
    assert run("policy", "set", "--platform-fallback", "always").exit_code == 2
    assert json.loads(run("policy", "get", "--json").stdout)["name"] == "tenants/acme/policy"
