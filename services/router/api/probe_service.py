"""gatehouse.router.v1.ProbeService."""

from __future__ import annotations

from collections.abc import Collection

from gatehouse.router.v1 import probe_service_pb2 as pb
from gatehouse.router.v1.probe_service_pb2_grpc import ProbeServiceServicer

from libs.telemetry import names
from libs.telemetry.logs import get_logger
from services.router.api import read_probes
from services.router.domain.probe import Prober

_log = get_logger(__name__)


class ProbeService(ProbeServiceServicer):
    """Tries providers for provider_config; the interceptors let nobody else in. `types` are the known ones."""

    def __init__(self, prober: Prober, types: Collection[str]) -> None:
        self._prober = prober
        self._types = types

    async def ProbeProvider(self, request: pb.ProbeProviderRequest, context: object) -> pb.ProbeProviderResponse:
        """See the proto."""
        result = await self._prober(read_probes.probe(request, self._types))
        _log.info(names.EVENT_PROVIDER_PROBED, type=request.type, outcome=result.outcome.value)
        return read_probes.result_to_pb(result)
