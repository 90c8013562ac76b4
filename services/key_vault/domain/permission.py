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
