"""Answers a real Gatehouse could give."""

from __future__ import annotations

from gatehouse.keyvault.v1.key_pb2 import Key
from gatehouse.providerconfig.v1.model_pb2 import Model, ModelPrice
from gatehouse.providerconfig.v1.provider_pb2 import Capabilities, Provider, ProviderType
from gatehouse.router.v1.generation_pb2 import FINISH_REASON_STOP, Attempt, Latency, Outcome, Target, TokenUsage
from gatehouse.router.v1.generation_service_pb2 import (
    Completed,
    ExplainRouteResponse,
    RejectedTarget,
    Started,
    StreamGenerateResponse,
)
from gatehouse.usage.v1.quota_pb2 import (
    QUOTA_METRIC_COST,
    QUOTA_METRIC_TOKENS,
    QUOTA_WINDOW_DAY,
    QUOTA_WINDOW_MONTH,
    Quota,
    QuotaState,
)
from gatehouse.usage.v1.usage_record_pb2 import (
    ATTEMPT_OUTCOME_SUCCEEDED,
    ATTEMPT_OUTCOME_UNKNOWN,
    TOKEN_SOURCE_ESTIMATED,
    TOKEN_SOURCE_REPORTED,
    USAGE_EVENT_KIND_LAPSED,
    USAGE_EVENT_KIND_SETTLED,
    TokenCounts,
    UsageDimensions,
    UsageRecord,
)
from gatehouse.usage.v1.usage_service_pb2 import GetUsageStatsResponse, UsageStats
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from google.type.money_pb2 import Money

NOON = Timestamp(seconds=1_790_000_000)
KEY = Key(
    name="tenants/acme/keys/openai",
    uid="1",
    etag="e1",
    provider_type="openai",
    origin="https://api.openai.com",
    mask="…a1b2",
    fingerprint="0123456789abcdef",
    version=3,
    labels={"team": "ml"},
    create_time=NOON,
    update_time=NOON,
)
PROVIDER = Provider(
    name="tenants/acme/providers/openai",
    type="openai",
    base_url="https://api.openai.com/v1",
    key=KEY.name,
    default_model="gpt-4o-mini",
    active=True,
    is_default=True,
    priority=100,
    created_by="dev",
    create_time=NOON,
)
TYPES = [
    ProviderType(
        id="openai",
        display_name="OpenAI",
        default_base_url="https://api.openai.com/v1",
        requires_key=True,
        capabilities=Capabilities(streaming=True, tools=True),
    ),
    ProviderType(id="openai_compatible", display_name="OpenAI compatible"),
]
MODEL = Model(
    name=f"{PROVIDER.name}/models/gpt-4o-mini",
    provider_model_id="gpt-4o-mini",
    enabled=True,
    context_tokens=128_000,
    capabilities=Capabilities(streaming=True),
    price=ModelPrice(input_micro_usd_per_million=150_000, output_micro_usd_per_million=600_000),
)
TARGET = Target(
    provider=PROVIDER.name, provider_type="openai", model="gpt-4o-mini", key=KEY.name, rule="default", reason="default"
)
OUTCOME = Outcome(
    operation_id="op-1",
    finish_reason=FINISH_REASON_STOP,
    usage=TokenUsage(input_tokens=12, output_tokens=34),
    cost=Money(currency_code="USD", nanos=12_450),
    served_by=TARGET,
    attempts=[Attempt(number=1, target=TARGET)],
    latency=Latency(gateway=Duration(nanos=2_100_000), provider=Duration(nanos=412_000_000)),
)
STREAM = [
    StreamGenerateResponse(started=Started(operation_id="op-1", target=TARGET)),
    StreamGenerateResponse(text_delta="Because of "),
    StreamGenerateResponse(text_delta="Rayleigh."),
    StreamGenerateResponse(completed=Completed(outcome=OUTCOME)),
]
PLAN = ExplainRouteResponse(
    targets=[TARGET],
    rejected=[
        RejectedTarget(
            target=Target(provider="platform/providers/spare", model="big"),
            cause="PROVIDER_INACTIVE",
            description="the provider is inactive",
        )
    ],
    revision=42,
)
RECORD = UsageRecord(
    sequence=7,
    kind=USAGE_EVENT_KIND_SETTLED,
    tenant="acme",
    operation_id="op-1",
    attempt=1,
    dimensions=UsageDimensions(user="dev", provider=PROVIDER.name, model="gpt-4o-mini"),
    outcome=ATTEMPT_OUTCOME_SUCCEEDED,
    tokens=TokenCounts(input_tokens=1_200, output_tokens=34),
    token_source=TOKEN_SOURCE_REPORTED,
    cost_nano_usd=12_450,
    start_time=NOON,
    duration=Duration(nanos=412_000_000),
)
LAPSED = UsageRecord(
    kind=USAGE_EVENT_KIND_LAPSED,
    operation_id="op-2",
    attempt=1,
    outcome=ATTEMPT_OUTCOME_UNKNOWN,
    tokens=TokenCounts(input_tokens=9),
    token_source=TOKEN_SOURCE_ESTIMATED,
)
STATS = GetUsageStatsResponse(
    rows=[
        UsageStats(
            group=["gpt-4o-mini"],
            attempts=4,
            succeeded=3,
            tokens=TokenCounts(input_tokens=5_000, output_tokens=70),
            cost=Money(currency_code="USD", units=1, nanos=500_000_000),
            average_duration=Duration(seconds=1, nanos=500_000_000),
        )
    ],
    total=UsageStats(attempts=4, succeeded=3, cost=Money(currency_code="USD", units=1, nanos=500_000_000)),
)
DAILY = Quota(
    name="tenants/acme/quotas/daily",
    etag="q1",
    metric=QUOTA_METRIC_TOKENS,
    window=QUOTA_WINDOW_DAY,
    time_zone="UTC",
    limit=200_000,
)
MONTHLY = Quota(
    name="tenants/acme/quotas/monthly",
    etag="q2",
    metric=QUOTA_METRIC_COST,
    window=QUOTA_WINDOW_MONTH,
    time_zone="Europe/Berlin",
    limit=50_000_000_000,
)
DAILY_STATE = QuotaState(quota=DAILY.name, limit=200_000, used=50_000, held=100, reset_time=NOON)
