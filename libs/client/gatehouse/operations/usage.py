"""Calls of gatehouse.usage.v1.UsageService."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from gatehouse.operations.operation import Listing, Operation, Page, operation, whole
from gatehouse.operations.timestamps import timestamp_of
from gatehouse.usage.v1.usage_record_pb2 import UsageRecord
from gatehouse.usage.v1.usage_service_pb2 import (
    GetExperimentStatsRequest,
    GetExperimentStatsResponse,
    GetUsageStatsRequest,
    GetUsageStatsResponse,
    ListUsageRecordsRequest,
    ListUsageRecordsResponse,
    UsageGrouping,
)

_SERVICE = "/gatehouse.usage.v1.UsageService"

Grouping = Literal["provider", "model", "user", "task", "key", "rule"]


def records(
    parent: str,
    *,
    operation_id: str = "",
    start: datetime | None = None,
    end: datetime | None = None,
    page_size: int = 0,
) -> Listing[UsageRecord]:
    """The ledger of a tenant or a user (`tenants/acme`, `tenants/acme/users/ann`), newest first.

    Only one call's with `operation_id`; only attempts begun from `start` on and before `end`, both timezone-aware.
    """
    request = ListUsageRecordsRequest(
        parent=parent,
        page_size=page_size,
        operation_id=operation_id,
        start_time=timestamp_of(start),
        end_time=timestamp_of(end),
    )
    return Listing(
        operation(
            "usage_accounting",
            f"{_SERVICE}/ListUsageRecords",
            request,
            ListUsageRecordsResponse,
            lambda response: Page(items=response.records, next_page_token=response.next_page_token),
        )
    )


def stats(
    parent: str,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    group_by: Sequence[Grouping] = (),
) -> Operation[GetUsageStatsResponse]:
    """Sums of a tenant or a user from the hour of `start` (30 days before `end`) to the hour of `end` (now)."""
    request = GetUsageStatsRequest(
        parent=parent,
        start_time=timestamp_of(start),
        end_time=timestamp_of(end),
        group_by=[UsageGrouping.Value(f"USAGE_GROUPING_{group.upper()}") for group in group_by],
    )
    return operation("usage_accounting", f"{_SERVICE}/GetUsageStats", request, GetUsageStatsResponse, whole)


def experiment(
    name: str, *, start: datetime | None = None, end: datetime | None = None
) -> Operation[GetExperimentStatsResponse]:
    """How the arms of an experiment did (`tenants/acme/routes/extraction/experiments/cheaper`), with 95 % intervals.

    From the hour of `start` (the beginning) to the hour of `end` (now), both timezone-aware.
    """
    request = GetExperimentStatsRequest(name=name, start_time=timestamp_of(start), end_time=timestamp_of(end))
    return operation("usage_accounting", f"{_SERVICE}/GetExperimentStats", request, GetExperimentStatsResponse, whole)
