"""plan_route: which targets a call tries, in which order, and why each other one is left out. Pure.

The rules, in order; a target stands where the first of them put it:

 1. request         what the call names. Without fallback the rules end here
 2. experiment      the caller's arm of the experiment that runs on the route of the task
 3. preference      the active profile's choice for the task, then its preferred one; then the user's own for the task,
                    and the user's preferred one
 4. route           the tenant's route for the task: its targets by its strategy; then (route_fallback) its fallbacks
                    and the routes that follow it
 5. default_route   the tenant's route `default`: for calls whose task has no route, and after the others'
    default         the provider that is the default for the task, then the default provider; the user's come first
 6. priority        the other providers: the user's, then the tenant's, each by priority
 7. platform        the platform's providers, where the caller has none of its own or the tenant's policy allows them

Whatever a rule puts up is a target or is rejected with a cause; nothing is lost. What a route leaves out for the
caller's plan, or because the model cannot do what the route asks for, comes back only by another list of a route; what
an arm of an experiment does, also by a preference.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from libs.core.errors import FieldViolation, InvalidArgument, PermissionDenied
from libs.core.resource_names import Owner
from services.router.domain.call_request import CallRequest
from services.router.domain.configuration import Configuration, Fleet, Provider
from services.router.domain.embedding import Embedding
from services.router.domain.health import HealthKey, TargetHealth
from services.router.domain.limits import ProviderLimiter
from services.router.domain.preference import Choice
from services.router.domain.route import DEFAULT_ROUTE, Experiment, Route, Strategy
from services.router.domain.routing import complexity, experiments
from services.router.domain.routing.candidates import Candidates
from services.router.domain.routing.causes import Rule
from services.router.domain.routing.route_order import RouteOrder
from services.router.domain.routing.route_plan import RoutePlan
from services.router.domain.routing.usability import Judge, ProviderTypes
from services.router.domain.tokens import measure

# A route and the 8 that may follow it.
_LONGEST_CHAIN = 9


@dataclass(slots=True, kw_only=True)
class Circumstances:
    """What a plan depends on beside the request and the configuration.

    `now` is in monotonic seconds. `seed` decides everything that goes by chance. `last_served` is what served the
    call's session last, None for none.
    """

    health: TargetHealth
    limits: ProviderLimiter
    types: ProviderTypes
    now: float
    seed: int
    last_served: HealthKey | None = None


def plan_route(
    request: CallRequest,
    caller: Owner,
    configuration: Configuration,
    circumstances: Circumstances,
    *,
    plan: str,
    streaming: bool,
) -> RoutePlan:
    """The plan of one call of `caller` (a user of a tenant) whose token names the pricing plan `plan`.

    Raises InvalidArgument when the request names a provider or model that the caller does not have, PermissionDenied
    when it names a provider of somebody else.
    """
    return _Planning(request, caller, configuration, circumstances, plan=plan, streaming=streaming).run()


class _Planning:
    """One plan in the making."""

    __slots__ = (
        "_arm", "_caller", "_candidates", "_complexity", "_configuration", "_experiment_name", "_fleets", "_order",
        "_profile", "_request", "_size",
    )  # fmt: skip

    def __init__(
        self,
        request: CallRequest,
        caller: Owner,
        configuration: Configuration,
        circumstances: Circumstances,
        *,
        plan: str,
        streaming: bool,
    ) -> None:
        tenant, now = configuration.tenant, circumstances.now
        self._request = request
        self._caller = caller
        self._configuration = configuration
        self._size = size = measure(request)
        self._fleets = tenant.fleets(caller.user)
        self._profile = profile = tenant.active_profile(caller.user)
        judge = Judge(
            request,
            size,
            streaming=streaming,
            types=circumstances.types,
            health=circumstances.health,
            limits=circumstances.limits,
            now=now,
        )
        self._order = RouteOrder(
            request, size, circumstances.health, streaming=streaming, now=now, seed=circumstances.seed
        )
        self._candidates = Candidates(
            configuration,
            judge,
            user=caller.user,
            plan=plan,
            only=profile.providers if profile is not None else frozenset(),
            platform_allowed=tenant.allows_platform(caller.user),
            last_served=circumstances.last_served,
            embedding=isinstance(request, Embedding),
        )
        self._experiment_name = self._arm = ""
        self._complexity: complexity.Complexity | None = None

    def run(self) -> RoutePlan:
        request, candidates = self._request, self._candidates
        route = None
        if request.provider:
            self._named_provider()
        elif request.model:
            self._named_model()
        if request.fallback or not (request.provider or request.model):
            route = self._rules()
        resting = candidates.take_mendable()
        passed_over = candidates.passed_over()
        if not request.fallback:
            candidates.keep_first()
        return RoutePlan(
            targets=tuple(candidates.targets),
            rejected=tuple(candidates.rejected),
            revision=self._configuration.revision,
            size=self._size,
            route=route.name if route is not None else "",
            experiment=self._experiment_name,
            arm=self._arm,
            profile=self._profile.name if self._profile is not None else "",
            complexity=self._complexity,
            passed_over=passed_over,
            resting=resting,
        )

    def _rules(self) -> Route | None:
        """All rules after the first; the route that applies."""
        tenant, task = self._configuration.tenant, self._request.task
        default_route = tenant.route(DEFAULT_ROUTE)
        route = (tenant.route(task) if task else None) or default_route
        if route is not None and route.experiment is not None:
            self._experiment(route.experiment)
        if (profile := self._profile) is not None:
            self._preference(profile.tasks, profile.preferred, f" in profile {_last(profile.name)}")
        if (preferences := tenant.preferences.get(self._caller.user or "")) is not None:
            self._preference(preferences.tasks, preferences.preferred, "")
        if route is not None and route is not default_route:
            self._route(route, Rule.ROUTE, Rule.ROUTE_FALLBACK)
        if default_route is not None:
            self._route(default_route, Rule.DEFAULT_ROUTE, Rule.DEFAULT_ROUTE)
        self._own_providers()
        self._platform_providers()
        return route

    # The rules, in order ----------------------------------------------------------------------------------------------

    def _named_provider(self) -> None:
        request, provider = self._request, self._find(self._request.provider)
        if request.model and request.model not in provider.models:
            raise _unknown(self._field("model"), f"{provider.name} has no model {request.model!r}")
        self._candidates.consider(provider, request.model, Rule.REQUEST, "named in the request")

    def _named_model(self) -> None:
        model, known = self._request.model, False
        for provider in self._in_order((*self._fleets, self._configuration.platform.fleet)):
            if model in provider.models:
                known = True
                self._candidates.consider(provider, model, Rule.REQUEST, "its model is named in the request")
        if not known:
            raise _unknown(self._field("model"), f"no provider you can use has a model {model!r}")
        self._candidates.keep_session(0)

    def _experiment(self, experiment: Experiment) -> None:
        arm = experiments.arm_of(experiment, self._caller.user or "")
        if arm is not None:
            self._experiment_name, self._arm = experiment.name, arm.id
            reason = f"arm {arm.id} of experiment {_last(experiment.name)}"
            self._candidates.enter_list((arm.target,), Rule.EXPERIMENT, reason)

    def _preference(self, tasks: Mapping[str, Choice], preferred: Choice | None, where: str) -> None:
        task, choose = self._request.task, self._candidates.choose
        choice = tasks.get(task) if task else None
        if choice is not None:
            choose(choice.provider, choice.model, Rule.PREFERENCE, f"preferred for {task}{where}")
        if preferred is not None:
            choose(preferred.provider, preferred.model, Rule.PREFERENCE, f"preferred{where}")

    def _route(self, route: Route, rule: Rule, fallback_rule: Rule) -> None:
        """A route, its fallbacks, and the routes that follow it."""
        candidates, tenant = self._candidates, self._configuration.tenant
        followed: Route | None = route
        for _ in range(_LONGEST_CHAIN):
            if followed is None:
                break
            if followed.tiers:
                self._tiers(followed, rule, fallback_rule)
                rule = fallback_rule
            start = len(candidates.targets)
            reason = f"by the route {followed.task}, {_HOW[followed.strategy]}"
            kept = candidates.enter_list(followed.targets, rule, reason)
            if len(kept) > 1:
                candidates.targets[start:] = self._order.of_targets(followed, kept, candidates.targets[start:])
                candidates.keep_session(start)
            if followed.fallbacks:
                start = len(candidates.targets)
                candidates.enter_list(followed.fallbacks, fallback_rule, f"a fallback of the route {followed.task}")
                candidates.keep_session(start)
            rule = fallback_rule
            followed = tenant.route(followed.fallback_task) if followed.fallback_task else None

    def _tiers(self, route: Route, rule: Rule, fallback_rule: Rule) -> None:
        found = complexity.complexity_of(self._request, self._size)
        tiers = complexity.order(route.tiers, found.score)
        if self._complexity is None:
            self._complexity = found._replace(tier=tiers[0].id)
        for tier in tiers:
            start = len(self._candidates.targets)
            self._candidates.enter_list(tier.targets, rule, f"tier {tier.id} of the route {route.task}")
            self._candidates.keep_session(start)
            rule = fallback_rule

    def _own_providers(self) -> None:
        candidates, task = self._candidates, self._request.task
        if task:
            for fleet in self._fleets:
                if (provider := fleet.for_tasks.get(task)) is not None:
                    candidates.consider(provider, "", Rule.DEFAULT, f"the default provider for {task}")
        for fleet in self._fleets:
            if fleet.default is not None:
                candidates.consider(fleet.default, "", Rule.DEFAULT, "the default provider")
        for fleet in self._fleets:
            start = len(candidates.targets)
            for provider in self._order.of_fleet(fleet):
                candidates.consider(provider, "", Rule.PRIORITY, "by priority")
            candidates.keep_session(start)

    def _platform_providers(self) -> None:
        reason = _AFTER_OWN if self._fleets else _NONE_OF_ITS_OWN
        start = len(self._candidates.targets)
        for provider in self._in_order((self._configuration.platform.fleet,)):
            self._candidates.consider(provider, "", Rule.PLATFORM, reason)
        self._candidates.keep_session(start)

    # What they are made of --------------------------------------------------------------------------------------------

    def _in_order(self, fleets: Sequence[Fleet]) -> Iterator[Provider]:
        """The providers of `fleets` as rules 5 and 6 put them up; those that are a default come twice."""
        task = self._request.task
        for fleet in fleets:
            if task and (provider := fleet.for_tasks.get(task)) is not None:
                yield provider
        for fleet in fleets:
            if fleet.default is not None:
                yield fleet.default
        for fleet in fleets:
            yield from self._order.of_fleet(fleet)

    def _field(self, name: str) -> str:
        """A field of the request as the caller knows it."""
        return f"embedding.{name}" if isinstance(self._request, Embedding) else f"generation.{name}"

    def _find(self, name: str) -> Provider:
        """The provider that a request names. An id may stand for several: the nearest one is meant."""
        configuration = self._configuration
        if "/" in name:
            _refuse_foreign(name, self._caller, self._field("provider"))
            found = configuration.tenant.provider(name) or configuration.platform.provider(name)
        else:
            fleets = (*self._fleets, configuration.platform.fleet)
            found = next((each for fleet in fleets for each in fleet.providers if each.id == name), None)
        if found is None:
            raise _unknown(self._field("provider"), f"you have no provider {name!r}")
        return found


_HOW: Mapping[Strategy, str] = {
    Strategy.PRIORITY: "in its order",
    Strategy.WEIGHTED: "by weight",
    Strategy.LOWEST_COST: "by lowest cost",
    Strategy.LOWEST_LATENCY: "by lowest latency",
    Strategy.LEAST_BUSY: "by fewest calls under way",
    Strategy.COMPLEXITY: "after its tiers",
}
_AFTER_OWN = "a platform provider, after the tenant's own, as its policy allows"
_NONE_OF_ITS_OWN = "a platform provider, for the tenant has none of its own"


def _last(name: str) -> str:
    return name.rpartition("/")[2]


def _refuse_foreign(name: str, caller: Owner, field: str) -> None:
    owner = Owner.of(name, field=field)
    if not owner.is_platform and owner not in (caller, Owner(caller.tenant)):
        raise PermissionDenied("PERMISSION_DENIED", "you may not do this, or the resource does not exist")


def _unknown(field: str, description: str) -> InvalidArgument:
    return InvalidArgument(
        "INVALID_FIELD",
        f"{field}: {description}",
        metadata={"field": field},
        field_violations=(FieldViolation(field=field, description=description),),
    )
