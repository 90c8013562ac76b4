"""Creating a route."""

from __future__ import annotations

from dataclasses import dataclass

from libs.core.resource_names import RouteName
from services.provider_config.domain.changes import Act, Changed, check_scope_size, record
from services.provider_config.domain.ports import Transaction
from services.provider_config.domain.route import Route, RouteSettings
from services.provider_config.domain.routing_errors import route_exists
from services.provider_config.domain.routing_size import route_bytes
from services.provider_config.domain.update_route import check_saved, route_version


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateRoute:
    """A checked request."""

    name: RouteName
    settings: RouteSettings
    uid: str
    act: Act
    validate_only: bool = False


def create_route(transaction: Transaction, command: CreateRoute) -> Changed[Route]:
    """Store the route.

    Raises AlreadyExists `ROUTE_EXISTS`, InvalidArgument as `check_saved` does, ResourceExhausted `SCOPE_FULL`,
    FailedPrecondition `AUDIT_LOG_DAMAGED`.
    """
    if transaction.routes.get(command.name) is not None:
        raise route_exists(command.name)
    check_saved(transaction, command.name, command.settings, references=command.settings.active)
    act = command.act
    route = Route(
        name=command.name,
        uid=command.uid,
        version=1,
        settings=command.settings,
        created_by=act.author.actor,
        create_time=act.now,
        update_time=act.now,
    )
    check_scope_size(transaction, route.scope, grows_by=route_bytes(route))
    if command.validate_only:
        return Changed(route, 0, stored=False)
    transaction.routes.add(route)
    transaction.route_versions.add(route.uid, route_version(route, act))
    record(transaction, act, route.name, route.scope, {"strategy": str(route.settings.strategy)})
    return Changed(route, transaction.advance(route.scope, route.name))
