"""Requests of QuotaService as domain values."""

from __future__ import annotations

import hashlib
import re

from gatehouse.usage.v1 import quota_pb2
from gatehouse.usage.v1 import quota_service_pb2 as pb

from libs.core.page_tokens import decode_page_token, encode_page_token, page_size
from libs.core.resource_names import Owner, QuotaName
from libs.core.validation import FieldChecks
from libs.identity.caller import Caller
from services.usage_accounting.api.read_names import collected
from services.usage_accounting.domain.errors import invalid_field
from services.usage_accounting.domain.ports import Request
from services.usage_accounting.domain.quota import NewQuota, QuotaChange, QuotaMetric, QuotaWindow
from services.usage_accounting.domain.windows import is_time_zone

_MAX_DISPLAY_NAME = 200
_MAX_ETAG = 100
_MUTABLE = frozenset({"display_name", "limit"})
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_METRICS = {metric.value: metric for metric in QuotaMetric}
_WINDOWS = {window.value: window for window in QuotaWindow}


def tenant_of(parent: str) -> str:
    """The tenant whose quotas are meant. Raises InvalidArgument for any other owner."""
    owner = Owner.parse(parent)
    if owner.tenant is None or owner.user is not None:
        raise invalid_field("parent", "must be tenants/{tenant}")
    return owner.tenant


def new_quota(request: pb.CreateQuotaRequest) -> NewQuota:
    """What to create. Raises InvalidArgument naming every wrong field."""
    quota = request.quota
    time_zone = quota.time_zone or "UTC"
    metric = _METRICS.get(quota.metric)
    window = _WINDOWS.get(quota.window)
    with FieldChecks() as check:
        tenant = collected(check, lambda: tenant_of(request.parent)) or ""
        check.identifier("quota_id", request.quota_id)
        check.text("quota.display_name", quota.display_name, most=_MAX_DISPLAY_NAME)
        check.that(metric is not None, "quota.metric", "is required and must be a known value")
        check.that(window is not None, "quota.window", "is required and must be a known value")
        _check_time_zone(check, time_zone)
        check.that(quota.limit >= 0, "quota.limit", "must not be negative")
        check.that(
            not request.request_id or _UUID.fullmatch(request.request_id) is not None, "request_id", "must be a UUID"
        )
    return NewQuota(
        name=QuotaName(tenant, request.quota_id),
        display_name=quota.display_name,
        metric=metric or QuotaMetric.TOKENS,
        window=window or QuotaWindow.DAY,
        time_zone=time_zone,
        limit=quota.limit,
    )


def remembered_as(request: pb.CreateQuotaRequest, caller: Caller) -> Request | None:
    """How `request` is recognised when it comes again; None when it has no id or changes nothing."""
    if not request.request_id or request.validate_only:
        return None
    bare = pb.CreateQuotaRequest()
    bare.CopyFrom(request)
    bare.ClearField("request_id")
    return Request(
        caller=f"{caller.tenant or ''}/{caller.user}",
        method="CreateQuota",
        request_id=request.request_id.lower(),
        digest=hashlib.sha256(bare.SerializeToString(deterministic=True)).digest(),
    )


def change(request: pb.UpdateQuotaRequest) -> QuotaChange:
    """What to change. Raises InvalidArgument naming every wrong field."""
    quota = request.quota
    with FieldChecks() as check:
        fields = _fields(check, request)
        check.text("quota.etag", quota.etag, most=_MAX_ETAG)
        if quota.time_zone:
            _check_time_zone(check, quota.time_zone)
        if "display_name" in fields:
            check.text("quota.display_name", quota.display_name, most=_MAX_DISPLAY_NAME)
        if "limit" in fields:
            check.that(quota.limit >= 0, "quota.limit", "must not be negative")
    return QuotaChange(
        display_name=quota.display_name if "display_name" in fields else None,
        limit=quota.limit if "limit" in fields else None,
    )


def page(request: pb.ListQuotasRequest, tenant: str) -> tuple[str, int]:
    """After which id, and how many. Raises InvalidArgument."""
    return decode_page_token(request.page_token, _bound_to(tenant)) or "", page_size(request.page_size)


def next_page_token(tenant: str, last: QuotaName) -> str:
    """Continues after `last` in the listing of `tenant`."""
    return encode_page_token(last.quota, _bound_to(tenant))


def _check_time_zone(check: FieldChecks, time_zone: str) -> None:
    check.that(is_time_zone(time_zone), "quota.time_zone", "must be an IANA time zone such as Europe/Berlin")


def _fields(check: FieldChecks, request: pb.UpdateQuotaRequest) -> frozenset[str]:
    paths = list(request.update_mask.paths)
    if not paths:
        return _MUTABLE & {descriptor.name for descriptor, _ in request.quota.ListFields()}
    if paths == ["*"]:
        return _MUTABLE
    known = quota_pb2.Quota.DESCRIPTOR.fields_by_name
    for path in sorted(set(paths) - _MUTABLE):
        what = "which cannot be changed" if path in known else "which is not a field"
        check.fail("update_mask", f"must not name {path[:64]!r}, {what}")
    return _MUTABLE & set(paths)


def _bound_to(tenant: str) -> dict[str, object]:
    return {"method": "ListQuotas", "tenant": tenant}
