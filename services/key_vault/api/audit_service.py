"""gatehouse.keyvault.v1.AuditService."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
from gatehouse.keyvault.v1 import audit_service_pb2 as pb
from gatehouse.keyvault.v1.audit_service_pb2_grpc import AuditServiceServicer

from libs.core.audit_authors import Occasion
from libs.core.page_tokens import decode_page_token, encode_page_token, page_size
from libs.rpc.audit_messages import chain_named
from libs.rpc.audit_reader import AuditReader
from services.key_vault.api import read_audit
from services.key_vault.domain.anchor_audit import AuditVerdict
from services.key_vault.domain.ports import KeyStore

_Context = grpc.aio.ServicerContext[Any, Any]


class AuditServicer(AuditServiceServicer):
    """Shows the audit chains; the interceptors have established that the caller may see the one it names."""

    def __init__(
        self,
        store: KeyStore,
        verify: Callable[[str], Awaitable[AuditVerdict]],
        occasion: Callable[[], Occasion],
    ) -> None:
        self._store = store
        self._verify = verify
        self._reader = AuditReader(store, read_audit.MESSAGES, occasion)

    async def ListAuditEvents(
        self, request: pb.ListAuditEventsRequest, context: _Context
    ) -> pb.ListAuditEventsResponse:
        """See the proto."""
        events, more = await self._reader.page(request)
        return pb.ListAuditEventsResponse(events=events, next_page_token=more)

    async def ExportAuditEvents(
        self, request: pb.ExportAuditEventsRequest, context: _Context
    ) -> AsyncIterator[pb.ExportAuditEventsResponse]:
        """See the proto."""
        async for events in self._reader.export(request):
            yield pb.ExportAuditEventsResponse(events=events)

    async def VerifyAuditLog(self, request: pb.VerifyAuditLogRequest, context: _Context) -> pb.VerifyAuditLogResponse:
        """See the proto."""
        return read_audit.verdict_message(await self._verify(chain_named(request.parent)))

    async def ListKeyUse(self, request: pb.ListKeyUseRequest, context: _Context) -> pb.ListKeyUseResponse:
        """See the proto."""
        owner, key = read_audit.key_use_scope(request.parent)
        since = read_audit.since_of(request)
        size = page_size(request.page_size)
        arguments = {"parent": request.parent, "since": request.since.SerializeToString(deterministic=True).hex()}
        after = decode_page_token(request.page_token, arguments)
        found = await self._store.read(
            lambda transaction: transaction.uses.page(owner, key, since=since, after=after, limit=size + 1)
        )
        more = encode_page_token(found[size - 1][0], arguments) if len(found) > size else ""
        uses = [read_audit.key_use_message(use) for _, use in found[:size]]
        return pb.ListKeyUseResponse(uses=uses, next_page_token=more)
