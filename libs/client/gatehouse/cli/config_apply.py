"""Makes a Gatehouse what a plan says, one change after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gatehouse.cli.changes import change as send_change
from gatehouse.cli.terminal import note
from gatehouse.errors import Aborted, GatehouseError

if TYPE_CHECKING:
    from gatehouse.client import Client
    from gatehouse.configuration.difference import Change, Plan

_DONE = {"create": "created", "update": "updated", "delete": "deleted"}


def apply(client: Client, plan: Plan, *, force: bool) -> int:
    """Make the changes of `plan`, telling each; gives the last revision, 0 when nothing had to be done.

    Stops at the first that fails: raises its GatehouseError, after having said how far it got. What was done stays
    done, and a new plan goes on from there.
    """
    revision = 0
    applier = _Applier(client, force=force)
    total = len(plan.changes)
    for number, change in enumerate(plan.changes, start=1):
        try:
            revision = applier.apply(change) or revision
        except GatehouseError:
            note(f"stopped at {change.path}: {number - 1} of {total} changes were made", "yellow")
            note("what was made stays; run the same command again to go on from there")
            raise
        note(f"[{number}/{total}] {_DONE[change.action.value]} {change.path}")
    return revision


class _Applier:
    def __init__(self, client: Client, *, force: bool) -> None:
        self._client, self._force = client, force
        self._providers_took = False

    def apply(self, change: Change) -> int:
        """Make one change; gives its revision."""
        from gatehouse.configuration.shapes import MODEL, POLICY, PREFERENCES, PROFILE, PROVIDER, ROUTE

        acts: dict[Any, Callable[[Change], Any]] = {
            PROVIDER: self._provider,
            MODEL: self._model,
            ROUTE: self._route,
            PROFILE: self._profile,
            POLICY: self._policy,
            PREFERENCES: self._preferences,
        }
        revision: int = acts[change.shape](change).revision
        return revision

    def _provider(self, change: Change) -> Any:
        providers, etag = self._client.providers, self._etag(change)
        match change.action.value:
            case "create":
                response: Any = _created(providers.create, change)
            case "update":
                response = providers.update(change.name, etag=etag, **_changed(change))
            case _:
                response = providers.delete(change.name, etag=etag, force=self._force)
        message: Any = change.message
        if change.action.value != "delete" and (message.is_default or message.default_for_tasks):
            # The server may have taken the default or a task from others, which have new etags by that.
            self._providers_took = True
        return response

    def _model(self, change: Change) -> Any:
        models = self._client.models
        match change.action.value:
            case "create":
                return _created(models.create, change, force=self._force)
            case "update":
                return models.update(change.name, etag=change.etag, force=self._force, **_changed(change))
            case _:
                return models.delete(change.name, etag=change.etag, force=self._force)

    def _route(self, change: Change) -> Any:
        routes = self._client.routes
        match change.action.value:
            case "create":
                return _created(routes.create, change)
            case "update":
                return routes.update(change.name, etag=change.etag, **_changed(change))
            case _:
                return routes.delete(change.name, etag=change.etag)

    def _profile(self, change: Change) -> Any:
        profiles = self._client.profiles
        match change.action.value:
            case "create":
                return _created(profiles.create, change)
            case "update":
                return profiles.update(change.name, etag=change.etag, **_changed(change))
            case _:
                return profiles.delete(change.name, etag=change.etag)

    def _policy(self, change: Change) -> Any:
        return self._client.policy.update(change.parent, etag=change.etag, **_changed(change))

    def _preferences(self, change: Change) -> Any:
        return self._client.preferences.update(change.parent, etag=change.etag, **_changed(change))

    def _etag(self, change: Change) -> str:
        """The etag to change a provider by: the one that was seen, unless own changes before have made it a new one."""
        if change.before is None or not self._providers_took:
            return change.etag
        now = self._client.providers.get(change.name)
        if _apart_from_defaults(now, change) != _apart_from_defaults(change.before, change):
            raise Aborted(
                f"{change.name} was changed by somebody else meanwhile",
                reason="ETAG_MISMATCH",
                domain="client.gatehouse",
            )
        return now.etag


def _apart_from_defaults(provider: Any, change: Change) -> dict[str, Any]:
    document = change.shape.write(provider, change.parent)
    return {key: value for key, value in document.items() if key not in {"is_default", "default_for_tasks"}}


def _created(create: Callable[..., Any], change: Change, **further: Any) -> Any:
    from gatehouse.configuration.fields import given_fields

    fields = given_fields(change.message, change.shape)
    return send_change(lambda request_id: create(change.name, request_id=request_id, **fields, **further))


def _changed(change: Change) -> dict[str, Any]:
    from gatehouse.configuration.fields import values_of

    return values_of(change.message, change.shape, change.mask)
