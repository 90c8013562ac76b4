"""Calls of gatehouse.providerconfig.v1.AuditService: who changed what of the configuration.

There is one chain of events for each tenant (`tenants/acme`) and one for the platform (`platform`).
"""

from __future__ import annotations

from datetime import datetime

from gatehouse.operations.audit import EXPORT_TIMEOUT_S, VERIFY_TIMEOUT_S, Outcome
from gatehouse.operations.operation import Listing, Operation, Page, Stream, operation, whole
from gatehouse.operations.timestamps import timestamp_of
from gatehouse.providerconfig.v1.audit_service_pb2 import (
    AuditEvent,
    AuditFilter,
    AuditOutcome,
    ExportAuditEventsRequest,
    ExportAuditEventsResponse,
    ListAuditEventsRequest,
    ListAuditEventsResponse,
    VerifyAuditLogRequest,
    VerifyAuditLogResponse,
)

_SERVICE = "/gatehouse.providerconfig.v1.AuditService"


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

    Only those of exactly this actor (`tenants/acme/users/ann`), action (`UpdateRoute`), target (a resource name) and
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
            "provider_config",
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
            "provider_config",
            f"{_SERVICE}/ExportAuditEvents",
            ExportAuditEventsRequest(parent=parent, after_sequence=after_sequence),
            ExportAuditEventsResponse,
            lambda response: response.events,
            timeout=timeout,
        )
    )


def verify(parent: str, *, timeout: float = VERIFY_TIMEOUT_S) -> Operation[VerifyAuditLogResponse]:
    """Recompute a chain and hold it against its head. `timeout` is in seconds."""
    return operation(
        "provider_config",
        f"{_SERVICE}/VerifyAuditLog",
        VerifyAuditLogRequest(parent=parent),
        VerifyAuditLogResponse,
        whole,
        timeout=timeout,
    )
