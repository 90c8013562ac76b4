"""The fields of a route message as settings of a route; what is wrong with one by itself is collected."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, fields
from datetime import timedelta

from gatehouse.providerconfig.v1 import provider_pb2, route_pb2
from google.protobuf.duration_pb2 import Duration

from libs.core.provider_types import Capabilities
from libs.core.resource_names import ID_RULE, Owner, ProviderName, RouteName, is_id
from libs.core.validation import FieldChecks
from services.provider_config.api.read_common import capabilities_in, check_texts
from services.provider_config.api.read_names import name_in
from services.provider_config.domain.route import (
    CacheMode,
    CachePolicy,
    ComplexityTier,
    Experiment,
    ExperimentArm,
    RouteSettings,
    RouteTarget,
    RoutingStrategy,
)
from services.provider_config.domain.route_rules import ALL_USERS_PERCENT, MAX_SCORE, MAX_TIERS

MUTABLE = frozenset(each.name for each in fields(RouteSettings))

_MAX_TARGETS = 32
_MAX_TIER_TARGETS = 8
_MAX_ARMS = 8
_MAX_WEIGHT = 1_000_000
_MAX_PLANS = 32
_MAX_PLAN = 64
_MAX_KEPT = timedelta(days=30)
_NANOS_IN_SECOND = 1_000_000_000
_NANOS_IN_MICROSECOND = 1_000

_STRATEGIES = {route_pb2.RoutingStrategy.Value(f"ROUTING_STRATEGY_{each}"): each for each in RoutingStrategy}
_CACHE_MODES = {
    route_pb2.CACHE_MODE_UNSPECIFIED: CacheMode.OFF,
    **{route_pb2.CacheMode.Value(f"CACHE_MODE_{each}"): each for each in CacheMode},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteReader:
    """Reads a route of `tenant`, which is None when the request does not say whose; `check` learns what is wrong."""

    check: FieldChecks
    tenant: Owner | None

    def settings(self, route: route_pb2.Route, wanted: AbstractSet[str]) -> RouteSettings:
        """The settings in `route`; only those `wanted` are read and checked, the others are of no use."""
        check_texts(self.check, "route", route, wanted)
        if "labels" in wanted:
            self.check.labels("route.labels", route.labels)
        has_experiment = "experiment" in wanted and route.HasField("experiment")
        has_cache = "cache" in wanted and route.HasField("cache")
        return RouteSettings(
            display_name=route.display_name,
            description=route.description,
            active=route.active if route.HasField("active") else True,
            strategy=_STRATEGIES.get(route.strategy),
            targets=self._targets("route.targets", route.targets, _MAX_TARGETS) if "targets" in wanted else (),
            fallbacks=self._targets("route.fallbacks", route.fallbacks, _MAX_TARGETS) if "fallbacks" in wanted else (),
            fallback_route=self._fallback_route(route.fallback_route) if "fallback_route" in wanted else None,
            # One more than there can be, so that the rule about their number sees that there are too many.
            tiers=self._tiers(route.tiers[: MAX_TIERS + 1]) if "tiers" in wanted else (),
            experiment=self._experiment(route.experiment) if has_experiment else None,
            cache=self._cache(route.cache) if has_cache else None,
            labels=dict(route.labels),
        )

    def _targets(
        self, field: str, messages: Sequence[route_pb2.RouteTarget], most: int, *, least: int = 0
    ) -> tuple[RouteTarget, ...]:
        self.check.count(field, messages, least=least, most=most)
        return tuple(self._target(f"{field}[{index}]", each) for index, each in enumerate(messages[:most]))

    def _target(self, field: str, message: route_pb2.RouteTarget) -> RouteTarget:
        good_model = not message.model or is_id(message.model)
        self.check.that(good_model, f"{field}.model", f"must be empty or a model's id: {ID_RULE}")
        weight = message.weight if message.HasField("weight") else None
        good_weight = weight is None or 0 <= weight <= _MAX_WEIGHT
        self.check.that(good_weight, f"{field}.weight", f"must be 0 to {_MAX_WEIGHT:,}")
        self.check.count(f"{field}.plans", message.plans, most=_MAX_PLANS)
        for index, plan in enumerate(message.plans[:_MAX_PLANS]):
            self.check.text(f"{field}.plans[{index}]", plan, least=1, most=_MAX_PLAN)
        return RouteTarget(
            provider=self._provider(f"{field}.provider", message.provider),
            model=message.model,
            weight=weight,
            plans=tuple(message.plans),
            requires=self._requires(f"{field}.requires", message.requires) if message.HasField("requires") else None,
        )

    def _requires(self, field: str, message: provider_pb2.Capabilities) -> Capabilities:
        stray = "must not be set: it is what a model cannot do"
        self.check.that(not message.fixed_sampling, f"{field}.fixed_sampling", stray)
        return capabilities_in(message)

    def _provider(self, field: str, text: str) -> ProviderName:
        tenant = self.tenant or Owner()
        if not text:
            self.check.fail(field, "is required")
        elif is_id(text):
            return ProviderName(tenant, text)
        elif name := name_in(self.check, ProviderName.parse, text, field=field):
            usable = self.tenant is None or name.owner == self.tenant or name.owner.is_platform
            self.check.that(usable, field, f"must be usable here: a provider of {tenant} or of the platform")
            return name
        # Refused: nothing is stored of it. As each text is another name, none is refused as a duplicate too.
        return ProviderName(tenant, f"{field}: {text}")

    def _fallback_route(self, text: str) -> RouteName | None:
        if not text:
            return None
        tenant = (self.tenant or Owner()).tenant or ""
        if is_id(text):
            return RouteName(tenant, text)
        name = name_in(self.check, RouteName.parse, text, field="route.fallback_route")
        if name is not None and self.tenant is not None:
            self.check.that(name.owner == self.tenant, "route.fallback_route", f"must be a route of {self.tenant}")
        return name

    def _tiers(self, messages: Sequence[route_pb2.ComplexityTier]) -> tuple[ComplexityTier, ...]:
        tiers = []
        for index, message in enumerate(messages):
            field = f"route.tiers[{index}]"
            self.check.identifier(f"{field}.tier_id", message.tier_id)
            in_range = 0 <= message.most_score <= MAX_SCORE
            self.check.that(in_range, f"{field}.most_score", f"must be 0 to {MAX_SCORE}")
            targets = self._targets(f"{field}.targets", message.targets, _MAX_TIER_TARGETS, least=1)
            tiers.append(ComplexityTier(tier_id=message.tier_id, most_score=message.most_score, targets=targets))
        return tuple(tiers)

    def _experiment(self, message: route_pb2.Experiment) -> Experiment:
        self.check.identifier("route.experiment.experiment_id", message.experiment_id)
        self.check.count("route.experiment.arms", message.arms, least=1, most=_MAX_ARMS)
        return Experiment(
            experiment_id=message.experiment_id,
            active=message.active if message.HasField("active") else True,
            arms=tuple(
                self._arm(f"route.experiment.arms[{index}]", each)
                for index, each in enumerate(message.arms[:_MAX_ARMS])
            ),
        )

    def _arm(self, field: str, message: route_pb2.ExperimentArm) -> ExperimentArm:
        self.check.identifier(f"{field}.arm_id", message.arm_id)
        in_range = 1 <= message.share_percent <= ALL_USERS_PERCENT
        self.check.that(in_range, f"{field}.share_percent", f"must be 1 to {ALL_USERS_PERCENT}")
        return ExperimentArm(
            arm_id=message.arm_id,
            share_percent=message.share_percent,
            target=self._target(f"{field}.target", message.target),
        )

    def _cache(self, message: route_pb2.CachePolicy) -> CachePolicy:
        mode = _CACHE_MODES.get(message.mode)
        self.check.that(mode is not None, "route.cache.mode", f"must be one of {', '.join(CacheMode)}")
        field = "route.cache.time_to_live"
        if not message.HasField("time_to_live"):
            self.check.that(mode is CacheMode.OFF, field, f"is required unless the mode is {CacheMode.OFF}")
            return CachePolicy(mode=mode or CacheMode.OFF)
        kept = _time(message.time_to_live)
        self.check.that(kept is not None, field, f"must be from one second to {_MAX_KEPT.days} days")
        return CachePolicy(mode=mode or CacheMode.OFF, time_to_live=kept)


def _time(message: Duration) -> timedelta | None:
    """How long answers are kept, to the microsecond; None when that is out of bounds or malformed."""
    if not 0 <= message.nanos < _NANOS_IN_SECOND or not 1 <= message.seconds <= _MAX_KEPT.total_seconds():
        return None
    kept = timedelta(seconds=message.seconds, microseconds=message.nanos // _NANOS_IN_MICROSECOND)
    return kept if kept <= _MAX_KEPT else None
