"""Routes and policies over TLS with tokens, on SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from gatehouse.providerconfig.v1 import audit_service_pb2 as audit_pb
from gatehouse.providerconfig.v1 import model_service_pb2 as models_pb
from gatehouse.providerconfig.v1 import provider_service_pb2 as providers_pb
from gatehouse.providerconfig.v1 import route_pb2
from gatehouse.providerconfig.v1 import route_service_pb2 as pb
from gatehouse.providerconfig.v1.audit_service_pb2_grpc import AuditServiceStub
from google.protobuf import json_format
from google.protobuf.field_mask_pb2 import FieldMask

from tests.integration.provider_config.conftest import Replica, Stack
from tests.integration.provider_config.person import refused
from tests.integration.provider_config.routing_person import PRIORITY, ROUTE, RoutingPerson

_ID = "0b0a3c2e-7f57-4a6c-9b1e-2a4d6f8c0e1d"
_MAIN = "tenants/acme/providers/main"

_WHOLE: dict[str, Any] = {
    "displayName": "Extraction",
    "description": "Documents to fields.",
    "strategy": "ROUTING_STRATEGY_COMPLEXITY",
    "targets": [{"provider": _MAIN, "model": "m", "weight": 0, "plans": ["pro"], "requires": {"tools": True}}],
    "fallbacks": [{"provider": _MAIN}, {"provider": "platform/providers/shared"}],
    "fallbackRoute": "tenants/acme/routes/default",
    "tiers": [
        {"tierId": "simple", "mostScore": 40, "targets": [{"provider": _MAIN, "model": "m"}]},
        {"tierId": "hard", "mostScore": 100, "targets": [{"provider": _MAIN, "model": "large"}]},
    ],
    "experiment": {
        "experimentId": "cheaper",
        "active": True,
        "arms": [
            {"armId": "control", "sharePercent": 50, "target": {"provider": _MAIN, "model": "large"}},
            {"armId": "small", "sharePercent": 50, "target": {"provider": _MAIN, "model": "m"}},
        ],
    },
    "cache": {"mode": "CACHE_MODE_EXACT", "timeToLive": "3600s"},
    "labels": {"team": "core"},
}


@pytest.fixture
def database_stack(stack_on: Callable[[str], Stack], database_url: str) -> Stack:
    return stack_on(database_url)


@pytest.fixture
async def replica(database_stack: Stack) -> Replica:
    return await database_stack.start()


@pytest.fixture
async def admin(database_stack: Stack, replica: Replica) -> RoutingPerson:
    """An admin of the tenant, which has one provider `main` with the models `m` and `large`."""
    admin = RoutingPerson(replica, database_stack.token("acme", "ann", "tenant_admin"))
    await admin.provide("main", "m", "large")
    return admin


async def test_a_route_lives_from_creation_to_deletion(admin: RoutingPerson) -> None:
    created = await admin.route(display_name="Extraction", labels={"team": "core"})
    route = created.route
    assert (route.name, route.created_by) == (ROUTE, "tenants/acme/users/ann")
    assert [each.provider for each in route.targets] == [_MAIN]
    assert route.active
    assert (await admin("GetRoute", pb.GetRouteRequest(name=ROUTE))).route == route
    changed = await admin.change_route("active,labels", etag=route.etag, active=False)
    assert (changed.route.active, changed.route.display_name, dict(changed.route.labels)) == (False, "Extraction", {})
    assert changed.route.etag != route.etag
    deleted = await admin("DeleteRoute", pb.DeleteRouteRequest(name=ROUTE, etag=changed.route.etag))
    assert changed.revision == created.revision + 1 == deleted.revision - 1
    gone = await refused(admin("GetRoute", pb.GetRouteRequest(name=ROUTE)))
    assert (gone.reason, gone.domain, gone.metadata) == ("ROUTE_NOT_FOUND", "providerconfig.gatehouse", {"name": ROUTE})


async def test_all_that_a_route_can_say_is_kept_and_can_be_written_back(
    database_stack: Stack, replica: Replica, admin: RoutingPerson
) -> None:
    operator = RoutingPerson(replica, database_stack.token(None, "root", "super_admin"))
    await operator.provide("shared", parent="platform")
    last = route_pb2.RoutingPolicy(platform_fallback=route_pb2.PLATFORM_FALLBACK_LAST)
    await admin("UpdateRoutingPolicy", pb.UpdateRoutingPolicyRequest(parent="tenants/acme", policy=last))
    await admin.route("default")
    wanted = json_format.ParseDict(_WHOLE, route_pb2.Route())
    request = pb.CreateRouteRequest(parent="tenants/acme", route_id="t", route=wanted)
    route = (await admin("CreateRoute", request)).route
    said = json_format.MessageToDict(route)
    assert {key: said[key] for key in _WHOLE} == _WHOLE
    for mask in ([], ["*"]):
        route.description = f"edited {mask}"
        update = pb.UpdateRouteRequest(route=route, update_mask=FieldMask(paths=mask))
        changed = (await admin("UpdateRoute", update)).route
        kept = json_format.MessageToDict(changed)
        assert {key: kept[key] for key in _WHOLE} == _WHOLE | {"description": f"edited {mask}"}
        route = changed


async def test_a_repeated_request_is_answered_as_the_first_time(admin: RoutingPerson) -> None:
    first, second = await asyncio.gather(admin.route(request_id=_ID), admin.route(request_id=_ID))
    assert first == second
    await admin.change_route(display_name="later")
    assert await admin.route(request_id=_ID.upper()) == first
    assert (await refused(admin.route("other", request_id=_ID))).reason == "REQUEST_ID_REUSED"
    assert (await refused(admin.route())).reason == "ROUTE_EXISTS"


async def test_validating_stores_nothing_and_does_not_use_up_the_request_id(admin: RoutingPerson) -> None:
    validated = await admin.route(validate_only=True, request_id=_ID)
    assert (validated.revision, validated.route.name) == (0, ROUTE)
    assert (await admin.route(request_id=_ID)).revision
    changed = await admin.change_route(validate_only=True, display_name="x")
    assert (changed.revision, changed.route.display_name) == (0, "x")
    assert not (await admin("GetRoute", pb.GetRouteRequest(name=ROUTE))).route.display_name


async def test_lists_go_page_by_page(admin: RoutingPerson) -> None:
    for number in range(5):
        await admin.route(f"t{number}")
    seen: list[str] = []
    token = ""
    while True:
        request = pb.ListRoutesRequest(parent="tenants/acme", page_size=2, page_token=token)
        page = await admin("ListRoutes", request)
        seen += [route.name.rpartition("/")[2] for route in page.routes]
        token = page.next_page_token
        if not token:
            break
        elsewhere = pb.ListRouteVersionsRequest(name=f"{ROUTE}0", page_token=token)
        assert (await refused(admin("ListRouteVersions", elsewhere))).metadata == {"field": "page_token"}
    assert seen == ["t0", "t1", "t2", "t3", "t4"]


async def test_a_route_goes_back_to_what_it_was(admin: RoutingPerson) -> None:
    first = (await admin.route(display_name="one")).route
    await admin.change_route(display_name="two")
    third = (await admin.change_route(display_name="three")).route
    versions: list[Any] = []
    token = ""
    while True:
        page = await admin("ListRouteVersions", pb.ListRouteVersionsRequest(name=ROUTE, page_size=2, page_token=token))
        versions += page.versions
        token = page.next_page_token
        if not token:
            break
    assert [(each.version, each.route.display_name) for each in versions] == [(3, "three"), (2, "two"), (1, "one")]
    assert {each.changed_by for each in versions} == {"tenants/acme/users/ann"}
    assert [each.route.etag for each in versions] == ["", "", ""]
    assert versions[0].change_time == third.update_time
    stale = pb.RollbackRouteRequest(name=ROUTE, version=1, etag=first.etag)
    assert (await refused(admin("RollbackRoute", stale))).reason == "ETAG_MISMATCH"
    restored = (await admin("RollbackRoute", pb.RollbackRouteRequest(name=ROUTE, version=1, etag=third.etag))).route
    assert restored.display_name == "one"
    newest = await admin("ListRouteVersions", pb.ListRouteVersionsRequest(name=ROUTE, page_size=1))
    assert [(each.version, each.route.display_name) for each in newest.versions] == [(4, "one")]
    missing = await refused(admin("RollbackRoute", pb.RollbackRouteRequest(name=ROUTE, version=99)))
    assert (missing.reason, missing.metadata) == ("VERSION_NOT_FOUND", {"name": ROUTE, "version": "99"})


async def test_there_is_no_way_back_to_a_model_that_is_gone(admin: RoutingPerson) -> None:
    await admin.route(targets=[route_pb2.RouteTarget(provider="main", model="m")])
    await admin.change_route(targets=[route_pb2.RouteTarget(provider="main", model="large")])
    model = f"{_MAIN}/models/m"
    await admin("DeleteModel", models_pb.DeleteModelRequest(name=model))
    error = await refused(admin("RollbackRoute", pb.RollbackRouteRequest(name=ROUTE, version=1)))
    assert (error.reason, error.metadata) == ("INVALID_FIELD", {"field": "route.targets[0].model"})


async def test_every_wrong_field_is_in_the_status(admin: RoutingPerson) -> None:
    error = await refused(
        admin.route(
            "No",
            targets=[
                route_pb2.RouteTarget(provider="main", weight=-1),
                route_pb2.RouteTarget(provider="tenants/other/providers/x"),
            ],
            strategy=route_pb2.ROUTING_STRATEGY_UNSPECIFIED,
        )
    )
    assert error.reason == "INVALID_FIELD"
    assert [each.field for each in error.field_violations] == [
        "route_id",
        "route.targets[0].weight",
        "route.targets[1].provider",
        "route.strategy",
    ]


async def test_what_cannot_serve_is_named(admin: RoutingPerson) -> None:
    error = await refused(
        admin.route(targets=[route_pb2.RouteTarget(provider="none"), route_pb2.RouteTarget(provider="main", model="x")])
    )
    assert [each.field for each in error.field_violations] == ["route.targets[0].provider", "route.targets[1].model"]
    assert (await admin.route("later", "none", active=False)).route.targets[0].provider.endswith("/none")


async def test_two_at_once_cannot_make_a_circle_together(
    database_stack: Stack, replica: Replica, admin: RoutingPerson
) -> None:
    other = RoutingPerson(await database_stack.start(), database_stack.token("acme", "bob", "tenant_admin"))
    for round_ in range(5):
        a, b = f"a{round_}", f"b{round_}"
        await admin.route(a)
        await admin.route(b)
        outcomes = await asyncio.gather(
            admin.change_route(name=f"tenants/acme/routes/{a}", fallback_route=b),
            other.change_route(name=f"tenants/acme/routes/{b}", fallback_route=a),
            return_exceptions=True,
        )
        (error,) = [each for each in outcomes if isinstance(each, Exception)]
        assert getattr(error, "metadata", None) == {"field": "route.fallback_route"}


async def test_of_two_writers_on_two_replicas_one_is_aborted(
    database_stack: Stack, replica: Replica, admin: RoutingPerson
) -> None:
    other = RoutingPerson(await database_stack.start(), database_stack.token("acme", "bob", "tenant_admin"))
    etag = (await admin.route()).route.etag
    for round_ in range(5):
        outcomes = await asyncio.gather(
            admin.change_route(etag=etag, display_name=f"ann {round_}"),
            other.change_route(etag=etag, display_name=f"bob {round_}"),
            return_exceptions=True,
        )
        (error,) = [each for each in outcomes if isinstance(each, Exception)]
        assert getattr(error, "reason", None) == "ETAG_MISMATCH"
        etag = next(each.route.etag for each in outcomes if not isinstance(each, BaseException))


async def test_what_is_in_use_is_not_deleted_unless_forced(admin: RoutingPerson) -> None:
    await admin.route()
    await admin.route("u", fallback_route="t")
    used = await refused(admin("DeleteRoute", pb.DeleteRouteRequest(name=ROUTE)))
    assert (used.reason, used.metadata) == ("ROUTE_IN_USE", {"name": ROUTE, "count": "1"})
    assert [each.subject for each in used.precondition_violations] == ["tenants/acme/routes/u"]
    provider = await refused(admin("DeleteProvider", providers_pb.DeleteProviderRequest(name=_MAIN)))
    assert (provider.reason, provider.metadata) == ("PROVIDER_IN_USE", {"name": _MAIN, "count": "2"})
    forced = await admin("DeleteProvider", providers_pb.DeleteProviderRequest(name=_MAIN, force=True))
    assert list(forced.still_named_by) == [ROUTE, "tenants/acme/routes/u"]
    # The route stays, and can still be switched off.
    assert not (await admin.change_route("active", active=False)).route.active


async def test_the_policy_of_a_tenant(admin: RoutingPerson) -> None:
    policy = (await admin("GetRoutingPolicy", pb.GetRoutingPolicyRequest(parent="tenants/acme"))).policy
    assert policy == route_pb2.RoutingPolicy(
        name="tenants/acme/policy", platform_fallback=route_pb2.PLATFORM_FALLBACK_NEVER
    )
    wanted = route_pb2.RoutingPolicy(platform_fallback=route_pb2.PLATFORM_FALLBACK_LAST)
    changed = await admin("UpdateRoutingPolicy", pb.UpdateRoutingPolicyRequest(parent="tenants/acme", policy=wanted))
    assert changed.policy.platform_fallback == route_pb2.PLATFORM_FALLBACK_LAST
    assert changed.revision
    assert changed.policy.update_time.seconds
    read = await admin("GetRoutingPolicy", pb.GetRoutingPolicyRequest(parent="tenants/acme"))
    assert read.policy == changed.policy
    reset = pb.UpdateRoutingPolicyRequest(
        parent="tenants/acme", policy=route_pb2.RoutingPolicy(etag="stale"), update_mask=FieldMask(paths=["*"])
    )
    assert (await refused(admin("UpdateRoutingPolicy", reset))).reason == "ETAG_MISMATCH"
    reset.policy.etag = changed.policy.etag
    back = await admin("UpdateRoutingPolicy", reset)
    assert back.policy.platform_fallback == route_pb2.PLATFORM_FALLBACK_NEVER


@pytest.mark.parametrize("method", ["GetRoute", "DeleteRoute", "ListRouteVersions"])
async def test_a_name_that_is_none_is_refused(admin: RoutingPerson, method: str) -> None:
    for name in ("", "x", "tenants/acme", "tenants/acme/users/ann/routes/t", f"{ROUTE}/x"):
        error = await refused(admin(method, getattr(pb, f"{method}Request")(name=name)))
        assert (error.reason, error.metadata) == ("INVALID_FIELD", {"field": "name"}), name


async def test_admins_manage_routes_and_members_read_them(
    database_stack: Stack, replica: Replica, admin: RoutingPerson
) -> None:
    await admin.route()
    member = RoutingPerson(replica, database_stack.token("acme", "bob", "member"))
    stranger = RoutingPerson(replica, database_stack.token("other", "eve", "tenant_admin"))
    wanted = route_pb2.RoutingPolicy(platform_fallback=route_pb2.PLATFORM_FALLBACK_LAST)
    for who in (member, stranger):
        for call in (
            who.route("u"),
            who.change_route(display_name="x"),
            who("DeleteRoute", pb.DeleteRouteRequest(name=ROUTE)),
            who("RollbackRoute", pb.RollbackRouteRequest(name=ROUTE, version=1)),
            who("UpdateRoutingPolicy", pb.UpdateRoutingPolicyRequest(parent="tenants/acme", policy=wanted)),
        ):
            assert (await refused(call)).reason == "PERMISSION_DENIED"
    assert (await member("GetRoute", pb.GetRouteRequest(name=ROUTE))).route.name == ROUTE
    assert (await refused(stranger("GetRoute", pb.GetRouteRequest(name=ROUTE)))).reason == "PERMISSION_DENIED"


async def test_changes_are_in_the_audit_log_with_what_changed(
    database_stack: Stack, replica: Replica, admin: RoutingPerson
) -> None:
    await admin.route(request_id=_ID)
    await admin.route(request_id=_ID)
    await admin.change_route(display_name="x", strategy=PRIORITY + 3)
    await admin.change_route(display_name="x")
    await admin("RollbackRoute", pb.RollbackRouteRequest(name=ROUTE, version=1))
    listed = await AuditServiceStub(replica.public).ListAuditEvents(
        audit_pb.ListAuditEventsRequest(parent="tenants/acme", page_size=3),
        metadata=database_stack.token("acme", "ann", "tenant_admin"),
        timeout=10,
    )
    assert [(each.action, each.target, dict(each.details)) for each in reversed(listed.events)] == [
        ("CreateRoute", ROUTE, {"strategy": "PRIORITY"}),
        ("UpdateRoute", ROUTE, {"fields": "display_name,strategy", "version": "2"}),
        ("RollbackRoute", ROUTE, {"fields": "display_name,strategy", "restored": "1", "version": "3"}),
    ]
