"""gatehouse.providerconfig.v1.RouteService."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from functools import partial

from gatehouse.providerconfig.v1 import route_pb2
from gatehouse.providerconfig.v1 import route_service_pb2 as pb
from gatehouse.providerconfig.v1.route_service_pb2_grpc import RouteServiceServicer

from libs.core.clock import Clock
from libs.core.page_tokens import encode_page_token
from libs.core.resource_names import RouteName
from libs.core.validation import FieldChecks
from services.provider_config.api import convert_routing as convert
from services.provider_config.api import read_routes
from services.provider_config.api.acts import current_act
from services.provider_config.api.change_log import log_change
from services.provider_config.api.page_bytes import fitting
from services.provider_config.api.read_names import etag_in, page_in, version_page_in
from services.provider_config.api.request_ids import remembered_as
from services.provider_config.domain.changes import once
from services.provider_config.domain.create_route import CreateRoute, create_route
from services.provider_config.domain.delete_route import delete_route
from services.provider_config.domain.ports import ConfigStore, Transaction
from services.provider_config.domain.routing_look_up import get_policy, get_route, list_routes, route_versions
from services.provider_config.domain.update_policy import update_policy
from services.provider_config.domain.update_route import rollback_route, update_route


class RouteServicer(RouteServiceServicer):
    """Manages the routes and policies of tenants."""

    def __init__(self, store: ConfigStore, *, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def CreateRoute(self, request: pb.CreateRouteRequest, _context: object) -> pb.CreateRouteResponse:
        """Create a route."""
        act = current_act("CreateRoute", self._clock)
        command = read_routes.create_command(request, uid=str(uuid.uuid4()), act=act)
        work = partial(
            once,
            request=remembered_as(request, caller=act.author.actor),
            effect=partial(_create, command=command),
            encode=pb.CreateRouteResponse.SerializeToString,
            decode=pb.CreateRouteResponse.FromString,
            now=act.now,
        )
        response = await self._store.write(work)
        log_change(response.route.name, response.revision)
        return response

    async def GetRoute(self, request: pb.GetRouteRequest, _context: object) -> pb.GetRouteResponse:
        """Read a route."""
        route = await self._store.read(partial(get_route, name=RouteName.parse(request.name)))
        return pb.GetRouteResponse(route=convert.route_message(route))

    async def ListRoutes(self, request: pb.ListRoutesRequest, _context: object) -> pb.ListRoutesResponse:
        """Read a page of the routes of a tenant."""
        tenant = read_routes.tenant_in(request.parent)
        bound_to = {"method": "ListRoutes", "parent": request.parent}
        size, after = page_in(request.page_size, request.page_token, bound_to)
        found = await self._store.read(partial(list_routes, tenant=tenant, after=after, size=size))
        routes, more = fitting(map(convert.route_message, found), size)
        return pb.ListRoutesResponse(
            routes=routes,
            next_page_token=encode_page_token(found[len(routes) - 1].name.task, bound_to) if more else "",
        )

    async def UpdateRoute(self, request: pb.UpdateRouteRequest, _context: object) -> pb.UpdateRouteResponse:
        """Change a route."""
        command = read_routes.update_command(request, act=current_act("UpdateRoute", self._clock))
        changed = await self._store.write(partial(update_route, command=command))
        log_change(str(command.name), changed.revision, stored=changed.stored)
        return pb.UpdateRouteResponse(route=convert.route_message(changed.resource), revision=changed.revision)

    async def DeleteRoute(self, request: pb.DeleteRouteRequest, _context: object) -> pb.DeleteRouteResponse:
        """Delete a route."""
        name = RouteName.parse(request.name)
        with FieldChecks() as check:
            etag = etag_in(check, request.etag, field="etag")
        act = current_act("DeleteRoute", self._clock)
        revision = await self._store.write(partial(delete_route, name=name, etag=etag, act=act))
        log_change(request.name, revision)
        return pb.DeleteRouteResponse(revision=revision)

    async def ListRouteVersions(
        self, request: pb.ListRouteVersionsRequest, _context: object
    ) -> pb.ListRouteVersionsResponse:
        """Read a page of what a route was."""
        name = RouteName.parse(request.name)
        bound_to = {"method": "ListRouteVersions", "name": request.name}
        size, before = version_page_in(request.page_size, request.page_token, bound_to)
        versions, more = await self._store.read(partial(_version_page, name=name, before=before, size=size))
        return pb.ListRouteVersionsResponse(
            versions=versions,
            next_page_token=encode_page_token(str(versions[-1].version), bound_to) if more else "",
        )

    async def RollbackRoute(self, request: pb.RollbackRouteRequest, _context: object) -> pb.RollbackRouteResponse:
        """Make a route what it was."""
        command = read_routes.rollback_command(request, act=current_act("RollbackRoute", self._clock))
        changed = await self._store.write(partial(rollback_route, command=command))
        log_change(request.name, changed.revision, stored=changed.stored)
        return pb.RollbackRouteResponse(route=convert.route_message(changed.resource), revision=changed.revision)

    async def GetRoutingPolicy(
        self, request: pb.GetRoutingPolicyRequest, _context: object
    ) -> pb.GetRoutingPolicyResponse:
        """Read the policy of a tenant."""
        tenant = read_routes.tenant_in(request.parent)
        policy = await self._store.read(partial(get_policy, tenant=tenant))
        return pb.GetRoutingPolicyResponse(policy=convert.policy_message(policy))

    async def UpdateRoutingPolicy(
        self, request: pb.UpdateRoutingPolicyRequest, _context: object
    ) -> pb.UpdateRoutingPolicyResponse:
        """Change the policy of a tenant."""
        act = current_act("UpdateRoutingPolicy", self._clock)
        command = read_routes.policy_command(request, uid=str(uuid.uuid4()), act=act)
        changed = await self._store.write(partial(update_policy, command=command))
        log_change(changed.resource.name, changed.revision, stored=changed.stored)
        policy = convert.policy_message(changed.resource)
        return pb.UpdateRoutingPolicyResponse(policy=policy, revision=changed.revision)


def _create(transaction: Transaction, command: CreateRoute) -> pb.CreateRouteResponse:
    changed = create_route(transaction, command)
    return pb.CreateRouteResponse(route=convert.route_message(changed.resource), revision=changed.revision)


def _version_page(
    transaction: Transaction, name: RouteName, before: int | None, size: int
) -> tuple[Sequence[route_pb2.RouteVersion], bool]:
    route, versions = route_versions(transaction, name, before=before)
    return fitting((convert.route_version_message(route, each) for each in versions), size)
