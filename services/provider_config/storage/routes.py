"""Stored routes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from libs.core.resource_names import Owner, RouteName
from libs.storage.conflicts import on_duplicate
from services.provider_config.domain.route import Route
from services.provider_config.domain.routing_errors import route_exists
from services.provider_config.domain.routing_size import route_bytes
from services.provider_config.storage.provider_references import remove_references, set_references
from services.provider_config.storage.route_bodies import route_body, route_settings
from services.provider_config.storage.tables import routes


class SqlRoutes:
    """The routes as one transaction sees them."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, name: RouteName) -> Route | None:
        """The route called `name`."""
        query = select(routes).where(routes.c.scope == str(name.owner), routes.c.id == name.task)
        row = self._connection.execute(query).one_or_none()
        return None if row is None else _route(row)

    def page(self, tenant: Owner, *, after: str | None, limit: int) -> Sequence[Route]:
        """Up to `limit` routes of `tenant`, by task, those after the task `after`."""
        query = select(routes).where(routes.c.scope == str(tenant)).order_by(routes.c.id).limit(limit)
        if after is not None:
            query = query.where(routes.c.id > after)
        return [_route(row) for row in self._connection.execute(query)]

    def of_scope(self, scope: Owner) -> Sequence[Route]:
        """All routes of a tenant, by name; the platform has none."""
        query = select(routes).where(routes.c.scope == str(scope)).order_by(routes.c.id)
        return [_route(row) for row in self._connection.execute(query)]

    def fallbacks(self, tenant: str) -> Mapping[str, str]:
        """The tasks of the tenant's routes that fall back to another, each with the task of that one."""
        query = select(routes.c.id, routes.c.fallback).where(
            routes.c.scope == str(Owner(tenant)), routes.c.fallback.is_not(None)
        )
        return {row.id: row.fallback for row in self._connection.execute(query)}

    def add(self, route: Route) -> None:
        """Store a new route. Raises AlreadyExists `ROUTE_EXISTS`."""
        identity = {"uid": route.uid, "scope": str(route.scope), "id": route.name.task}
        with on_duplicate(route_exists(route.name)):
            self._connection.execute(insert(routes).values(**identity, **_values(route)))
        self._remember_references(route)

    def put(self, route: Route) -> None:
        """Store a new version of a route."""
        self._connection.execute(update(routes).where(routes.c.uid == route.uid).values(**_values(route)))
        self._remember_references(route)

    def remove(self, route: Route) -> None:
        """Remove a route."""
        remove_references(self._connection, route.name)
        self._connection.execute(delete(routes).where(routes.c.uid == route.uid))

    def _remember_references(self, route: Route) -> None:
        targets = (target for _, target in route.settings.every_target())
        set_references(self._connection, route.name, ((target.provider, target.model) for target in targets))


def _values(route: Route) -> dict[str, Any]:
    fallback = route.settings.fallback_route
    return {
        "version": route.version,
        "fallback": None if fallback is None else fallback.task,
        "settings": route_body(route.settings),
        "created_by": route.created_by,
        "create_time": route.create_time,
        "update_time": route.update_time,
        "snapshot_bytes": route_bytes(route),
    }


def _route(row: Row[Any]) -> Route:
    return Route(
        name=RouteName(Owner.parse(row.scope).tenant or "", row.id),
        uid=row.uid,
        version=row.version,
        settings=route_settings(row.settings),
        created_by=row.created_by,
        create_time=row.create_time,
        update_time=row.update_time,
    )
