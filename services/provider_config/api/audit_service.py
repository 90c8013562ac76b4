"""gatehouse.providerconfig.v1.AuditService."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from gatehouse.providerconfig.v1 import audit_service_pb2 as pb
from gatehouse.providerconfig.v1.audit_service_pb2_grpc import AuditServiceServicer

from libs.core.audit_authors import Occasion
from libs.rpc.audit_messages import chain_named
from libs.rpc.audit_reader import AuditReader
from services.provider_config.api.read_audit import MESSAGES, verdict_message
from services.provider_config.domain.ports import ConfigStore


class AuditServicer(AuditServiceServicer):
    """Shows the audit chains; the interceptors have established that the caller may see the one it names."""

    def __init__(self, store: ConfigStore, occasion: Callable[[], Occasion]) -> None:
        self._store = store
        self._reader = AuditReader(store, MESSAGES, occasion)
        self._turn = asyncio.Lock()

    async def ListAuditEvents(self, request: pb.ListAuditEventsRequest, _context: object) -> pb.ListAuditEventsResponse:
        """Read a page of events."""
        events, more = await self._reader.page(request)
        return pb.ListAuditEventsResponse(events=events, next_page_token=more)

    async def ExportAuditEvents(
        self, request: pb.ExportAuditEventsRequest, _context: object
    ) -> AsyncIterator[pb.ExportAuditEventsResponse]:
        """Stream a whole chain."""
        async for events in self._reader.export(request):
            yield pb.ExportAuditEventsResponse(events=events)

    async def VerifyAuditLog(self, request: pb.VerifyAuditLogRequest, _context: object) -> pb.VerifyAuditLogResponse:
        """Hold a chain against its head."""
        scope = chain_named(request.parent)
        # One at a time: each keeps a core busy, and calls are served by the same process.
        async with self._turn:
            return verdict_message(await self._store.verify_audit(scope))
