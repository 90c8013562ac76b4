"""From the domain to the wire: how targets are chosen.

Every answer carries a trace. It is written into the message it is sent in: one made by itself would be copied into each
message around it, which for 20 targets takes four times as long.
"""

from __future__ import annotations

from gatehouse.router.v1 import generation_pb2
from google.protobuf.duration_pb2 import Duration
from google.type.money_pb2 import Money

from libs.core.money import NANO_PER_USD
from services.router.domain.routing.complexity import Complexity
from services.router.domain.routing.route_plan import Rejected, RoutePlan, Target


def write_trace(trace: generation_pb2.RouteTrace, plan: RoutePlan, configuration_age_s: float) -> None:
    """Say in an empty `trace` how the targets of a call were chosen."""
    add = trace.targets.add
    for target in plan.targets:
        provider = target.provider
        add(
            provider=provider.name,
            provider_type=provider.type,
            model=target.model.id,
            key=provider.key,
            rule=target.rule.value,
            reason=target.reason,
        )
    for rejected in plan.rejected:
        _write_rejected(trace.rejected.add(), rejected)
    trace.revision = plan.revision
    trace.route = plan.route
    if plan.experiment:
        trace.experiment, trace.arm = plan.experiment, plan.arm
    trace.profile = plan.profile
    if plan.complexity is not None:
        _write_complexity(trace.complexity, plan.complexity)
    write_duration(trace.configuration_age, configuration_age_s)


def write_target(message: generation_pb2.Target, target: Target) -> None:
    """Say in an empty `message` what serves, without its estimated cost."""
    provider = target.provider
    message.provider = provider.name
    message.provider_type = provider.type
    message.model = target.model.id
    message.key = provider.key
    message.rule = target.rule.value
    message.reason = target.reason


def _write_rejected(message: generation_pb2.RejectedTarget, rejected: Rejected) -> None:
    target, provider = message.target, rejected.provider
    target.provider = rejected.provider_name
    if provider is not None:
        target.provider_type = provider.type
        target.key = provider.key
    target.model = rejected.model
    target.rule = rejected.rule.value
    target.reason = rejected.reason
    message.cause = rejected.cause.value
    message.description = rejected.description


def _write_complexity(message: generation_pb2.Complexity, complexity: Complexity) -> None:
    message.score = complexity.score
    message.length = complexity.length
    message.tools = complexity.tools
    message.code = complexity.code
    message.images = complexity.images
    message.json_schema = complexity.json_schema
    message.tier = complexity.tier


def write_money(message: Money, nano_usd: int) -> None:
    """An amount in US dollars."""
    message.currency_code = "USD"
    message.units, message.nanos = divmod(nano_usd, NANO_PER_USD)


def write_duration(message: Duration, seconds: float) -> None:
    """A time span of at least 0."""
    whole = int(seconds)
    message.seconds = whole
    message.nanos = int((seconds - whole) * 1e9)
    # Also a span of nothing is one.
    message.SetInParent()
