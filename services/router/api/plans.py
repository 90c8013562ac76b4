"""From the domain to the wire: how targets are chosen."""

from __future__ import annotations

from gatehouse.router.v1 import generation_pb2
from google.protobuf.duration_pb2 import Duration
from google.type.money_pb2 import Money

from libs.core.money import NANO_PER_USD
from services.router.domain.routing.complexity import Complexity
from services.router.domain.routing.route_plan import Rejected, RoutePlan, Target


def trace_to_pb(plan: RoutePlan, configuration_age_s: float) -> generation_pb2.RouteTrace:
    """How the targets of a call were chosen."""
    trace = generation_pb2.RouteTrace(
        targets=[target_to_pb(each) for each in plan.targets],
        revision=plan.revision,
        route=plan.route,
        experiment=plan.experiment,
        arm=plan.arm,
        profile=plan.profile,
        configuration_age=duration(configuration_age_s),
    )
    if plan.rejected:
        trace.rejected.extend([_rejected(each) for each in plan.rejected])
    if plan.complexity is not None:
        trace.complexity.CopyFrom(_complexity(plan.complexity))
    return trace


def target_to_pb(target: Target) -> generation_pb2.Target:
    """A target, without its estimated cost."""
    provider = target.provider
    return generation_pb2.Target(
        provider=provider.name,
        provider_type=provider.type,
        model=target.model.id,
        key=provider.key,
        rule=target.rule.value,
        reason=target.reason,
    )


def _rejected(rejected: Rejected) -> generation_pb2.RejectedTarget:
    provider = rejected.provider
    return generation_pb2.RejectedTarget(
        target=generation_pb2.Target(
            provider=rejected.provider_name,
            provider_type=provider.type if provider is not None else "",
            model=rejected.model,
            key=provider.key if provider is not None else "",
            rule=rejected.rule.value,
            reason=rejected.reason,
        ),
        cause=rejected.cause.value,
        description=rejected.description,
    )


def _complexity(complexity: Complexity) -> generation_pb2.Complexity:
    return generation_pb2.Complexity(
        score=complexity.score,
        length=complexity.length,
        tools=complexity.tools,
        code=complexity.code,
        images=complexity.images,
        json_schema=complexity.json_schema,
        tier=complexity.tier,
    )


def money(nano_usd: int) -> Money:
    """An amount in US dollars."""
    units, nanos = divmod(nano_usd, NANO_PER_USD)
    return Money(currency_code="USD", units=units, nanos=nanos)


def duration(seconds: float) -> Duration:
    """A time span of at least 0."""
    whole = int(seconds)
    return Duration(seconds=whole, nanos=int((seconds - whole) * 1e9))
