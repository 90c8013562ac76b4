"""gatehouse.usage.v1.UsageService."""

from __future__ import annotations

from collections.abc import Callable

from gatehouse.usage.v1 import usage_service_pb2 as pb
from gatehouse.usage.v1.usage_service_pb2_grpc import UsageServiceServicer

from libs.identity.caller import Caller
from libs.identity.permissions import narrowed
from services.usage_accounting.api import convert, read_usage
from services.usage_accounting.domain.ports import UsageStore
from services.usage_accounting.domain.read_usage import get_experiment_stats, get_usage_stats, list_usage_records


class UsageServicer(UsageServiceServicer):
    """Reads the ledger. `caller` tells who calls: who is no admin sees their own calls only."""

    def __init__(self, store: UsageStore, *, caller: Callable[[], Caller]) -> None:
        self._store = store
        self._caller = caller

    async def ListUsageRecords(
        self, request: pb.ListUsageRecordsRequest, _context: object
    ) -> pb.ListUsageRecordsResponse:
        """List ledger events, newest first."""
        owner = narrowed(self._caller(), read_usage.tenant_or_user(request.parent))
        query, size = read_usage.record_filter(request, owner)
        found = await list_usage_records(self._store, query, limit=size + 1)
        more = len(found) > size
        return pb.ListUsageRecordsResponse(
            records=map(convert.record_message, found[:size]),
            next_page_token=read_usage.next_page_token(query, found[size - 1]) if more else "",
        )

    async def GetUsageStats(self, request: pb.GetUsageStatsRequest, _context: object) -> pb.GetUsageStatsResponse:
        """Sum the ledger up."""
        owner = narrowed(self._caller(), read_usage.tenant_or_user(request.parent))
        stats = await get_usage_stats(self._store, read_usage.stats_query(request, owner))
        return pb.GetUsageStatsResponse(
            rows=map(convert.stats_message, stats.rows), total=convert.stats_message(stats.total)
        )

    async def GetExperimentStats(
        self, request: pb.GetExperimentStatsRequest, _context: object
    ) -> pb.GetExperimentStatsResponse:
        """Compare the arms of an experiment."""
        arms = await get_experiment_stats(self._store, read_usage.experiment_query(request))
        return pb.GetExperimentStatsResponse(arms=map(convert.arm_message, arms))
