"""Somebody who manages routes, preferences and profiles."""

from __future__ import annotations

from typing import Any

import grpc
from gatehouse.providerconfig.v1 import model_service_pb2 as models_pb
from gatehouse.providerconfig.v1 import preference_pb2, route_pb2
from gatehouse.providerconfig.v1 import preference_service_pb2 as preferences_pb
from gatehouse.providerconfig.v1 import route_service_pb2 as routes_pb
from gatehouse.providerconfig.v1.preference_service_pb2_grpc import PreferenceServiceStub, ProfileServiceStub
from gatehouse.providerconfig.v1.route_service_pb2_grpc import RouteServiceStub
from google.protobuf.field_mask_pb2 import FieldMask

from tests.integration.provider_config.conftest import Replica, error_of
from tests.integration.provider_config.person import Person

ROUTE = "tenants/acme/routes/t"
ANN = "tenants/acme/users/ann"
WORK = f"{ANN}/profiles/work"
PRIORITY = route_pb2.ROUTING_STRATEGY_PRIORITY


class RoutingPerson(Person):
    """Somebody with a token."""

    def __init__(self, replica: Replica, metadata: tuple[tuple[str, str], ...]) -> None:
        super().__init__(replica, metadata)
        self._stubs: dict[str, Any] = {
            "Rout": RouteServiceStub(replica.public),
            "Preferences": PreferenceServiceStub(replica.public),
            "Profile": ProfileServiceStub(replica.public),
        }

    async def __call__(self, method: str, request: Any) -> Any:
        stub = next((stub for part, stub in self._stubs.items() if part in method), None)
        if stub is None:
            return await super().__call__(method, request)
        try:
            return await getattr(stub, method)(request, metadata=self._metadata, timeout=10)
        except grpc.aio.AioRpcError as error:
            failure = error_of(error)
        raise failure

    async def provide(self, provider_id: str, *models: str, parent: str = "tenants/acme", **fields: Any) -> None:
        """A provider with these models, one called `m` if none is named."""
        await self.create(provider_id, parent, **fields)
        for model in models or ("m",):
            name = f"{parent}/providers/{provider_id}"
            await self("CreateModel", models_pb.CreateModelRequest(parent=name, model_id=model))

    async def route(self, task: str = "t", *providers: str, **fields: Any) -> Any:
        targets = [route_pb2.RouteTarget(provider=each) for each in providers or ("main",)]
        request = routes_pb.CreateRouteRequest(
            parent=fields.pop("parent", "tenants/acme"),
            route_id=task,
            request_id=fields.pop("request_id", ""),
            validate_only=fields.pop("validate_only", False),
        )
        values: dict[str, Any] = {"strategy": PRIORITY, "targets": targets} | fields
        request.route.CopyFrom(route_pb2.Route(**values))
        return await self("CreateRoute", request)

    async def change_route(self, mask: str = "", **fields: Any) -> Any:
        request = routes_pb.UpdateRouteRequest(
            validate_only=fields.pop("validate_only", False),
            route=route_pb2.Route(**({"name": ROUTE} | fields)),
            update_mask=FieldMask(paths=mask.split(",") if mask else ()),
        )
        return await self("UpdateRoute", request)

    async def prefer(self, mask: str = "", parent: str = ANN, **fields: Any) -> Any:
        request = preferences_pb.UpdatePreferencesRequest(
            parent=parent,
            preferences=preference_pb2.Preferences(**fields),
            update_mask=FieldMask(paths=mask.split(",") if mask else ()),
        )
        return await self("UpdatePreferences", request)

    async def profile(self, profile_id: str = "work", parent: str = ANN, **fields: Any) -> Any:
        request = preferences_pb.CreateProfileRequest(
            parent=parent,
            profile_id=profile_id,
            request_id=fields.pop("request_id", ""),
            validate_only=fields.pop("validate_only", False),
            profile=preference_pb2.Profile(**fields),
        )
        return await self("CreateProfile", request)


def choice(provider: str, model: str = "") -> preference_pb2.Choice:
    return preference_pb2.Choice(provider=provider, model=model)
