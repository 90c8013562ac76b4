"""Deleting a route."""

from __future__ import annotations

from libs.core.resource_names import RouteName
from services.provider_config.domain.changes import Act, check_etag, record
from services.provider_config.domain.ports import Transaction
from services.provider_config.domain.routing_errors import route_in_use
from services.provider_config.domain.routing_look_up import get_route


def delete_route(transaction: Transaction, name: RouteName, *, etag: str, act: Act) -> int:
    """Remove the route with its versions; the revision at which routers know.

    Raises NotFound `ROUTE_NOT_FOUND`, Aborted `ETAG_MISMATCH`, FailedPrecondition `ROUTE_IN_USE` when another route
    falls back to it, active or not, and `AUDIT_LOG_DAMAGED`.
    """
    route = get_route(transaction, name)
    check_etag(route, etag)
    onward = transaction.routes.fallbacks(name.tenant)
    users = [RouteName(name.tenant, task) for task, fallback in sorted(onward.items()) if fallback == name.task]
    if users:
        raise route_in_use(name, users)
    transaction.routes.remove(route)
    transaction.route_versions.remove(route.uid)
    record(transaction, act, name, route.scope)
    return transaction.advance(route.scope, name)
