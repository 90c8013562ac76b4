"""Changing a route, also back to what it was."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

from libs.core.resource_names import RouteName
from libs.core.validation import FieldChecks
from services.provider_config.domain.changes import Act, Changed, check_etag, check_scope_size, differing, record
from services.provider_config.domain.errors import version_not_found
from services.provider_config.domain.ports import Transaction
from services.provider_config.domain.route import Route, RouteSettings
from services.provider_config.domain.route_chains import check_chain
from services.provider_config.domain.route_rules import check_route
from services.provider_config.domain.routing_look_up import get_route
from services.provider_config.domain.routing_size import MAX_ROUTE_BYTES, route_bytes, route_settings_bytes
from services.provider_config.domain.routing_targets import check_references
from services.provider_config.domain.versions import Version

# A change of these alone is possible also when something the route names broke since it was saved.
_FIELDS_WITHOUT_REFERENCES = frozenset({"display_name", "description", "labels", "cache"})


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateRoute:
    """A checked request: `fields` names what to take from `settings`."""

    name: RouteName
    fields: AbstractSet[str]
    settings: RouteSettings
    etag: str = ""
    act: Act
    validate_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackRoute:
    """A checked request: `version` is the one to go back to."""

    name: RouteName
    version: int
    etag: str = ""
    act: Act


def update_route(transaction: Transaction, command: UpdateRoute) -> Changed[Route]:
    """Store the next version. When nothing differs, nothing is stored, and the revision is the present one.

    Raises NotFound `ROUTE_NOT_FOUND`, Aborted `ETAG_MISMATCH`, InvalidArgument as `check_saved` does, ResourceExhausted
    `SCOPE_FULL`, FailedPrecondition `AUDIT_LOG_DAMAGED`.
    """
    route = get_route(transaction, command.name)
    check_etag(route, command.etag)
    settings = replace(route.settings, **{field: getattr(command.settings, field) for field in command.fields})
    references = settings.active and not command.fields <= _FIELDS_WITHOUT_REFERENCES
    check_saved(transaction, route.name, settings, references=references)
    return _store(transaction, route, settings, command.act, {}, validate_only=command.validate_only)


def rollback_route(transaction: Transaction, command: RollbackRoute) -> Changed[Route]:
    """Make the route what it was at an earlier version.

    Raises NotFound `ROUTE_NOT_FOUND` and `VERSION_NOT_FOUND`, and else as `update_route` does.
    """
    route = get_route(transaction, command.name)
    check_etag(route, command.etag)
    earlier = transaction.route_versions.get(route.uid, command.version)
    if earlier is None:
        raise version_not_found(route.name, command.version)
    check_saved(transaction, route.name, earlier.settings, references=earlier.settings.active)
    return _store(transaction, route, earlier.settings, command.act, {"restored": str(command.version)})


def check_saved(transaction: Transaction, name: RouteName, settings: RouteSettings, *, references: bool) -> None:
    """Raise InvalidArgument naming every field of `route` that keeps it from being saved with `settings`.

    `references`: whether what it names must exist and be enabled.
    """
    with FieldChecks() as check:
        check_route(check, settings)
        small = route_settings_bytes(settings) <= MAX_ROUTE_BYTES
        check.that(small, "route", f"must take at most {MAX_ROUTE_BYTES // 1000} kB: name fewer targets or plans")
        check_chain(transaction, check, name, settings.fallback_route)
        if references:
            check_references(transaction, check, name.owner, settings)


def route_version(route: Route, act: Act) -> Version[RouteSettings]:
    """What is kept of the version of `route` that `act` made."""
    return Version(
        version=route.version,
        changed_by=act.author.actor,
        change_time=act.now,
        settings=route.settings,
    )


def _store(
    transaction: Transaction,
    route: Route,
    settings: RouteSettings,
    act: Act,
    details: Mapping[str, str],
    *,
    validate_only: bool = False,
) -> Changed[Route]:
    if settings == route.settings:
        return Changed(route, 0 if validate_only else transaction.revision(), stored=False)
    changed = route.changed(settings, now=act.now)
    check_scope_size(transaction, route.scope, grows_by=route_bytes(changed) - route_bytes(route))
    if validate_only:
        return Changed(changed, 0, stored=False)
    transaction.routes.put(changed)
    transaction.route_versions.add(changed.uid, route_version(changed, act))
    told = {"fields": differing(route.settings, settings), "version": str(changed.version), **details}
    record(transaction, act, route.name, route.scope, told)
    return Changed(changed, transaction.advance(route.scope, route.name))
