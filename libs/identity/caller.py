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
    `expires_at` is its `exp` in seconds since 1970. `auth_time` (seconds since 1970), `amr` and `acr` say when and how
    the bearer authenticated, as OpenID Connect defines them; issuers need not tell. Raises ValueError for a mixture.
    """

    tenant: str | None = None
    user: str | None = None
    roles: frozenset[Role] = field(default_factory=frozenset)
    plan: str | None = None
    service: str | None = None
    token: Secret | None = field(default=None, repr=False)
    expires_at: float | None = None
    auth_time: float | None = None
    amr: frozenset[str] = field(default_factory=frozenset)
    acr: str | None = None

    def __post_init__(self) -> None:
        if self.service is not None:
            if any((self.tenant, self.user, self.roles, self.plan, self.token, self.auth_time, self.amr, self.acr)):
                raise ValueError("a service peer carries no claims of a token")
        elif self.user is None:
            raise ValueError("a caller is a user or a service")

    @property
    def is_service_peer(self) -> bool:
        """Whether this is one of Gatehouse's own services, known by its certificate."""
        return self.service is not None

    @property
    def actor(self) -> str:
        """Who this is, as a resource name: for records of who did what.

        `tenants/{tenant}/users/{user}`, `platform/users/{user}` for a super admin outside every tenant,
        `services/{service}` for a service peer.
        """
        if self.service is not None:
            return f"services/{self.service}"
        return f"{Owner(self.tenant)}/users/{self.user}"

    @property
    def owner(self) -> Owner:
        """What the bearer itself owns: its user; the platform for a super admin outside every tenant.

        Raises ValueError for a service peer, which owns nothing.
        """
        if self.service is not None:
            raise ValueError("a service peer owns nothing")
        return Owner() if self.tenant is None else Owner(self.tenant, self.user)
