"""Answers a real Gatehouse could give."""

from __future__ import annotations

from gatehouse.keyvault.v1.audit_service_pb2 import AUDIT_OUTCOME_DENIED, AUDIT_OUTCOME_SUCCEEDED, AuditEvent, KeyUse
from gatehouse.keyvault.v1.key_pb2 import (
    KEY_CONDITION_REJECTED,
    KEY_CONDITION_WORKING,
    KEY_STATE_ACTIVE,
    KEY_STATE_DISABLED,
    KEY_VERSION_STATE_CURRENT,
    KEY_VERSION_STATE_DESTROYED,
    KEY_VERSION_STATE_OVERLAPPING,
    KEY_VERSION_STATE_RETIRED,
    Key,
    KeyStatus,
    KeyVersion,
    VaultSecret,
)
from gatehouse.providerconfig.v1.model_pb2 import Model, ModelPrice
from gatehouse.providerconfig.v1.provider_pb2 import Capabilities, Provider, ProviderType
from gatehouse.providerconfig.v1.route_pb2 import (
    CACHE_MODE_EXACT,
    ROUTING_STRATEGY_WEIGHTED,
    CachePolicy,
    Experiment,
    ExperimentArm,
    Route,
    RouteTarget,
)
from gatehouse.router.v1.generation_pb2 import (
    FINISH_REASON_STOP,
    Attempt,
    Complexity,
    Latency,
    Outcome,
    RejectedTarget,
    RouteTrace,
    Target,
    TokenUsage,
)
from gatehouse.router.v1.generation_service_pb2 import (
    Completed,
    ExplainRouteResponse,
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
NOW_S = NOON.seconds + 7_800


def from_now(seconds: int) -> Timestamp:
    """A time that is so far ahead of NOW_S, or ago."""
    return Timestamp(seconds=NOW_S + seconds)


KEY = Key(
    name="tenants/acme/keys/openai",
    uid="1",
    etag="e1",
    provider_type="openai",
    origin="https://api.openai.com",
    mask="…a1b2",
    fingerprint="0123456789abcdef",
    state=KEY_STATE_ACTIVE,
    version=3,
    labels={"team": "ml"},
    create_time=NOON,
    update_time=NOON,
    status=KeyStatus(condition=KEY_CONDITION_WORKING, condition_time=NOON, last_use_time=from_now(-180)),
    versions=[
        KeyVersion(version=3, state=KEY_VERSION_STATE_CURRENT, mask="…a1b2", create_time=NOON),
        KeyVersion(version=2, state=KEY_VERSION_STATE_RETIRED, mask="…c3d4", create_time=NOON, retire_time=NOON),
        KeyVersion(
            version=1,
            state=KEY_VERSION_STATE_DESTROYED,
            mask="…e5f6",
            create_time=NOON,
            retire_time=NOON,
            destroy_time=NOON,
        ),
    ],
)
LENT_KEY = Key(
    name="tenants/acme/users/ann/keys/lent",
    etag="e9",
    provider_type="openai",
    state=KEY_STATE_DISABLED,
    version=1,
    vault_secret=VaultSecret(id="acme-openai", version=4),
    status=KeyStatus(condition=KEY_CONDITION_REJECTED),
    create_time=NOON,
)


def rotated_key(*, overlap: int) -> Key:
    """KEY after a rotation: version 4 in use, version 3 usable for `overlap` seconds."""
    key = Key()
    key.CopyFrom(KEY)
    key.version, key.etag, key.mask = 4, "e2", "…9f8e"
    key.rotate_time.CopyFrom(from_now(0))
    key.versions[0].state = KEY_VERSION_STATE_OVERLAPPING if overlap else KEY_VERSION_STATE_RETIRED
    key.versions[0].retire_time.CopyFrom(from_now(overlap))
    key.versions.insert(0, KeyVersion(version=4, state=KEY_VERSION_STATE_CURRENT, mask="…9f8e", create_time=NOON))
    return key


ROTATION = AuditEvent(
    sequence=1,
    uid="u1",
    time=NOON,
    actor="tenants/acme/users/ann",
    roles=["tenant_admin"],
    address="192.0.2.7",
    action="RotateKey",
    target=KEY.name,
    outcome=AUDIT_OUTCOME_SUCCEEDED,
    request_id="req-1",
    details={"version": "4", "overlap_s": "3600"},
    previous_hash="0" * 64,
    hash="1" * 64,
)
DENIED = AuditEvent(
    sequence=2,
    time=NOON,
    actor="tenants/acme/users/bob",
    action="DeleteKey",
    target=KEY.name,
    outcome=AUDIT_OUTCOME_DENIED,
    reason="PERMISSION_DENIED",
)
KEY_USE = KeyUse(
    hour=NOON, key=KEY.name, key_uid="1", version=3, service="router", count=12_345, last_vault_request_id="v-1"
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
ROUTE = Route(
    name="tenants/acme/routes/extraction",
    etag="r1",
    active=True,
    strategy=ROUTING_STRATEGY_WEIGHTED,
    targets=[
        RouteTarget(provider=PROVIDER.name, model="gpt-4o-mini", weight=3),
        RouteTarget(provider=PROVIDER.name, model="gpt-4o", weight=1, plans=["pro"], requires=Capabilities(tools=True)),
    ],
    fallbacks=[RouteTarget(provider="platform/providers/openai")],
    fallback_route="tenants/acme/routes/default",
    experiment=Experiment(
        experiment_id="cheaper",
        active=True,
        arms=[
            ExperimentArm(
                arm_id="control", share_percent=50, target=RouteTarget(provider=PROVIDER.name, model="gpt-4o")
            ),
            ExperimentArm(arm_id="mini", share_percent=50, target=RouteTarget(provider=PROVIDER.name)),
        ],
    ),
    cache=CachePolicy(mode=CACHE_MODE_EXACT, time_to_live=Duration(seconds=3600)),
    create_time=NOON,
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
    trace=RouteTrace(
        targets=[
            Target(
                provider=PROVIDER.name,
                provider_type="openai",
                model="gpt-4o-mini",
                key=KEY.name,
                rule="route",
                reason="the route's first target",
                estimated_cost=Money(currency_code="USD", nanos=12_450),
            )
        ],
        rejected=[
            RejectedTarget(
                target=Target(provider="platform/providers/spare", model="big"),
                cause="PROVIDER_INACTIVE",
                description="the provider is inactive",
            )
        ],
        revision=42,
        route="tenants/acme/routes/extraction",
        experiment="tenants/acme/routes/extraction/experiments/cheaper",
        arm="control",
        profile="tenants/acme/users/dev/profiles/work",
        complexity=Complexity(score=35, length=20, code=15, tier="hard"),
        configuration_age=Duration(nanos=120_000_000),
    ),
    warnings=["key_vault was not asked"],
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
