"""Calls of gatehouse.providerconfig.v1.RouteService: routes, and the policy of a tenant.

Names are resource names: `tenants/acme/routes/extraction`. Changes answer as those of providers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, TypedDict, Unpack

from google.protobuf.field_mask_pb2 import FieldMask

from gatehouse.operations.operation import Listing, Operation, Page, operation, split_name, whole
from gatehouse.providerconfig.v1.route_pb2 import (
    CachePolicy,
    ComplexityTier,
    Experiment,
    PlatformFallback,
    Route,
    RouteTarget,
    RouteVersion,
    RoutingPolicy,
    RoutingStrategy,
)
from gatehouse.providerconfig.v1.route_service_pb2 import (
    CreateRouteRequest,
    CreateRouteResponse,
    DeleteRouteRequest,
    DeleteRouteResponse,
    GetRouteRequest,
    GetRouteResponse,
    GetRoutingPolicyRequest,
    GetRoutingPolicyResponse,
    ListRoutesRequest,
    ListRoutesResponse,
    ListRouteVersionsRequest,
    ListRouteVersionsResponse,
    RollbackRouteRequest,
    RollbackRouteResponse,
    UpdateRouteRequest,
    UpdateRouteResponse,
    UpdateRoutingPolicyRequest,
    UpdateRoutingPolicyResponse,
)

_SERVICE = "/gatehouse.providerconfig.v1.RouteService"

Strategy = Literal["priority", "weighted", "lowest_cost", "lowest_latency", "least_busy", "complexity"]
Fallback = Literal["never", "last"]


class RouteFields(TypedDict, total=False):
    """What can be set and changed; the fields of `Route`, where their bounds and defaults are described.

    In an update, a field given as None is unset: `experiment=None` ends an experiment.
    """

    display_name: str
    description: str
    active: bool
    strategy: Strategy
    targets: Sequence[RouteTarget]
    fallbacks: Sequence[RouteTarget]
    fallback_route: str
    tiers: Sequence[ComplexityTier]
    experiment: Experiment | None
    cache: CachePolicy | None
    labels: Mapping[str, str]


def create(
    name: str, *, request_id: str = "", validate_only: bool = False, **fields: Unpack[RouteFields]
) -> Operation[CreateRouteResponse]:
    """Say where the calls for a task go. `validate_only` checks everything and changes nothing."""
    parent, route_id = split_name(name, "routes")
    request = CreateRouteRequest(
        parent=parent, route_id=route_id, route=_route(fields), request_id=request_id, validate_only=validate_only
    )
    return operation("provider_config", f"{_SERVICE}/CreateRoute", request, CreateRouteResponse, whole)


def get(name: str) -> Operation[Route]:
    """A route."""
    return operation(
        "provider_config",
        f"{_SERVICE}/GetRoute",
        GetRouteRequest(name=name),
        GetRouteResponse,
        lambda response: response.route,
    )


def list_(parent: str, *, page_size: int = 0) -> Listing[Route]:
    """The routes of a tenant (`tenants/acme`), by name."""
    return Listing(
        operation(
            "provider_config",
            f"{_SERVICE}/ListRoutes",
            ListRoutesRequest(parent=parent, page_size=page_size),
            ListRoutesResponse,
            lambda response: Page(items=response.routes, next_page_token=response.next_page_token),
        )
    )


def update(
    name: str, *, etag: str = "", validate_only: bool = False, **fields: Unpack[RouteFields]
) -> Operation[UpdateRouteResponse]:
    """Change exactly the fields given. With an `etag`, only what has not changed since."""
    route = _route(fields)
    route.name, route.etag = name, etag
    request = UpdateRouteRequest(route=route, update_mask=FieldMask(paths=sorted(fields)), validate_only=validate_only)
    return operation("provider_config", f"{_SERVICE}/UpdateRoute", request, UpdateRouteResponse, whole)


def delete(name: str, *, etag: str = "") -> Operation[DeleteRouteResponse]:
    """Delete a route: its task's calls then go by the route `default`, or by the tenant's default provider."""
    request = DeleteRouteRequest(name=name, etag=etag)
    return operation("provider_config", f"{_SERVICE}/DeleteRoute", request, DeleteRouteResponse, whole)


def versions(name: str, *, page_size: int = 0) -> Listing[RouteVersion]:
    """What a route was, newest first; the first is the present one."""
    return Listing(
        operation(
            "provider_config",
            f"{_SERVICE}/ListRouteVersions",
            ListRouteVersionsRequest(name=name, page_size=page_size),
            ListRouteVersionsResponse,
            lambda response: Page(items=response.versions, next_page_token=response.next_page_token),
        )
    )


def rollback(name: str, version: int, *, etag: str = "") -> Operation[RollbackRouteResponse]:
    """Make a route what it was at an earlier version, as a change like any other."""
    request = RollbackRouteRequest(name=name, version=version, etag=etag)
    return operation("provider_config", f"{_SERVICE}/RollbackRoute", request, RollbackRouteResponse, whole)


def get_policy(parent: str) -> Operation[RoutingPolicy]:
    """The policy of a tenant (`tenants/acme`); one that nobody changed has its defaults."""
    return operation(
        "provider_config",
        f"{_SERVICE}/GetRoutingPolicy",
        GetRoutingPolicyRequest(parent=parent),
        GetRoutingPolicyResponse,
        lambda response: response.policy,
    )


def update_policy(
    parent: str, *, platform_fallback: Fallback, etag: str = ""
) -> Operation[UpdateRoutingPolicyResponse]:
    """Say whether the platform's providers may serve a tenant that has its own: `never`, or `last` of all."""
    request = UpdateRoutingPolicyRequest(
        parent=parent,
        policy=RoutingPolicy(
            etag=etag,
            platform_fallback=PlatformFallback.Value(f"PLATFORM_FALLBACK_{platform_fallback.upper()}"),
        ),
        update_mask=FieldMask(paths=["platform_fallback"]),
    )
    return operation("provider_config", f"{_SERVICE}/UpdateRoutingPolicy", request, UpdateRoutingPolicyResponse, whole)


def _route(fields: RouteFields) -> Route:
    strategy = fields.get("strategy")
    plain = {name: value for name, value in fields.items() if name != "strategy"}
    route = Route(**plain)  # type: ignore[arg-type]  # the types are those of RouteFields
    if strategy is not None:
        route.strategy = RoutingStrategy.Value(f"ROUTING_STRATEGY_{strategy.upper()}")
    return route
