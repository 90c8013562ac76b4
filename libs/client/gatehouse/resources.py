"""What the sync client manages: one class for each kind of resource, its methods made of operations."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import Concatenate, ParamSpec, TypeVar

from gatehouse.binding import named_after
from gatehouse.operations import (
    audit,
    config_audit,
    generation,
    key_maintenance,
    keys,
    models,
    preferences,
    providers,
    quotas,
    routes,
    usage,
)
from gatehouse.operations.operation import Listing, Operation, Stream
from gatehouse.sending import Sender

P = ParamSpec("P")
T = TypeVar("T")


class _Resource:
    def __init__(self, sender: Sender) -> None:
        self._sender = sender


def _call(build: Callable[P, Operation[T]]) -> Callable[Concatenate[_Resource, P], T]:
    def method(self: _Resource, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._sender.send(build(*args, **kwargs))

    return named_after(build, method, returns="{}")


def _pages(build: Callable[P, Listing[T]]) -> Callable[Concatenate[_Resource, P], Iterator[T]]:
    def method(self: _Resource, /, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        return self._sender.pages(build(*args, **kwargs))

    return named_after(build, method, returns="Iterator[{}]")


def _items(build: Callable[P, Stream[T]]) -> Callable[Concatenate[_Resource, P], Generator[T, None, None]]:
    def method(self: _Resource, /, *args: P.args, **kwargs: P.kwargs) -> Generator[T, None, None]:
        return self._sender.items(build(*args, **kwargs))

    return named_after(build, method, returns="Generator[{}, None, None]")


class Keys(_Resource):
    """Provider keys. Their material goes in and never comes out."""

    create = _call(keys.create)
    get = _call(keys.get)
    list = _pages(keys.list_)
    update = _call(keys.update)
    rotate = _call(keys.rotate)
    rollback = _call(keys.rollback)
    disable = _call(keys.disable)
    enable = _call(keys.enable)
    destroy_version = _call(keys.destroy_version)
    delete = _call(keys.delete)
    notifications = _pages(keys.notifications)
    rewrap = _call(key_maintenance.rewrap)
    rewrap_progress = _call(key_maintenance.rewrap_progress)


class Audit(_Resource):
    """Who did what to keys, and who used them."""

    list = _pages(audit.list_)
    export = _items(audit.export)
    verify = _call(audit.verify)
    key_use = _pages(audit.key_use)


class ConfigAudit(_Resource):
    """Who changed what of the configuration."""

    list = _pages(config_audit.list_)
    export = _items(config_audit.export)
    verify = _call(config_audit.verify)


class Providers(_Resource):
    """Where calls go, with which key."""

    create = _call(providers.create)
    get = _call(providers.get)
    list = _pages(providers.list_)
    update = _call(providers.update)
    delete = _call(providers.delete)
    types = _call(providers.types)
    test = _call(providers.try_out)
    test_unsaved = _call(providers.try_out_unsaved)
    versions = _pages(providers.versions)
    rollback = _call(providers.rollback)


class Models(_Resource):
    """The models of providers. `available` lists what the caller can use, of all of them."""

    create = _call(models.create)
    get = _call(models.get)
    list = _pages(models.list_)
    update = _call(models.update)
    delete = _call(models.delete)
    sync = _call(models.sync)
    available = _pages(generation.available_models)


class Routes(_Resource):
    """Where the calls of a tenant go, task by task."""

    create = _call(routes.create)
    get = _call(routes.get)
    list = _pages(routes.list_)
    update = _call(routes.update)
    delete = _call(routes.delete)
    versions = _pages(routes.versions)
    rollback = _call(routes.rollback)


class Policy(_Resource):
    """What holds for all calls of a tenant."""

    get = _call(routes.get_policy)
    update = _call(routes.update_policy)


class Preferences(_Resource):
    """What a user likes to be served by."""

    get = _call(preferences.get)
    update = _call(preferences.update)


class Profiles(_Resource):
    """Named sets of providers and choices of a user, to switch between."""

    create = _call(preferences.create_profile)
    get = _call(preferences.get_profile)
    list = _pages(preferences.list_profiles)
    update = _call(preferences.update_profile)
    delete = _call(preferences.delete_profile)
    activate = _call(preferences.activate_profile)
    deactivate = _call(preferences.deactivate_profile)


class Usage(_Resource):
    """The ledger and its sums."""

    records = _pages(usage.records)
    stats = _call(usage.stats)
    experiment = _call(usage.experiment)


class Quotas(_Resource):
    """Limits of a tenant."""

    create = _call(quotas.create)
    get = _call(quotas.get)
    list = _pages(quotas.list_)
    update = _call(quotas.update)
    delete = _call(quotas.delete)
    state = _call(quotas.state)
