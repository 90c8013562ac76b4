"""gatehouse.router.v1.ProviderHealthService."""

from __future__ import annotations

from gatehouse.router.v1 import provider_health_service_pb2 as pb
from gatehouse.router.v1.provider_health_service_pb2_grpc import ProviderHealthServiceServicer

from libs.rpc.context import current
from services.router.api import convert
from services.router.api.explanations import health_to_pb
from services.router.domain.explain import Explainer


class ProviderHealthService(ProviderHealthServiceServicer):
    """Calls, converts."""

    def __init__(self, explainer: Explainer) -> None:
        self._explainer = explainer

    async def ListProviderHealth(
        self, request: pb.ListProviderHealthRequest, context: object
    ) -> pb.ListProviderHealthResponse:
        """See the proto."""
        return health_to_pb(await self._explainer.health(convert.call_context(current())))
