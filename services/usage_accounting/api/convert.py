"""Domain values as messages."""

from __future__ import annotations

from collections.abc import Sequence

import orjson
from gatehouse.usage.v1 import ledger_service_pb2, quota_pb2, usage_record_pb2, usage_service_pb2
from google.type.money_pb2 import Money

from libs.core.errors import GatehouseError
from libs.core.money import NANO_PER_USD, TokenCounts, TokenPrices
from libs.rpc.status import to_item_status
from services.usage_accounting.api.times import set_duration, set_timestamp
from services.usage_accounting.domain.confidence import Estimate
from services.usage_accounting.domain.experiments import ArmStats
from services.usage_accounting.domain.quota import Quota, QuotaState
from services.usage_accounting.domain.reports import StatsRow
from services.usage_accounting.domain.reservation import Grant
from services.usage_accounting.domain.usage_event import Receipt, UsageRecord


def reserve_response(
    results: Sequence[Grant | GatehouseError], *, domain: str
) -> ledger_service_pb2.ReserveUsageResponse:
    """What became of a batch; `domain` is that of the errors."""
    response = ledger_service_pb2.ReserveUsageResponse()
    for result in results:
        message = response.results.add()
        if isinstance(result, GatehouseError):
            message.error.CopyFrom(to_item_status(result, domain=domain))
            continue
        grant = message.grant
        set_timestamp(grant.lapse_time, result.lapse_us)
        if result.price is not None:
            grant.price.CopyFrom(_price(result.price))
    return response


def settle_response(
    results: Sequence[Receipt | GatehouseError], *, domain: str
) -> ledger_service_pb2.SettleUsageResponse:
    """What became of a batch; `domain` is that of the errors."""
    response = ledger_service_pb2.SettleUsageResponse()
    for result in results:
        message = response.results.add()
        if isinstance(result, GatehouseError):
            message.error.CopyFrom(to_item_status(result, domain=domain))
            continue
        receipt = message.receipt
        receipt.already_settled = result.already_settled
        if result.cost is not None:
            receipt.cost_nano_usd = result.cost
    return response


def record_message(record: UsageRecord) -> usage_record_pb2.UsageRecord:
    """A ledger event."""
    event = record.event
    dimensions = event.dimensions
    message = usage_record_pb2.UsageRecord(
        sequence=record.sequence,
        kind=usage_record_pb2.UsageEventKind.ValueType(event.kind.value),
        tenant=event.key.tenant,
        operation_id=event.key.operation_id,
        attempt=event.key.attempt,
        dimensions=usage_record_pb2.UsageDimensions(
            user=dimensions.user,
            provider=dimensions.provider,
            provider_type=dimensions.provider_type,
            model=dimensions.model,
            provider_model_id=dimensions.provider_model_id,
            key=dimensions.key,
            task=dimensions.task,
            plan=dimensions.plan,
            request_id=dimensions.request_id,
            labels=orjson.loads(dimensions.labels),
            rule=dimensions.rule,
            experiment=dimensions.experiment,
            arm=dimensions.arm,
        ),
        outcome=usage_record_pb2.AttemptOutcome.ValueType(event.outcome.value),
        tokens=_tokens(event.tokens),
        token_source=usage_record_pb2.TokenSource.ValueType(event.token_source.value),
        cost_nano_usd=event.cost,
        finish_reason=event.finish_reason,
        error_reason=event.error_reason,
        fallback=event.fallback,
    )
    set_timestamp(message.start_time, event.start_us)
    set_timestamp(message.record_time, event.record_us)
    if event.duration_us is not None:
        set_duration(message.duration, event.duration_us)
    if event.first_content_us is not None:
        set_duration(message.first_content, event.first_content_us)
    return message


def stats_message(row: StatsRow) -> usage_service_pb2.UsageStats:
    """A sum over ledger events."""
    message = usage_service_pb2.UsageStats(
        group=row.group,
        attempts=row.attempts,
        succeeded=row.succeeded,
        fallbacks=row.fallbacks,
        tokens=_tokens(row.tokens),
        cost=_money(row.cost_nano_usd),
        unpriced_attempts=row.unpriced_attempts,
    )
    if row.timed_attempts:
        set_duration(message.average_duration, row.duration_us // row.timed_attempts)
    return message


def arm_message(arm: ArmStats) -> usage_service_pb2.ExperimentArmStats:
    """How one arm of an experiment did."""
    return usage_service_pb2.ExperimentArmStats(
        arm=arm.arm,
        calls=arm.calls,
        succeeded=arm.succeeded,
        success_rate=_estimate(arm.success_rate),
        duration_s=_estimate(arm.duration_s),
        first_content_s=_estimate(arm.first_content_s),
        cost_nano_usd=_estimate(arm.cost_nano_usd),
        total_cost=_money(arm.total_cost_nano_usd),
        unpriced_calls=arm.unpriced_calls,
        tokens=_tokens(arm.tokens),
    )


def quota_message(quota: Quota) -> quota_pb2.Quota:
    """A quota."""
    message = quota_pb2.Quota(
        name=str(quota.name),
        uid=quota.uid,
        etag=quota.etag,
        display_name=quota.display_name,
        metric=quota_pb2.QuotaMetric.ValueType(quota.metric.value),
        window=quota_pb2.QuotaWindow.ValueType(quota.window.value),
        time_zone=quota.time_zone,
        limit=quota.limit,
    )
    set_timestamp(message.create_time, quota.create_us)
    set_timestamp(message.update_time, quota.update_us)
    return message


def quota_state_message(state: QuotaState) -> quota_pb2.QuotaState:
    """How much of a quota is used."""
    message = quota_pb2.QuotaState(
        quota=str(state.quota.name), limit=state.quota.limit, used=state.use.used, held=state.use.held
    )
    set_timestamp(message.window_start_time, state.start_us)
    set_timestamp(message.reset_time, state.reset_us)
    return message


def _estimate(estimate: Estimate | None) -> usage_service_pb2.Estimate | None:
    if estimate is None:
        return None
    return usage_service_pb2.Estimate(value=estimate.value, low=estimate.low, high=estimate.high)


def _tokens(tokens: TokenCounts) -> usage_record_pb2.TokenCounts:
    return usage_record_pb2.TokenCounts(
        input_tokens=tokens.input_tokens,
        cache_read_tokens=tokens.cache_read_tokens,
        cache_write_tokens=tokens.cache_write_tokens,
        output_tokens=tokens.output_tokens,
        reasoning_tokens=tokens.reasoning_tokens,
    )


def _price(price: TokenPrices) -> ledger_service_pb2.TokenPrice:
    return ledger_service_pb2.TokenPrice(
        input_pico_usd=price.input,
        cache_read_pico_usd=price.cache_read,
        cache_write_pico_usd=price.cache_write,
        output_pico_usd=price.output,
        reasoning_pico_usd=price.reasoning,
    )


def _money(nano_usd: int) -> Money:
    # Units and nanos have the same sign.
    sign = -1 if nano_usd < 0 else 1
    units, nanos = divmod(abs(nano_usd), NANO_PER_USD)
    return Money(currency_code="USD", units=sign * units, nanos=sign * nanos)
