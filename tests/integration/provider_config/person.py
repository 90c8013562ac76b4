"""Somebody who calls the service."""

from __future__ import annotations

from typing import Any

import grpc
from gatehouse.providerconfig.v1 import model_pb2, provider_pb2
from gatehouse.providerconfig.v1 import model_service_pb2 as models_pb
from gatehouse.providerconfig.v1 import provider_service_pb2 as providers_pb
from gatehouse.providerconfig.v1.model_service_pb2_grpc import ModelServiceStub
from gatehouse.providerconfig.v1.provider_service_pb2_grpc import ProviderServiceStub
from gatehouse.providerconfig.v1.route_service_pb2_grpc import RouteServiceStub
from google.protobuf.field_mask_pb2 import FieldMask

from libs.core.errors import GatehouseError
from tests.integration.provider_config.conftest import Replica, error_of

NAME = "tenants/acme/providers/openai"


class Person:
    """Somebody with a token."""

    def __init__(self, replica: Replica, metadata: tuple[tuple[str, str], ...]) -> None:
        self._providers: Any = ProviderServiceStub(replica.public)
        self._models: Any = ModelServiceStub(replica.public)
        self._routes: Any = RouteServiceStub(replica.public)
        self._metadata = metadata

    async def __call__(self, method: str, request: Any) -> Any:
        stub = self._models if "Model" in method else self._routes if "Route" in method else self._providers
        try:
            return await getattr(stub, method)(request, metadata=self._metadata, timeout=10)
        except grpc.aio.AioRpcError as error:
            failure = error_of(error)
        raise failure

    async def create(self, provider_id: str = "openai", parent: str = "tenants/acme", **fields: Any) -> Any:
        request = providers_pb.CreateProviderRequest(
            parent=parent,
            provider_id=provider_id,
            request_id=fields.pop("request_id", ""),
            validate_only=fields.pop("validate_only", False),
            provider=provider_pb2.Provider(**({"type": "openai", "key": f"{parent}/keys/prod"} | fields)),
        )
        return await self("CreateProvider", request)

    async def update(self, mask: str = "", **fields: Any) -> Any:
        request = providers_pb.UpdateProviderRequest(
            provider=provider_pb2.Provider(**({"name": NAME} | fields)),
            update_mask=FieldMask(paths=mask.split(",") if mask else ()),
        )
        return await self("UpdateProvider", request)

    async def create_model(self, model_id: str = "gpt-4o", **fields: Any) -> Any:
        request = models_pb.CreateModelRequest(
            parent=NAME,
            model_id=model_id,
            request_id=fields.pop("request_id", ""),
            validate_only=fields.pop("validate_only", False),
            model=model_pb2.Model(**fields),
        )
        return await self("CreateModel", request)


async def refused(call: Any) -> GatehouseError:
    """The error a call ends with."""
    try:
        await call
    except GatehouseError as error:
        return error
    raise AssertionError("the call was not refused")
