"""Calls of gatehouse.keyvault.v1.AuditService: who did what to keys, and who used them.

There is one chain of events for each tenant (`tenants/acme`) and one for the platform (`platform`).
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from gatehouse.keyvault.v1.audit_service_pb2 import (
    AuditEvent,
    AuditFilter,
    AuditOutcome,
    ExportAuditEventsRequest,
    ExportAuditEventsResponse,
    KeyUse,
    ListAuditEventsRequest,
    ListAuditEventsResponse,
    ListKeyUseRequest,
    ListKeyUseResponse,
    VerifyAuditLogRequest,
    VerifyAuditLogResponse,
)
from gatehouse.operations.operation import Listing, Operation, Page, Stream, operation, whole
from gatehouse.operations.timestamps import timestamp_of

_SERVICE = "/gatehouse.keyvault.v1.AuditService"
# A whole chain is read: a second for about 50,000 events to verify, and as fast as the caller takes them to export.
VERIFY_TIMEOUT_S = 600.0
EXPORT_TIMEOUT_S = 3600.0

Outcome = Literal["succeeded", "denied"]


def list_(
    parent: str,
    *,
    actor: str = "",
    action: str = "",
    target: str = "",
    outcome: Outcome | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    page_size: int = 0,
) -> Listing[AuditEvent]:
    """The events of a chain, newest first.

    Only those of exactly this actor (`tenants/acme/users/ann`), action (`RotateKey`), target (a resource name) and
    outcome, from `since` on and before `until`, both timezone-aware; what is left out does not restrict.
    """
    request = ListAuditEventsRequest(
        parent=parent,
        page_size=page_size,
        filter=AuditFilter(
            actor=actor,
            action=action,
            target=target,
            outcome=AuditOutcome.Value(f"AUDIT_OUTCOME_{(outcome or 'unspecified').upper()}"),
            since=timestamp_of(since),
            until=timestamp_of(until),
        ),
    )
    return Listing(
        operation(
            "key_vault",
            f"{_SERVICE}/ListAuditEvents",
            request,
            ListAuditEventsResponse,
            lambda response: Page(items=response.events, next_page_token=response.next_page_token),
        )
    )


def export(parent: str, *, after_sequence: int = 0, timeout: float = EXPORT_TIMEOUT_S) -> Stream[AuditEvent]:
    """All events of a chain in its order, with their hashes; only those after `after_sequence`.

    `timeout` is in seconds, for all of them.
    """
    return Stream(
        operation(
            "key_vault",
            f"{_SERVICE}/ExportAuditEvents",
            ExportAuditEventsRequest(parent=parent, after_sequence=after_sequence),
            ExportAuditEventsResponse,
            lambda response: response.events,
            timeout=timeout,
        )
    )


def verify(parent: str, *, timeout: float = VERIFY_TIMEOUT_S) -> Operation[VerifyAuditLogResponse]:
    """Recompute a chain and hold it against its head and its anchors. `timeout` is in seconds."""
    return operation(
        "key_vault",
        f"{_SERVICE}/VerifyAuditLog",
        VerifyAuditLogRequest(parent=parent),
        VerifyAuditLogResponse,
        whole,
        timeout=timeout,
    )


def key_use(parent: str, *, since: datetime | None = None, page_size: int = 0) -> Listing[KeyUse]:
    """How often keys were opened, by key, version, service and hour, newest first.

    Of the platform's keys (`platform`), of a tenant's and its users' (`tenants/acme`), or of the one key named; only
    hours that begin at or after `since`, timezone-aware.
    """
    return Listing(
        operation(
            "key_vault",
            f"{_SERVICE}/ListKeyUse",
            ListKeyUseRequest(parent=parent, page_size=page_size, since=timestamp_of(since)),
            ListKeyUseResponse,
            lambda response: Page(items=response.uses, next_page_token=response.next_page_token),
        )
    )
