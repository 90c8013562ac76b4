"""The caller of the call being served, as the domain records it."""

from __future__ import annotations

from libs.core.audit_authors import Author
from libs.identity.caller import Caller, Role
from libs.rpc.context import RequestContext, current

_ADMINS = frozenset({Role.SUPER_ADMIN, Role.TENANT_ADMIN})


def current_author() -> Author:
    """Who makes the call being served by this task."""
    return author_of(current(), current().caller)


def author_of(context: RequestContext, caller: Caller) -> Author:
    """`caller`, calling from where `context` says."""
    return Author(
        actor=caller.actor,
        roles=tuple(sorted(role.value for role in caller.roles)),
        address=context.address,
        request_id=context.request_id,
        tenant=None if Role.SUPER_ADMIN in caller.roles else caller.tenant,
        user=caller.user,
        is_admin=not caller.roles.isdisjoint(_ADMINS),
    )
