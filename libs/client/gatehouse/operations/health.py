"""Calls of gatehouse.router.v1.ProviderHealthService."""

from __future__ import annotations

from gatehouse.operations.operation import Operation, operation, whole
from gatehouse.router.v1.provider_health_service_pb2 import ListProviderHealthRequest, ListProviderHealthResponse

_SERVICE = "/gatehouse.router.v1.ProviderHealthService"


def health() -> Operation[ListProviderHealthResponse]:
    """How providers do, as the router that answers saw it in its own calls, and how current its configuration is."""
    return operation(
        "router", f"{_SERVICE}/ListProviderHealth", ListProviderHealthRequest(), ListProviderHealthResponse, whole
    )
