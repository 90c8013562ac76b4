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
from services.key_vault.domain.check_keys import check_keys
from services.key_vault.domain.key_outcome import KeyOutcome
from services.key_vault.domain.ports import KeyStore

_Context = grpc.aio.ServicerContext[Any, Any]


class KeyAccessServicer(KeyAccessServiceServicer):
    """Opens keys for the router, and tells it and provider_config of them; the interceptors let nobody else in."""

    def __init__(
        self,
        store: KeyStore,
        access: KeyAccessor,
        record: Callable[[Sequence[KeyOutcome]], Awaitable[None]],
        *,
        domain: str,
    ) -> None:
        self._store = store
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

    async def CheckKeys(self, request: pb.CheckKeysRequest, context: _Context) -> pb.CheckKeysResponse:
        """See the proto."""
        checks = convert.key_checks(request)
        return convert.check_response(await self._store.read(lambda transaction: check_keys(transaction, checks)))
