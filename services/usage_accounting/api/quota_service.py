"""gatehouse.usage.v1.QuotaService."""

from __future__ import annotations

import uuid
from collections.abc import Callable

from gatehouse.usage.v1 import quota_service_pb2 as pb
from gatehouse.usage.v1.quota_service_pb2_grpc import QuotaServiceServicer

from libs.core.resource_names import QuotaName
from libs.identity.caller import Caller
from libs.telemetry import names
from libs.telemetry.logs import get_logger
from services.usage_accounting.api import convert, read_quotas
from services.usage_accounting.domain import manage_quotas
from services.usage_accounting.domain.ports import UsageStore
from services.usage_accounting.domain.windows import WindowCalendar

_log = get_logger(__name__)


class QuotaServicer(QuotaServiceServicer):
    """Manages a tenant's quotas. `caller` tells who calls."""

    def __init__(self, store: UsageStore, *, calendar: WindowCalendar, caller: Callable[[], Caller]) -> None:
        self._store = store
        self._calendar = calendar
        self._caller = caller

    async def CreateQuota(self, request: pb.CreateQuotaRequest, _context: object) -> pb.CreateQuotaResponse:
        """Create a quota."""
        quota = await manage_quotas.create_quota(
            self._store,
            self._calendar,
            read_quotas.new_quota(request),
            uid=str(uuid.uuid4()),
            request=read_quotas.remembered_as(request, self._caller()),
            validate_only=request.validate_only,
        )
        if not request.validate_only:
            _log_change(str(quota.name))
        return pb.CreateQuotaResponse(quota=convert.quota_message(quota))

    async def GetQuota(self, request: pb.GetQuotaRequest, _context: object) -> pb.GetQuotaResponse:
        """Read a quota."""
        quota = await manage_quotas.get_quota(self._store, QuotaName.parse(request.name))
        return pb.GetQuotaResponse(quota=convert.quota_message(quota))

    async def ListQuotas(self, request: pb.ListQuotasRequest, _context: object) -> pb.ListQuotasResponse:
        """List a tenant's quotas by name."""
        tenant = read_quotas.tenant_of(request.parent)
        after, size = read_quotas.page(request, tenant)
        found = await manage_quotas.list_quotas(self._store, tenant, after=after, limit=size + 1)
        more = len(found) > size
        return pb.ListQuotasResponse(
            quotas=map(convert.quota_message, found[:size]),
            next_page_token=read_quotas.next_page_token(tenant, found[size - 1].name) if more else "",
        )

    async def UpdateQuota(self, request: pb.UpdateQuotaRequest, _context: object) -> pb.UpdateQuotaResponse:
        """Change a quota."""
        name = QuotaName.parse(request.quota.name, field="quota.name")
        change = read_quotas.change(request)
        quota = await manage_quotas.update_quota(self._store, name, change, etag=request.quota.etag)
        _log_change(str(name))
        return pb.UpdateQuotaResponse(quota=convert.quota_message(quota))

    async def DeleteQuota(self, request: pb.DeleteQuotaRequest, _context: object) -> pb.DeleteQuotaResponse:
        """Delete a quota."""
        await manage_quotas.delete_quota(self._store, QuotaName.parse(request.name), etag=request.etag)
        _log_change(request.name)
        return pb.DeleteQuotaResponse()

    async def GetQuotaState(self, request: pb.GetQuotaStateRequest, _context: object) -> pb.GetQuotaStateResponse:
        """Say how much of a quota is used now."""
        state = await manage_quotas.quota_state(self._store, self._calendar, QuotaName.parse(request.name))
        return pb.GetQuotaStateResponse(state=convert.quota_state_message(state))


def _log_change(name: str) -> None:
    _log.info(names.EVENT_CONFIG_CHANGED, **{names.FIELD_RESOURCE: name})
