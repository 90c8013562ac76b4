"""Who may use a key for a call, as far as key_vault itself decides it."""

from __future__ import annotations

from dataclasses import dataclass

from libs.core.resource_names import Owner


@dataclass(frozen=True, slots=True, kw_only=True)
class Bearer:
    """Whom a verified token speaks for; `tenant` is None for an operator outside every tenant."""

    tenant: str | None
    user: str | None
    actor: str = ""
    roles: tuple[str, ...] = ()


def may_use_key(bearer: Bearer, owner: Owner) -> bool:
    """Whether a call of `bearer` may be made with a key of `owner`.

    A user's key serves that user alone, a tenant's all its users, the platform's the users of every tenant. No role
    widens this: an admin manages the keys of others but does not call with them.
    """
    if bearer.tenant is None:
        return False
    if owner.is_platform:
        return True
    return owner.tenant == bearer.tenant and owner.user in (None, bearer.user)


def manages_key(bearer: Bearer, owner: Owner) -> bool:
    """Whether `bearer` may change a key of `owner` by role alone, and so find out whether its provider takes it.

    An operator's is every key, a tenant admin's every one of the tenant.
    """
    if "super_admin" in bearer.roles:
        return True
    return "tenant_admin" in bearer.roles and bearer.tenant is not None and owner.tenant == bearer.tenant
