"""What has to be done to make one configuration another. Pure: nothing is asked or changed here."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message

from gatehouse.configuration.document import Configuration, Place
from gatehouse.configuration.problems import Problems
from gatehouse.configuration.shapes import MODEL, POLICY, PROFILE, PROVIDER, ROUTE, Shape
from gatehouse.providerconfig.v1.provider_pb2 import Provider
from gatehouse.providerconfig.v1.route_pb2 import Route


class Action(enum.StrEnum):
    """What is done to a resource."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldChange:
    """One value that differs: its path within the resource, and both values as documents hold them (None: nothing)."""

    path: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One thing to do. `message`: the resource as it shall be; to delete, as it is. `mask`: the fields to change.

    `before` is the resource as it is, with its etag; None when there is none.
    """

    action: Action
    place: Place
    shape: Shape
    message: Message
    before: Message | None
    fields: tuple[FieldChange, ...] = ()
    mask: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        """`providers.openai.models.gpt-4o`."""
        return ".".join(self.place)

    @property
    def name(self) -> str:
        """The resource name."""
        name: str = (self.before or self.message).name  # type: ignore[attr-defined]  # every resource has one
        return name

    @property
    def parent(self) -> str:
        """Whose it is: `tenants/acme`."""
        return "/".join(self.name.split("/")[: -len(self.place)])

    @property
    def etag(self) -> str:
        """The etag of what the change was worked out from; empty when there is nothing yet."""
        etag: str = "" if self.before is None else self.before.etag  # type: ignore[attr-defined]  # as above
        return etag


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All that has to be done, in an order that works, and what is there although the document does not name it."""

    changes: tuple[Change, ...]
    unnamed: tuple[str, ...]

    def count(self, action: Action) -> int:
        """How many changes are of this kind."""
        return sum(change.action is action for change in self.changes)


def difference(current: Configuration, wanted: Configuration, *, prune: bool = False) -> Plan:
    """What makes `current` what `wanted` says, in the sections it speaks of. With `prune`, what it leaves out goes.

    Raises FileError when it cannot be done: a type that changes, a name of something that would not exist.
    """
    problems = Problems()
    _check_types(current, wanted, problems)
    _check_references(current, wanted, problems, prune=prune)
    problems.check()
    have = {place: (shape, message) for place, shape, message in current.parts()}
    want = {place: (shape, message) for place, shape, message in wanted.parts()}
    changes = []
    for place, (shape, message) in want.items():
        before = have[place][1] if place in have else None
        if (change := compare(place, shape, before, message, parent=wanted.parent)) is not None:
            changes.append(change)
    extra = [place for place in have if place not in want and _spoken_of(place, wanted)]
    if prune:
        changes += [
            Change(
                action=Action.DELETE, place=place, shape=have[place][0], message=have[place][1], before=have[place][1]
            )
            for place in extra
            # A provider takes its models with it.
            if place[:2] == place or place[:2] not in extra
        ]
    return Plan(changes=tuple(_in_order(changes)), unnamed=() if prune else tuple(".".join(place) for place in extra))


def compare(place: Place, shape: Shape, before: Message | None, wanted: Message, *, parent: str) -> Change | None:
    """The change that makes one resource what is wanted; None when it is that already."""
    new = shape.write(wanted, parent)
    old = {} if before is None else shape.write(before, parent)
    for each in shape.fields:
        if each.kept and each.key not in new and each.key in old:
            new[each.key] = old[each.key]
    if before is not None and old == new:
        return None
    keys = [each.key for each in shape.fields if old.get(each.key) != new.get(each.key)]
    return Change(
        action=Action.CREATE if before is None else Action.UPDATE,
        place=place,
        shape=shape,
        message=wanted,
        before=before,
        fields=tuple(
            change
            for key in keys
            for change in field_changes(key, None if before is None else _said(shape, old, key), _said(shape, new, key))
        ),
        mask=tuple(sorted(shape.by_key[key].in_message for key in keys)),
    )


def _said(shape: Shape, document: Mapping[str, Any], key: str) -> Any:
    """A value, or the default that holds in its place."""
    each = shape.by_key[key]
    if key in document or each.default is None:
        return document.get(key)
    return each.kind.write(each.default, "")


def field_changes(path: str, before: Any, after: Any) -> Iterator[FieldChange]:
    """The single values that differ below `path`; lists of single values and new items of lists are told as a whole."""
    if before == after:
        return
    if _is_tree(before) and _is_tree(after):
        for key, old, new in _pairs(before, after):
            yield from field_changes(f"{path}[{key}]" if isinstance(key, int) else f"{path}.{key}", old, new)
    elif before is None and isinstance(after, dict) and not (path.endswith("]") and _is_flat(after)):
        for key, new in after.items():
            yield from field_changes(f"{path}.{key}", None, new)
    elif before is None and isinstance(after, list) and _is_tree(after):
        for index, new in enumerate(after):
            yield from field_changes(f"{path}[{index}]", None, new)
    else:
        yield FieldChange(path=path, before=before, after=after)


def _is_tree(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and any(isinstance(each, dict) for each in value))


def _is_flat(value: dict[str, Any]) -> bool:
    return not any(isinstance(each, dict) or _is_tree(each) for each in value.values())


def _pairs(before: Any, after: Any) -> Iterator[tuple[Any, Any, Any]]:
    if isinstance(before, dict) and isinstance(after, dict):
        for key in (*before, *(key for key in after if key not in before)):
            yield key, before.get(key), after.get(key)
    elif isinstance(before, list) and isinstance(after, list):
        for index in range(max(len(before), len(after))):
            old, new = (each[index] if index < len(each) else None for each in (before, after))
            yield index, old, new


