"""Requests about routes and policies as commands; all wrong fields are reported at once."""

from __future__ import annotations

from gatehouse.providerconfig.v1 import route_pb2
from gatehouse.providerconfig.v1 import route_service_pb2 as pb

from libs.core.resource_names import Owner, RouteName
from libs.core.validation import FieldChecks
from services.provider_config.api.field_masks import fields_to_change
from services.provider_config.api.read_names import etag_in, name_in
from services.provider_config.api.read_route_fields import MUTABLE, RouteReader
from services.provider_config.api.request_ids import check_request_id
from services.provider_config.domain.changes import Act
from services.provider_config.domain.create_route import CreateRoute
from services.provider_config.domain.policy import PlatformFallback
from services.provider_config.domain.route_rules import check_route
from services.provider_config.domain.update_policy import UpdatePolicy
from services.provider_config.domain.update_route import RollbackRoute, UpdateRoute

_PLATFORM_FALLBACKS = {
    route_pb2.PLATFORM_FALLBACK_UNSPECIFIED: PlatformFallback.NEVER,
    **{route_pb2.PlatformFallback.Value(f"PLATFORM_FALLBACK_{each}"): each for each in PlatformFallback},
}


def create_command(request: pb.CreateRouteRequest, *, uid: str, act: Act) -> CreateRoute:
    """The checked request. Raises InvalidArgument naming every wrong field."""
    with FieldChecks() as check:
        tenant = _tenant(check, request.parent)
        check.identifier("route_id", request.route_id)
        check_request_id(check, request.request_id)
        settings = RouteReader(check=check, tenant=tenant).settings(request.route, MUTABLE)
        check_route(check, settings)
    return CreateRoute(
        # Without a tenant there was a violation, and with a violation this line is not reached.
        name=RouteName((tenant or Owner()).tenant or "", request.route_id),
        settings=settings,
        uid=uid,
        act=act,
        validate_only=request.validate_only,
    )


def update_command(request: pb.UpdateRouteRequest, *, act: Act) -> UpdateRoute:
    """The checked request. Raises InvalidArgument naming every wrong field."""
    route = request.route
    name = RouteName.parse(route.name, field="route.name")
    with FieldChecks() as check:
        changing = fields_to_change(check, request.update_mask, route, MUTABLE)
        settings = RouteReader(check=check, tenant=name.owner).settings(route, changing)
        etag = etag_in(check, route.etag, field="route.etag")
    return UpdateRoute(
        name=name,
        fields=changing,
        settings=settings,
        etag=etag,
        act=act,
        validate_only=request.validate_only,
    )


def rollback_command(request: pb.RollbackRouteRequest, *, act: Act) -> RollbackRoute:
    """The checked request. Raises InvalidArgument naming every wrong field."""
    name = RouteName.parse(request.name)
    with FieldChecks() as check:
        check.that(request.version > 0, "version", "must be a version's number, from 1")
        etag = etag_in(check, request.etag, field="etag")
    return RollbackRoute(name=name, version=request.version, etag=etag, act=act)


def policy_command(request: pb.UpdateRoutingPolicyRequest, *, uid: str, act: Act) -> UpdatePolicy:
    """The checked request. Raises InvalidArgument naming every wrong field."""
    with FieldChecks() as check:
        tenant = _tenant(check, request.parent)
        changing = fields_to_change(check, request.update_mask, request.policy, ("platform_fallback",))
        fallback = _PLATFORM_FALLBACKS.get(request.policy.platform_fallback)
        if changing:
            choices = ", ".join(PlatformFallback)
            check.that(fallback is not None, "policy.platform_fallback", f"must be one of {choices}")
        etag = etag_in(check, request.policy.etag, field="policy.etag")
    return UpdatePolicy(
        tenant=tenant or Owner(),
        platform_fallback=fallback if changing else None,
        etag=etag,
        uid=uid,
        act=act,
    )


def tenant_in(parent: str) -> Owner:
    """The tenant that a list is of. Raises InvalidArgument."""
    with FieldChecks() as check:
        tenant = _tenant(check, parent)
    return tenant or Owner()


def _tenant(check: FieldChecks, parent: str) -> Owner | None:
    owner = name_in(check, Owner.parse, parent, field="parent")
    if owner is not None and (owner.is_platform or owner.user is not None):
        check.fail("parent", "must be a tenant: tenants/{tenant}")
        return None
    return owner
