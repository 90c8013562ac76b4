"""Short ways to plan calls of acme's user ann and to read the plans."""

from __future__ import annotations

from libs.core.resource_names import Owner
from services.router.domain.configuration import Configuration
from services.router.domain.errors import ProviderError, Reason
from services.router.domain.generation import Generation
from services.router.domain.health import HealthKey, TargetHealth
from services.router.domain.limits import ProviderLimiter
from services.router.domain.routing.causes import Cause
from services.router.domain.routing.plan import Circumstances, plan_route
from services.router.domain.routing.route_plan import RoutePlan
from tests.unit.router.fakes import TYPES

ANN = Owner("acme", "ann")
NOW = 100.0


def plan(
    request: Generation,
    config: Configuration,
    *,
    caller: Owner = ANN,
    health: TargetHealth | None = None,
    limits: ProviderLimiter | None = None,
    seed: int = 1,
    token_plan: str = "",
    last_served: HealthKey | None = None,
    streaming: bool = False,
) -> RoutePlan:
    circumstances = Circumstances(
        health=health or TargetHealth(),
        limits=limits or ProviderLimiter(),
        types=TYPES,
        now=NOW,
        seed=seed,
        last_served=last_served,
    )
    return plan_route(request, caller, config, circumstances, plan=token_plan, streaming=streaming)


def key_of(provider_id: str, model_id: str = "small", owner: str = "tenants/acme") -> HealthKey:
    return f"{owner}/providers/{provider_id}", model_id, f"{owner}/keys/{provider_id}"


def fault(health: TargetHealth, key: HealthKey, reason: Reason = Reason.PROVIDER_ERROR, *, now: float = NOW) -> None:
    health.failed(health.enter(key, now), ProviderError(reason), now)


def ids(route: RoutePlan) -> list[str]:
    return [each.provider.id for each in route.targets]


def by_rule(route: RoutePlan) -> list[tuple[str, str]]:
    return [(each.provider.id, each.rule.value) for each in route.targets]


def causes(route: RoutePlan) -> dict[str, Cause]:
    return {each.provider_name.rpartition("/")[2]: each.cause for each in route.rejected}
