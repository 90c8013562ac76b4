"""Requests of UsageService as domain values."""

from __future__ import annotations

import re
from dataclasses import replace

from gatehouse.usage.v1 import usage_service_pb2 as pb
from google.protobuf.timestamp_pb2 import Timestamp

from libs.core.page_tokens import decode_page_token, encode_page_token, page_size
from libs.core.resource_names import ExperimentName, Owner
from libs.core.validation import FieldChecks
from services.usage_accounting.api.read_names import collected
from services.usage_accounting.api.times import timestamp_us
from services.usage_accounting.domain.errors import invalid_field
from services.usage_accounting.domain.experiments import ExperimentQuery
from services.usage_accounting.domain.reports import Grouping, RecordFilter, StatsQuery
from services.usage_accounting.domain.usage_event import Cursor, UsageRecord

_MOST_GROUPINGS = 3
_MAX_OPERATION_ID = 64
_CURSOR = re.compile(r"(-?\d{1,19})\.(\d{1,19})")
_GROUPINGS = {grouping.value: grouping for grouping in Grouping}


def tenant_or_user(parent: str) -> Owner:
    """Whose usage is asked for. Raises InvalidArgument for the platform, which uses nothing."""
    owner = Owner.parse(parent)
    if owner.is_platform:
        raise invalid_field("parent", "must be tenants/{tenant} or tenants/{tenant}/users/{user}")
    return owner


def record_filter(request: pb.ListUsageRecordsRequest, owner: Owner) -> tuple[RecordFilter, int]:
    """Which events of `owner`, and how many. Raises InvalidArgument."""
    with FieldChecks() as check:
        check.text("operation_id", request.operation_id, most=_MAX_OPERATION_ID)
        query = RecordFilter(
            tenant=owner.tenant or "",
            user=owner.user,
            operation_id=request.operation_id or None,
            start_us=_optional(check, "start_time", request, request.start_time),
            end_us=_optional(check, "end_time", request, request.end_time),
        )
    cursor = decode_page_token(request.page_token, _bound_to(query))
    match = _CURSOR.fullmatch(cursor) if cursor is not None else None
    if match is not None:
        after = Cursor(int(match[1]), int(match[2]))
        return replace(query, after=after), page_size(request.page_size)
    return query, page_size(request.page_size)


def next_page_token(query: RecordFilter, last: UsageRecord) -> str:
    """Continues after `last` in the listing of `query`."""
    return encode_page_token(f"{last.cursor.start_us}.{last.cursor.sequence}", _bound_to(query))


def stats_query(request: pb.GetUsageStatsRequest, owner: Owner) -> StatsQuery:
    """Which sums of `owner`. Raises InvalidArgument."""
    with FieldChecks() as check:
        check.count("group_by", request.group_by, most=_MOST_GROUPINGS)
        check.that(len(set(request.group_by)) == len(request.group_by), "group_by", "must name each grouping once")
        for index, value in enumerate(request.group_by[:_MOST_GROUPINGS]):
            check.that(value in _GROUPINGS, f"group_by[{index}]", "must be a known grouping")
        start_us = _optional(check, "start_time", request, request.start_time)
        end_us = _optional(check, "end_time", request, request.end_time)
    return StatsQuery(
        tenant=owner.tenant or "",
        user=owner.user,
        start_us=start_us,
        end_us=end_us,
        group_by=tuple(_GROUPINGS[value] for value in request.group_by),
    )


def experiment_query(request: pb.GetExperimentStatsRequest) -> ExperimentQuery:
    """Which sums of which experiment. Raises InvalidArgument naming every wrong field."""
    with FieldChecks() as check:
        name = collected(check, lambda: ExperimentName.parse(request.name))
        start_us = _optional(check, "start_time", request, request.start_time)
        end_us = _optional(check, "end_time", request, request.end_time)
    tenant = "" if name is None else name.route.tenant
    return ExperimentQuery(tenant=tenant, experiment=request.name, start_us=start_us, end_us=end_us)


def _optional(
    check: FieldChecks,
    field: str,
    request: pb.ListUsageRecordsRequest | pb.GetUsageStatsRequest | pb.GetExperimentStatsRequest,
    time: Timestamp,
) -> int | None:
    return timestamp_us(check, field, time) if request.HasField(field) else None  # type: ignore[arg-type]


def _bound_to(query: RecordFilter) -> dict[str, object]:
    return {
        "method": "ListUsageRecords",
        "tenant": query.tenant,
        "user": query.user,
        "operation_id": query.operation_id,
        "start_us": query.start_us,
        "end_us": query.end_us,
    }
