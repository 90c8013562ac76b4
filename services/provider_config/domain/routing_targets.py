"""Whether what a route names can serve."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from libs.core.resource_names import Owner
from libs.core.validation import FieldChecks
from services.provider_config.domain.ports import Transaction
from services.provider_config.domain.provider import Provider
from services.provider_config.domain.route import RouteSettings, RouteTarget, RoutingStrategy
from services.provider_config.domain.routing_look_up import allows_platform
from services.provider_config.domain.serving_models import ServingModels


def check_references(transaction: Transaction, check: FieldChecks, tenant: Owner, settings: RouteSettings) -> None:
    """`check` learns of each provider, model and route that an active route of `tenant` names and that cannot serve."""
    targets = list(settings.every_target())
    _check_platform(transaction, check, tenant, targets)
    providers = transaction.providers.called({target.provider for _, target in targets})
    found = ((providers.get(target.provider), target.model) for _, target in targets)
    models = ServingModels(transaction, ((provider, model) for provider, model in found if provider is not None))
    for path, target in targets:
        problem = _target_problem(target, providers.get(target.provider), models)
        if problem is not None:
            check.fail(f"route.{path}.{problem.field}", problem.description)
    unset = any(target.weight is None for target in settings.targets)
    if settings.strategy is RoutingStrategy.WEIGHTED and unset:
        weights = (_weight(target, providers.get(target.provider)) for target in settings.targets)
        check.that(any(weights), "route.targets", "must not all have the weight 0, those of their providers included")
    if settings.fallback_route is not None:
        route = transaction.routes.get(settings.fallback_route)
        if route is None:
            check.fail("route.fallback_route", f"must exist: there is no {settings.fallback_route}")
        elif not route.settings.active:
            check.fail("route.fallback_route", f"must be active, {settings.fallback_route} is not")


def _check_platform(
    transaction: Transaction, check: FieldChecks, tenant: Owner, targets: Sequence[tuple[str, RouteTarget]]
) -> None:
    of_platform = [(path, target) for path, target in targets if target.provider.owner.is_platform]
    if of_platform and not allows_platform(transaction, tenant):
        for path, target in of_platform:
            check.fail(
                f"route.{path}.provider",
                f"must not be of the platform, as {target.provider} is: {tenant} has providers of its own, and its "
                "routing policy lets the platform's serve only where there are none",
            )


class _Problem(NamedTuple):
    field: str
    description: str


def _target_problem(target: RouteTarget, provider: Provider | None, models: ServingModels) -> _Problem | None:
    if provider is None:
        return _Problem("provider", f"must exist: there is no {target.provider}")
    if not provider.settings.active:
        return _Problem("provider", f"must be active, {target.provider} is not")
    problem = models.problem(provider, target.model)
    return None if problem is None else _Problem("model", problem)


def _weight(target: RouteTarget, provider: Provider | None) -> int:
    if target.weight is not None:
        return target.weight
    weight = provider.settings.weight if provider is not None else None
    return 1 if weight is None else weight
