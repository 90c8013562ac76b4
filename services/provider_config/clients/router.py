"""The router as provider_config asks it: to try providers."""

from __future__ import annotations

from datetime import timedelta

import grpc
from gatehouse.router.v1 import probe_service_pb2 as pb
from gatehouse.router.v1.probe_service_pb2_grpc import ProbeServiceStub
from google.protobuf.duration_pb2 import Duration
from google.protobuf.struct_pb2 import Struct

from libs.core.secret import Secret
from libs.rpc.status import from_rpc_error
from services.provider_config.domain.probe_ports import MOST_LISTED, Probe, ProbeFinding
from services.provider_config.domain.provider import MAX_TEST_MESSAGE, ProviderTestOutcome

# For what the router does besides: opening the key.
_MARGIN_S = 8.0
_OUTCOMES = {pb.ProbeOutcome.Value(f"PROBE_OUTCOME_{each}"): each for each in ProviderTestOutcome}


class RouterClient:
    """A `probe_ports.ProviderProbes`."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._probes = ProbeServiceStub(channel)

    async def probe(self, probe: Probe) -> ProbeFinding:
        """Try a provider. Raises Unavailable `SERVICE_UNREACHABLE`, and what key_vault says when it cannot be asked."""
        timeout_s = probe.timeout.total_seconds() + _MARGIN_S
        try:
            # Made in place: a name for it would put a key in clear into the frames of every traceback.
            response = await self._probes.ProbeProvider(_request(probe), timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            failure = from_rpc_error(error, service="router")
        else:
            return _finding(response)
        raise failure


def _request(probe: Probe) -> pb.ProbeProviderRequest:
    timeout = Duration()
    timeout.FromTimedelta(probe.timeout)
    options = Struct()
    options.update(dict(probe.options))
    request = pb.ProbeProviderRequest(
        type=probe.type, base_url=probe.base_url, options=options, model=probe.model, timeout=timeout
    )
    if isinstance(probe.key, Secret):
        request.api_key = probe.key.reveal()
    elif probe.key is not None:
        request.key = str(probe.key)
        request.caller_token = probe.caller_token.reveal()
    return request


def _finding(response: pb.ProbeProviderResponse) -> ProbeFinding:
    return ProbeFinding(
        # A router that is newer than this service may know of more.
        outcome=_OUTCOMES.get(response.outcome, ProviderTestOutcome.PROVIDER_ERROR),
        message=response.message[:MAX_TEST_MESSAGE],
        duration=timedelta(microseconds=response.duration.ToMicroseconds()),
        model_ids=tuple(response.model_ids[:MOST_LISTED]),
    )
