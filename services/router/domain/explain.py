"""The use cases that look and do not call: explain a call, estimate its cost, list models, say how providers do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from libs.core.errors import GatehouseError
from libs.core.money import NanoUsd
from libs.core.resource_names import Owner
from services.router.domain.adaptation import Adapter
from services.router.domain.call_context import CallContext
from services.router.domain.configuration import Provider
from services.router.domain.generation import Generation
from services.router.domain.health import TargetReport
from services.router.domain.planner import Planner
from services.router.domain.ports import ConfigSource, KeyChecker, KeyState
from services.router.domain.routing.causes import Cause
from services.router.domain.routing.costs import CostEstimate, estimate, likely_cost
from services.router.domain.routing.route_plan import Obstacle, RoutePlan
from services.router.domain.routing.visible_models import Place, VisibleModel, visible_models

# Within a second or so while provider_config is there; from here on somebody should know.
_OLD_S = 5.0
_MAX_REPORTS = 1000
_KEYS_UNKNOWN = "key_vault does not answer: whether the keys can be opened is not known"

_Keys = Mapping[tuple[str, str], KeyState]


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """The plan of a call; `costs` are the likely ones of its targets, in the same order, None where unknown."""

    plan: RoutePlan
    costs: tuple[NanoUsd | None, ...]
    configuration_age_s: float
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPage:
    """A page of models. `next_place` is where the next page goes on, None when this is the last."""

    models: tuple[VisibleModel, ...]
    next_place: Place | None
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthReport:
    """How the targets do that may serve the caller, and how current the configuration is."""

    targets: tuple[TargetReport, ...]
    connected: bool
    age_s: float
    revision: int


class Explainer:
    """Answers questions about calls. Nothing is called or charged; one instance serves a router."""

    def __init__(self, *, planner: Planner, config: ConfigSource, keys: KeyChecker) -> None:
        self._planner = planner
        self._config = config
        self._keys = keys

    async def explain(self, request: Generation, context: CallContext) -> Explanation:
        """The plan of a call. Raises as planning does, but not when no target is left."""
        plan = await self._planner.plan(request, context, streaming=True)
        states, warnings = await self._key_states(target.provider for target in plan.targets)
        for target in plan.targets:
            state = states.get((target.provider.key, target.provider.origin))
            if state is not None and state.obstacle:
                plan = plan.without(target, _key_obstacle(state))
        told = [each.warning for each in plan.passed_over]
        if plan.targets:
            # As the call would say if the first one served.
            told += Adapter(request, plan.size, self._planner.types, streaming=True).to(plan.targets[0])[1]
        age_s = self._config.age_s()
        if age_s > _OLD_S:
            told.append(f"provider_config cannot be reached: the configuration is {age_s:.0f} s old")
        return Explanation(
            plan=plan,
            costs=tuple(likely_cost(request, plan.size, target) for target in plan.targets),
            configuration_age_s=age_s,
            warnings=(*told, *warnings),
        )

    async def estimate(self, request: Generation, context: CallContext) -> tuple[tuple[CostEstimate, ...], int]:
        """What a call would cost at each of its targets, and the revision this rests on. Raises as planning does."""
        plan = await self._planner.plan(request, context, streaming=True)
        plan.require_target()
        return tuple(estimate(request, plan.size, target) for target in plan.targets), plan.revision

    async def models(self, context: CallContext, *, usable_only: bool, after: Place | None, at_most: int) -> ModelPage:
        """The models the caller may see, after a place in their order. Raises when no configuration arrives."""
        configuration = await self._planner.configuration(context)
        caller, now = Owner(context.tenant, context.user), self._planner.circumstances(seed=0)
        found = visible_models(caller, configuration, now, after=after)
        page: list[VisibleModel] = []
        # In the order they came in, each once.
        warnings: dict[str, None] = {}
        # No further than the page goes: only that is paid for, in time and in questions to key_vault.
        while len(page) <= at_most and (judged := list(islice(found, at_most + 1))):
            states, told = await self._key_states(each.provider for each in judged if each.obstacle is None)
            warnings.update(dict.fromkeys(told))
            known = [_with_key(each, states) for each in judged]
            page += [each for each in known if each.obstacle is None] if usable_only else known
            # Other calls go on meanwhile, however many models are left out.
            await asyncio.sleep(0)
        models = tuple(page[:at_most])
        next_place = models[-1].place if len(page) > at_most else None
        return ModelPage(models=models, next_place=next_place, warnings=tuple(warnings))

    async def health(self, context: CallContext) -> HealthReport:
        """How the targets do that this router called lately. Raises when no configuration arrives."""
        configuration = await self._planner.configuration(context)
        fleets = configuration.tenant.fleets(context.user)
        if configuration.tenant.allows_platform(context.user):
            fleets.append(configuration.platform.fleet)
        health, now = self._planner.admission.health, time.monotonic()
        found = [
            report
            for fleet in fleets
            for provider in fleet.providers
            for model in provider.models
            if (report := health.report((provider.name, model, provider.key), now)) is not None
        ]
        found.sort(key=lambda report: report.key)
        return HealthReport(
            targets=tuple(found[:_MAX_REPORTS]),
            connected=self._config.connected,
            age_s=self._config.age_s(),
            revision=self._config.revision,
        )

    async def _key_states(self, providers: Iterable[Provider]) -> tuple[_Keys, tuple[str, ...]]:
        """What key_vault says of the keys of `providers`, by key and origin, and what to tell of it."""
        asked = list({(each.key, each.origin): None for each in providers if each.key})
        if not asked:
            return {}, ()
        try:
            answered: Sequence[KeyState] = await self._keys.check(asked)
        except GatehouseError:
            return {}, (_KEYS_UNKNOWN,)
        states = dict(zip(asked, answered, strict=True))
        refused = tuple(
            f"{name} was refused by its provider when last used, or its credit is used up; it is tried all the same"
            for (name, _), state in states.items()
            if state.refused and not state.obstacle
        )
        return states, refused


def _with_key(model: VisibleModel, states: _Keys) -> VisibleModel:
    """`model` with what stands in the way of its provider's key, if nothing else does."""
    state = states.get((model.provider.key, model.provider.origin)) if model.obstacle is None else None
    return model._replace(obstacle=_key_obstacle(state)) if state is not None and state.obstacle else model


def _key_obstacle(state: KeyState) -> Obstacle:
    return Obstacle(Cause.of(state.obstacle), "{}", (state.description,))
