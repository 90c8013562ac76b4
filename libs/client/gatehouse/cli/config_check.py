"""Lets a Gatehouse check what a plan would create, before anything is asked or changed."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

from gatehouse.errors import InvalidArgument

if TYPE_CHECKING:
    from gatehouse.client import Client
    from gatehouse.configuration.difference import Change, Plan

_ALLOW = "; whoever runs Gatehouse can allow a place inside the network (PROVIDER_CONFIG_ALLOWED_ENDPOINTS)"


def check_plan(client: Client, plan: Plan, *, lines: dict[str, int], new_keys: Collection[str], force: bool) -> None:
    """Have the server check new providers, new models of providers that are there, and routes that name only these.

    What refers to what is not there yet cannot be checked ahead: `new_keys` are the keys that will be stored first.
    Raises FileError with all that is wrong, GatehouseError when it cannot be asked.
    """
    from gatehouse.configuration.problems import Problems
    from gatehouse.configuration.shapes import MODEL, PROVIDER, ROUTE

    problems = Problems()
    new = {change.name for change in plan.changes if change.action.value == "create"}
    settled = not any(change.shape in {PROVIDER, MODEL} for change in plan.changes)
    for change in plan.changes:
        creates = change.action.value == "create"
        if creates and change.shape is PROVIDER:
            ignored = {"provider.key"} if _text(change, "key") in new_keys else set()
            _check(client.providers.create, change, problems, lines, ignored)
        elif creates and change.shape is MODEL and change.name.rpartition("/models/")[0] not in new:
            _check(client.models.create, change, problems, lines, force=force)
        elif creates and change.shape is ROUTE and settled and _text(change, "fallback_route") not in new:
            _check(client.routes.create, change, problems, lines)
    problems.check()


def _check(
    create: Callable[..., Any],
    change: Change,
    problems: Any,
    lines: dict[str, int],
    ignored: Collection[str] = (),
    **further: Any,
) -> None:
    from gatehouse.configuration.fields import given_fields

    try:
        create(change.name, validate_only=True, **given_fields(change.message, change.shape), **further)
    except InvalidArgument as error:
        line = lines.get(".".join(change.place[:2]), 0)
        for violation in error.field_violations:
            if violation.field in ignored:
                continue
            field = violation.field.partition(".")[2]
            hint = _ALLOW if field == "base_url" else ""
            problems.add(line, ".".join(filter(None, (change.path, field))), f"{violation.description}{hint}")
        if not error.field_violations:
            problems.add(line, change.path, error.message)


def _text(change: Change, field: str) -> str:
    text: str = getattr(change.message, field)
    return text
