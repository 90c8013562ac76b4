"""gatehouse.keyvault.v1.KeyAccessService."""

from __future__ import annotations

from typing import Any

import grpc
from gatehouse.keyvault.v1 import key_access_service_pb2 as pb
from gatehouse.keyvault.v1.key_access_service_pb2_grpc import KeyAccessServiceServicer

from services.key_vault.api import convert
from services.key_vault.domain.access_keys import KeyAccessor


class KeyAccessServicer(KeyAccessServiceServicer):
    """Opens keys for the router; the interceptors let nobody else in."""

    def __init__(self, access: KeyAccessor, *, domain: str) -> None:
        self._access = access
        self._domain = domain

    async def AccessKeys(
        self,
        request: pb.AccessKeysRequest,
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> pb.AccessKeysResponse:
        """See the proto."""
        results = await self._access(convert.key_accesses(request))
        return convert.access_response(results, domain=self._domain)
