"""The established identity behind one call."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from libs.core.resource_names import Owner
from libs.core.secret import Secret


class Role(enum.StrEnum):
    """What a token may say its bearer is. A token can carry several; they add up."""

    SUPER_ADMIN = "super_admin"
    """Runs the platform: manages it and, as operator, every tenant."""
    TENANT_ADMIN = "tenant_admin"
    """Manages everything of its own tenant, its users' resources included."""
    MEMBER = "member"
    """A person of a tenant: manages its own resources, reads what the tenant shares."""
    SERVICE = "service"
    """A backend of a tenant: generates and reads like a member, manages nothing."""


ALL_ROLES = frozenset(Role)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Either a bearer of a verified token or a service that proved itself by its certificate, never both.

    `tenant` and `user` are ids; a bearer always has a user, and a tenant unless it is a super admin. `service`
    is the last part of a SPIFFE name (`router`). `token` is what the bearer presented, kept to be forwarded;
    `expires_at` is its `exp` in seconds since 1970. Raises ValueError for a mixture.
    """

    tenant: str | None = None
    user: str | None = None
    roles: frozenset[Role] = field(default_factory=frozenset)
    plan: str | None = None
    service: str | None = None
    token: Secret | None = field(default=None, repr=False)
    expires_at: float | None = None

    def __post_init__(self) -> None:
        if self.service is not None:
            if self.tenant or self.user or self.roles or self.plan or self.token:
                raise ValueError("a service peer carries no claims of a token")
        elif self.user is None:
            raise ValueError("a caller is a user or a service")

    @property
    def is_service_peer(self) -> bool:
        """Whether this is one of Gatehouse's own services, known by its certificate."""
        return self.service is not None

    @property
    def owner(self) -> Owner:
        """What the bearer itself owns: its user; the platform for a super admin outside every tenant.

        Raises ValueError for a service peer, which owns nothing.
        """
        if self.service is not None:
            raise ValueError("a service peer owns nothing")
        return Owner() if self.tenant is None else Owner(self.tenant, self.user)
