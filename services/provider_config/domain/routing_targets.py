"""Whether what a route names can serve."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import NamedTuple

from libs.core.resource_names import ModelName, ProviderName
from libs.core.validation import FieldChecks
from services.provider_config.domain.ports import Transaction
from services.provider_config.domain.provider import Provider
from services.provider_config.domain.route import RouteSettings, RouteTarget, RoutingStrategy

_PAGE = 100


def check_references(transaction: Transaction, check: FieldChecks, settings: RouteSettings) -> None:
    """`check` learns of every provider, model and route that an active route names and that cannot serve."""
    provider_called = cache(transaction.providers.get)
    # The same target may stand in several lists; each is looked up once.
    problem_of = cache(partial(_target_problem, transaction, provider_called))
    for path, target in settings.every_target():
        problem = problem_of(*target.serves)
        if problem is not None:
            check.fail(f"route.{path}.{problem.field}", problem.description)
    unset = any(target.weight is None for target in settings.targets)
    if settings.strategy is RoutingStrategy.WEIGHTED and unset:
        weights = (_weight(target, provider_called(target.provider)) for target in settings.targets)
        check.that(any(weights), "route.targets", "must not all have the weight 0, those of their providers included")
    if settings.fallback_route is not None:
        route = transaction.routes.get(settings.fallback_route)
        if route is None:
            check.fail("route.fallback_route", f"must exist: there is no {settings.fallback_route}")
        elif not route.settings.active:
            check.fail("route.fallback_route", f"must be active, {settings.fallback_route} is not")


def model_problem(transaction: Transaction, provider: Provider, model: str) -> str | None:
    """Why `provider` cannot serve with its model `model`, or its default one when that is empty; None when it can."""
    chosen = model or provider.settings.default_model
    if not chosen:
        found = _has_enabled_model(transaction, provider)
        return None if found else f"cannot be left open: {provider.name} has no model that is enabled"
    name = ModelName(provider.name, chosen)
    stored = transaction.models.get(name)
    if stored is not None and stored.settings.enabled:
        return None
    state = "does not exist" if stored is None else "is not enabled"
    return f"must exist and be enabled: {name} {state}" if model else f"is required: the default model {name} {state}"


class _Problem(NamedTuple):
    field: str
    description: str


def _target_problem(
    transaction: Transaction,
    provider_called: Callable[[ProviderName], Provider | None],
    name: ProviderName,
    model: str,
) -> _Problem | None:
    provider = provider_called(name)
    if provider is None:
        return _Problem("provider", f"must exist: there is no {name}")
    if not provider.settings.active:
        return _Problem("provider", f"must be active, {name} is not")
    problem = model_problem(transaction, provider, model)
    return None if problem is None else _Problem("model", problem)


def _weight(target: RouteTarget, provider: Provider | None) -> int:
    if target.weight is not None:
        return target.weight
    weight = provider.settings.weight if provider is not None else None
    return 1 if weight is None else weight


def _has_enabled_model(transaction: Transaction, provider: Provider) -> bool:
    after: str | None = None
    while page := transaction.models.page(provider, after=after, limit=_PAGE):
        if any(model.settings.enabled for model in page):
            return True
        after = page[-1].name.model
    return False
