"""gatehouse.keyvault.v1.KeyAccessService."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import grpc
from gatehouse.keyvault.v1 import key_access_service_pb2 as pb
from gatehouse.keyvault.v1.key_access_service_pb2_grpc import KeyAccessServiceServicer

from libs.rpc.context import current
from services.key_vault.api import convert
from services.key_vault.domain.access_keys import KeyAccessor
from services.key_vault.domain.key_outcome import KeyOutcome

_Context = grpc.aio.ServicerContext[Any, Any]


class KeyAccessServicer(KeyAccessServiceServicer):
    """Opens keys for the router; the interceptors let nobody else in."""

    def __init__(
        self, access: KeyAccessor, record: Callable[[Sequence[KeyOutcome]], Awaitable[None]], *, domain: str
    ) -> None:
        self._access = access
        self._record = record
        self._domain = domain

    async def AccessKeys(self, request: pb.AccessKeysRequest, context: _Context) -> pb.AccessKeysResponse:
        """See the proto."""
        call = current()
        results = await self._access(convert.key_accesses(request, call.caller.service or ""), call.request_id)
        return convert.access_response(results, domain=self._domain)

    async def ReportKeyOutcomes(
        self, request: pb.ReportKeyOutcomesRequest, context: _Context
    ) -> pb.ReportKeyOutcomesResponse:
        """See the proto."""
        await self._record(convert.key_outcomes(request))
        return pb.ReportKeyOutcomesResponse()
