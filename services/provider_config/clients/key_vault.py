"""key_vault as provider_config asks it: what it knows of keys, which stay closed."""

from __future__ import annotations

from collections.abc import Sequence

import grpc
from gatehouse.keyvault.v1 import key_access_service_pb2 as pb
from gatehouse.keyvault.v1.key_access_service_pb2_grpc import KeyAccessServiceStub

from libs.core.resource_names import KeyName
from libs.rpc.status import from_rpc_error
from services.provider_config.domain.ports import KeyCheck, KeyUsability

# What this service does not know of counts as what nothing can be done with.
_USABILITIES = {pb.KeyUsability.Value(f"KEY_USABILITY_{each.value}"): each for each in KeyUsability}


class KeyVaultClient:
    """A `ports.KeyChecks`."""

    def __init__(self, channel: grpc.aio.Channel, *, timeout_s: float) -> None:
        self._access = KeyAccessServiceStub(channel)
        self._timeout_s = timeout_s

    async def check(self, wanted: Sequence[tuple[KeyName, str]]) -> Sequence[KeyCheck]:
        """The findings about keys, each to be sent to an origin (empty: any), in their order; at most 256.

        Raises Unavailable `SERVICE_UNREACHABLE`.
        """
        request = pb.CheckKeysRequest(items=[pb.KeyCheck(name=str(name), origin=origin) for name, origin in wanted])
        try:
            response = await self._access.CheckKeys(request, timeout=self._timeout_s)
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error, service="key-vault") from None
        return [
            KeyCheck(
                usability=_USABILITIES.get(result.usability, KeyUsability.NO_VERSION),
                origin=result.origin,
                refused_by_provider=result.refused_by_provider,
            )
            for result in response.results
        ]
