"""From the domain to the wire: explanations, cost estimates, models, health."""

from __future__ import annotations

import time

from gatehouse.router.v1 import generation_service_pb2 as pb
from gatehouse.router.v1 import provider_health_service_pb2 as health_pb

from libs.core.errors import FieldViolation, InvalidArgument
from libs.core.page_tokens import decode_page_token
from services.router.api.plans import write_duration, write_money, write_target, write_trace
from services.router.domain.call_context import CallContext
from services.router.domain.condition import BreakerState
from services.router.domain.explain import Explanation, HealthReport
from services.router.domain.features import CAPABILITY_NAMES
from services.router.domain.health import TargetReport
from services.router.domain.routing.costs import CostEstimate
from services.router.domain.routing.visible_models import Place, VisibleModel

_STATES = {
    BreakerState.CLOSED: health_pb.BREAKER_STATE_CLOSED,
    BreakerState.OPEN: health_pb.BREAKER_STATE_OPEN,
    BreakerState.HALF_OPEN: health_pb.BREAKER_STATE_HALF_OPEN,
}
_NANO_PER_MICRO = 1_000
_PARTS_OF_A_PLACE = 4


def explanation_to_pb(explanation: Explanation) -> pb.ExplainRouteResponse:
    """The plan of a call, with the likely cost of each target."""
    response = pb.ExplainRouteResponse(warnings=explanation.warnings)
    write_trace(response.trace, explanation.plan, explanation.configuration_age_s)
    for target, cost in zip(response.trace.targets, explanation.costs, strict=True):
        if cost is not None:
            write_money(target.estimated_cost, cost)
    return response


def estimate_to_pb(estimate: CostEstimate) -> pb.CostEstimate:
    """What a call would cost at one target."""
    message = pb.CostEstimate(
        likely_input_tokens=estimate.likely.input_tokens,
        likely_output_tokens=estimate.likely.output_tokens,
        most_input_tokens=estimate.most.input_tokens,
        most_output_tokens=estimate.most.output_tokens,
        assumptions=estimate.assumptions,
    )
    write_target(message.target, estimate.target)
    if estimate.likely_cost is not None:
        write_money(message.likely_cost, estimate.likely_cost)
        write_money(message.target.estimated_cost, estimate.likely_cost)
    if estimate.most_cost is not None:
        write_money(message.most_cost, estimate.most_cost)
    return message


def model_to_pb(visible: VisibleModel) -> pb.AvailableModel:
    """A model that the caller may see."""
    provider, model, obstacle = visible.provider, visible.model, visible.obstacle
    message = pb.AvailableModel(
        provider=provider.name,
        provider_display_name=provider.display_name or provider.id,
        model=model.id,
        display_name=model.display_name or model.id,
        usable=obstacle is None,
        is_default=provider.usual_model is not None and provider.usual_model.id == model.id,
        context_tokens=model.context_tokens,
        max_output_tokens=model.max_output_tokens,
        capabilities=[name for bit, name in enumerate(CAPABILITY_NAMES) if visible.abilities & (1 << bit)],
    )
    if obstacle is not None:
        message.cause, message.description = obstacle.cause.value, obstacle.description
    if model.price is not None:
        # Pico-USD per token are micro-USD per million tokens.
        write_money(message.input_price_per_million, model.price.input * _NANO_PER_MICRO)
        write_money(message.output_price_per_million, model.price.output * _NANO_PER_MICRO)
    return message


def list_arguments(request: pb.ListModelsRequest, context: CallContext) -> dict[str, object]:
    """What a page token of ListModels is bound to: two callers do not see the same list."""
    return {
        "method": "ListModels",
        "tenant": context.tenant,
        "user": context.user,
        "usable_only": request.usable_only,
    }


def place_cursor(place: Place) -> str:
    """A place as the cursor of a page token."""
    return " ".join(map(str, place))


def place_in(token: str, arguments: dict[str, object]) -> Place | None:
    """The place that a page token goes on after; None for the first page. Raises InvalidArgument."""
    cursor = decode_page_token(token, arguments)
    if cursor is None:
        return None
    parts = cursor.split(" ")
    if len(parts) == _PARTS_OF_A_PLACE and parts[0].isdecimal() and parts[1].isdecimal():
        return int(parts[0]), int(parts[1]), parts[2], parts[3]
    description = "is not a token this service issued"
    raise InvalidArgument(
        "INVALID_FIELD",
        f"page_token {description}",
        metadata={"field": "page_token"},
        field_violations=(FieldViolation(field="page_token", description=description),),
    )


def health_to_pb(report: HealthReport) -> health_pb.ListProviderHealthResponse:
    """How providers do."""
    response = health_pb.ListProviderHealthResponse(targets=map(_target_health, report.targets))
    state = response.configuration
    state.connected, state.revision = report.connected, report.revision
    write_duration(state.age, report.age_s)
    return response


def _target_health(report: TargetReport) -> health_pb.ProviderHealth:
    provider, model, key = report.key
    message = health_pb.ProviderHealth(
        provider=provider,
        model=model,
        key=key,
        state=_STATES[report.state],
        recent_calls=report.recent_calls,
        recent_faults=report.recent_faults,
        calls_under_way=report.under_way,
    )
    if report.average_first_content_s is not None:
        write_duration(message.average_first_content, report.average_first_content_s)
    if report.state is BreakerState.OPEN:
        message.cooling_until.FromNanoseconds(time.time_ns() + int(report.cooling_s * 1e9))
    return message
