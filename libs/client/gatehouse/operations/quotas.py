"""Calls of gatehouse.usage.v1.QuotaService. Names are resource names: `tenants/acme/quotas/daily-tokens`."""

from __future__ import annotations

from typing import Literal, TypedDict, Unpack

from google.protobuf.field_mask_pb2 import FieldMask

from gatehouse.operations.operation import Listing, Operation, Page, nothing, operation, split_name
from gatehouse.usage.v1.quota_pb2 import Quota, QuotaMetric, QuotaState, QuotaWindow
from gatehouse.usage.v1.quota_service_pb2 import (
    CreateQuotaRequest,
    CreateQuotaResponse,
    DeleteQuotaRequest,
    DeleteQuotaResponse,
    GetQuotaRequest,
    GetQuotaResponse,
    GetQuotaStateRequest,
    GetQuotaStateResponse,
    ListQuotasRequest,
    ListQuotasResponse,
    UpdateQuotaRequest,
    UpdateQuotaResponse,
)

_SERVICE = "/gatehouse.usage.v1.QuotaService"

Metric = Literal["tokens", "cost"]
Window = Literal["day", "month"]


class QuotaFields(TypedDict, total=False):
    """What can be changed. `limit` is in tokens, or in nano-USD for a cost quota ($1 is 1,000,000,000)."""

    limit: int
    display_name: str


def create(
    name: str,
    *,
    metric: Metric,
    window: Window,
    limit: int,
    time_zone: str = "",
    display_name: str = "",
    request_id: str = "",
) -> Operation[Quota]:
    """Limit a tenant: `limit` tokens, or nano-USD for a cost quota, per day or month of `time_zone` (UTC)."""
    parent, quota_id = split_name(name, "quotas")
    quota = Quota(
        metric=QuotaMetric.Value(f"QUOTA_METRIC_{metric.upper()}"),
        window=QuotaWindow.Value(f"QUOTA_WINDOW_{window.upper()}"),
        limit=limit,
        time_zone=time_zone,
        display_name=display_name,
    )
    request = CreateQuotaRequest(parent=parent, quota_id=quota_id, quota=quota, request_id=request_id)
    return operation(
        "usage_accounting", f"{_SERVICE}/CreateQuota", request, CreateQuotaResponse, lambda response: response.quota
    )


def get(name: str) -> Operation[Quota]:
    """A quota."""
    return operation(
        "usage_accounting",
        f"{_SERVICE}/GetQuota",
        GetQuotaRequest(name=name),
        GetQuotaResponse,
        lambda response: response.quota,
    )


def list_(parent: str, *, page_size: int = 0) -> Listing[Quota]:
    """A tenant's quotas (`tenants/acme`), by name."""
    return Listing(
        operation(
            "usage_accounting",
            f"{_SERVICE}/ListQuotas",
            ListQuotasRequest(parent=parent, page_size=page_size),
            ListQuotasResponse,
            lambda response: Page(items=response.quotas, next_page_token=response.next_page_token),
        )
    )


def update(name: str, *, etag: str = "", **fields: Unpack[QuotaFields]) -> Operation[Quota]:
    """Change exactly the fields given. With an `etag`, only what has not changed since."""
    request = UpdateQuotaRequest(
        quota=Quota(name=name, etag=etag, **fields), update_mask=FieldMask(paths=sorted(fields))
    )
    return operation(
        "usage_accounting", f"{_SERVICE}/UpdateQuota", request, UpdateQuotaResponse, lambda response: response.quota
    )


def delete(name: str, *, etag: str = "") -> Operation[None]:
    """Delete a quota."""
    request = DeleteQuotaRequest(name=name, etag=etag)
    return operation("usage_accounting", f"{_SERVICE}/DeleteQuota", request, DeleteQuotaResponse, nothing)


def state(name: str) -> Operation[QuotaState]:
    """How much of a quota is used now."""
    return operation(
        "usage_accounting",
        f"{_SERVICE}/GetQuotaState",
        GetQuotaStateRequest(name=name),
        GetQuotaStateResponse,
        lambda response: response.state,
    )
