"""Who does something, as the audit log will say it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

from libs.core.audit import AuditEvent, AuditOutcome
from libs.core.resource_names import Owner

_NO_DETAILS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Author:
    """The established caller of one request. `actor` is a resource name, `address` that of its network peer.

    `tenant` is None for an operator outside every tenant; `is_admin` for admins of that tenant and for operators.
    """

    actor: str
    roles: tuple[str, ...] = ()
    address: str = ""
    request_id: str = ""
    tenant: str | None = None
    user: str | None = None
    is_admin: bool = False

    def may_see(self, owner: Owner) -> bool:
        """Whether what `owner` has may be told apart to this caller."""
        if self.tenant is None:
            return True
        if owner.tenant != self.tenant:
            return False
        return self.is_admin or owner.user == self.user


@dataclass(frozen=True, slots=True, kw_only=True)
class Occasion:
    """When something happens, and the UUID of its audit event: the same however often its transaction is run again."""

    now: datetime
    uid: str


PLATFORM = str(Owner())
"""The chain of the platform itself."""


def chain_of(owner: Owner) -> str:
    """The audit chain in which what happens to the resources of `owner` is recorded."""
    return str(Owner(owner.tenant))


def audit_event(
    author: Author,
    action: str,
    *,
    scope: str,
    target: str,
    now: datetime,
    uid: str,
    details: Mapping[str, str] = _NO_DETAILS,
    denied_for: str = "",
) -> AuditEvent:
    """The event that `author` did `action`, or was denied it for the reason `denied_for`."""
    return AuditEvent(
        scope=scope,
        event_id=uid,
        time=now,
        actor=author.actor,
        roles=tuple(sorted(author.roles)),
        address=author.address,
        action=action,
        target=target,
        outcome=AuditOutcome.DENIED if denied_for else AuditOutcome.SUCCEEDED,
        reason=denied_for,
        request_id=author.request_id,
        details=dict(details),
    )