def _spoken_of(place: Place, wanted: Configuration) -> bool:
    match place:
        case (_, provider, "models", _) if provider in (wanted.providers or {}):
            return provider in wanted.models
        case ("providers" | "routes" | "profiles", *_):
            return getattr(wanted, place[0]) is not None
        case _:
            return False


def _check_types(current: Configuration, wanted: Configuration, problems: Problems) -> None:
    for name, provider in (wanted.providers or {}).items():
        before = (current.providers or {}).get(name)
        if before is not None and before.type != provider.type:
            path = f"providers.{name}"
            text = f"{path} is of type {before.type}, which cannot be changed: choose another id, or delete that one"
            problems.add(wanted.lines.get(path, 0), f"{path}.type", text)


def _check_references(current: Configuration, wanted: Configuration, problems: Problems, *, prune: bool) -> None:
    """Routes must name what will exist, as far as it is the owner's own."""
    providers = _after(current.providers, wanted.providers, prune=prune)
    routes = _after(current.routes, wanted.routes, prune=prune)
    start = f"{wanted.parent}/providers/"
    for name, route in (wanted.routes or {}).items():
        path = f"routes.{name}"
        line = wanted.lines.get(path, 0)
        if route.HasField("active") and not route.active:
            continue  # it may name what does not exist yet
        for place, target in _targets(route):
            provider = target.provider.removeprefix(start)
            if not target.provider.startswith(start):
                continue
            if provider not in providers:
                text = f"there is no provider {provider}: neither in the file nor in Gatehouse"
                problems.add(line, f"{path}.{place}.provider", text)
                continue
            models = _after(current.models.get(provider), wanted.models.get(provider), prune=prune)
            if target.model and target.model not in models:
                text = f"provider {provider} has no model {target.model}: neither in the file nor in Gatehouse"
                problems.add(line, f"{path}.{place}.model", text)
        fallback = route.fallback_route.rpartition("/")[2]
        if fallback and fallback not in routes:
            problems.add(line, f"{path}.fallback_route", f"there is no route {fallback}")
    _check_cycles({**(current.routes or {}), **(wanted.routes or {})}, wanted, problems)


def _after(have: Mapping[str, Any] | None, want: Mapping[str, Any] | None, *, prune: bool) -> set[str]:
    if want is None:
        return set(have or {})
    return set(want) if prune else {*want, *(have or {})}


def _targets(route: Route) -> Iterator[tuple[str, Any]]:
    for field in ("targets", "fallbacks"):
        for index, target in enumerate(getattr(route, field)):
            yield f"{field}[{index}]", target
    for number, tier in enumerate(route.tiers):
        for index, target in enumerate(tier.targets):
            yield f"tiers[{number}].targets[{index}]", target
    for index, arm in enumerate(route.experiment.arms):
        yield f"experiment.arms[{index}].target", arm.target


def _check_cycles(routes: Mapping[str, Route], wanted: Configuration, problems: Problems) -> None:
    for name in wanted.routes or {}:
        chain = [name]
        while (following := _fallback(routes[chain[-1]], routes)) is not None and following not in chain:
            chain.append(following)
        if following == name:
            path = f"routes.{name}"
            text = f"leads back to itself: {' -> '.join((*chain, name))}"
            problems.add(wanted.lines.get(path, 0), f"{path}.fallback_route", text)


def _fallback(route: Route, among: Mapping[str, Any]) -> str | None:
    name = route.fallback_route.rpartition("/")[2]
    return name if name in among else None


def _in_order(changes: Sequence[Change]) -> Iterator[Change]:
    """What is named comes before what names it; what is given up before it is taken; deletions last, backwards."""
    kept = [change for change in changes if change.action is not Action.DELETE]
    gone = [change for change in changes if change.action is Action.DELETE]
    routes = {change.place[1]: change for change in kept if change.shape is ROUTE}
    yield from sorted((change for change in kept if change.shape is PROVIDER), key=_provider_rank)
    yield from (change for change in kept if change.shape is MODEL)
    yield from (change for change in kept if change.shape is POLICY)
    yield from _routes_in_order(routes)
    yield from (change for change in kept if change.shape not in {PROVIDER, MODEL, POLICY, ROUTE})
    yield from (change for change in gone if change.shape is PROFILE)
    going = {change.place[1]: change for change in gone if change.shape is ROUTE}
    yield from reversed(list(_routes_in_order(going)))
    yield from (change for change in gone if change.shape is MODEL)
    yield from (change for change in gone if change.shape is PROVIDER)


def _provider_rank(change: Change) -> int:
    """0 for one that gives something up that another takes, 1 for a new one, 2 for the others."""
    before, after = change.before, change.message
    if not isinstance(before, Provider) or not isinstance(after, Provider):
        return 1
    gives = (before.is_default and not after.is_default) or set(before.default_for_tasks) - set(after.default_for_tasks)
    return 0 if gives else 2


def _routes_in_order(routes: Mapping[str, Change]) -> Iterator[Change]:
    """Each after the one it falls back to."""
    done: set[str] = set()
    for name in routes:
        chain = [name]
        while True:
            route = routes[chain[-1]].message
            following = _fallback(route, routes) if isinstance(route, Route) else None
            if following is None or following in chain or following in done:
                break
            chain.append(following)
        for each in reversed(chain):
            if each not in done:
                done.add(each)
                yield routes[each]
