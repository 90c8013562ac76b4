"""The whole service: two ports, certificates, tokens, protobuf in and out."""

from __future__ import annotations

import asyncio
import time
import uuid

import grpc
import pytest
from gatehouse.usage.v1 import (
    ledger_service_pb2,
    quota_pb2,
    quota_service_pb2,
    usage_record_pb2,
    usage_service_pb2,
)
from gatehouse.usage.v1.ledger_service_pb2_grpc import LedgerServiceStub
from gatehouse.usage.v1.quota_service_pb2_grpc import QuotaServiceStub
from gatehouse.usage.v1.usage_service_pb2_grpc import UsageServiceStub
from google.protobuf.field_mask_pb2 import FieldMask

from libs.core.errors import GatehouseError
from libs.rpc.status import from_item_status, from_rpc_error
from libs.storage.database import Database
from tests.integration.usage_accounting.conftest import Running
from tests.integration.usage_accounting.ledger_world import Time, World, ask

EXPERIMENT = "tenants/acme/routes/chat/experiments/models"


def key(tenant: str = "acme") -> ledger_service_pb2.AttemptKey:
    return ledger_service_pb2.AttemptKey(tenant=tenant, operation_id=str(uuid.uuid4()), attempt=1)


def reservation(
    attempt: ledger_service_pb2.AttemptKey, *, user: str = "alice", model: str = "gpt-4o-mini"
) -> ledger_service_pb2.UsageReservation:
    item = ledger_service_pb2.UsageReservation(
        key=attempt,
        dimensions=usage_record_pb2.UsageDimensions(
            user=user,
            provider="tenants/acme/providers/openai",
            provider_type="openai",
            model=model,
            provider_model_id=model,
            labels={"team": "red"},
        ),
        input_tokens_estimate=1000,
        output_tokens_limit=1000,
    )
    item.lapse_after.seconds = 60
    return item


def settlement(attempt: ledger_service_pb2.AttemptKey) -> ledger_service_pb2.Settlement:
    item = ledger_service_pb2.Settlement(
        key=attempt,
        outcome=usage_record_pb2.ATTEMPT_OUTCOME_SUCCEEDED,
        tokens=usage_record_pb2.TokenCounts(input_tokens=100, cache_read_tokens=10, output_tokens=50),
        token_source=usage_record_pb2.TOKEN_SOURCE_REPORTED,
        finish_reason="stop",
    )
    item.start_time.seconds = int(time.time())
    item.duration.nanos = 250_000_000
    item.first_content.nanos = 50_000_000
    return item


def quota(limit: int, metric: quota_pb2.QuotaMetric.ValueType) -> quota_service_pb2.CreateQuotaRequest:
    return quota_service_pb2.CreateQuotaRequest(
        parent="tenants/acme",
        quota_id="daily",
        quota=quota_pb2.Quota(metric=metric, window=quota_pb2.QUOTA_WINDOW_DAY, limit=limit),
    )


async def use(running: Running, *, user: str, **dimensions: str) -> ledger_service_pb2.SettleUsageResult:
    """One settled attempt."""
    ledger = LedgerServiceStub(running.router)
    attempt = key()
    item = reservation(attempt, user=user)
    for name, value in dimensions.items():
        setattr(item.dimensions, name, value)
    reserved = await ledger.ReserveUsage(ledger_service_pb2.ReserveUsageRequest(items=[item]))
    assert reserved.results[0].HasField("grant"), reserved
    settled = await ledger.SettleUsage(ledger_service_pb2.SettleUsageRequest(items=[settlement(attempt)]))
    return settled.results[0]


def failure(raised: pytest.ExceptionInfo[grpc.aio.AioRpcError]) -> GatehouseError:
    return from_rpc_error(raised.value, service="usage-accounting")


async def test_a_call_is_reserved_settled_listed_and_summed_up(running: Running) -> None:
    result = await use(running, user="alice")
    cost = 100 * 150 + 10 * 75 + 50 * 600
    assert result.receipt.cost_nano_usd == cost
    assert not result.receipt.already_settled
    usage = UsageServiceStub(running.public)
    admin = running.token("acme", "boss", "tenant_admin")
    listed = await usage.ListUsageRecords(
        usage_service_pb2.ListUsageRecordsRequest(parent="tenants/acme"), metadata=admin
    )
    (record,) = listed.records
    assert (record.kind, record.cost_nano_usd) == (usage_record_pb2.USAGE_EVENT_KIND_SETTLED, cost)
    assert (record.dimensions.user, dict(record.dimensions.labels)) == ("alice", {"team": "red"})
    assert (record.duration.nanos, record.first_content.nanos) == (250_000_000, 50_000_000)
    assert listed.next_page_token == ""
    stats = await usage.GetUsageStats(
        usage_service_pb2.GetUsageStatsRequest(
            parent="tenants/acme", group_by=[usage_service_pb2.USAGE_GROUPING_PROVIDER]
        ),
        metadata=admin,
    )
    assert [list(row.group) for row in stats.rows] == [["tenants/acme/providers/openai"]]
    assert (stats.total.cost.currency_code, stats.total.cost.units, stats.total.cost.nanos) == ("USD", 0, cost)
    assert (stats.total.attempts, stats.total.average_duration.nanos) == (1, 250_000_000)


async def test_the_arms_of_an_experiment_are_compared(running: Running) -> None:
    for arm, user in (("control", "alice"), ("control", "bob"), ("other", "carol")):
        await use(running, user=user, rule="experiment", experiment=EXPERIMENT, arm=arm)
    await use(running, user="alice", rule="route")
    usage = UsageServiceStub(running.public)
    admin = running.token("acme", "boss", "tenant_admin")
    request = usage_service_pb2.GetExperimentStatsRequest(name=EXPERIMENT)
    control, other = (await usage.GetExperimentStats(request, metadata=admin)).arms
    cost = 100 * 150 + 10 * 75 + 50 * 600
    assert (control.arm, control.calls, control.succeeded, control.unpriced_calls) == ("control", 2, 2, 0)
    assert (control.success_rate.value, control.success_rate.high) == (1, 1)
    assert control.success_rate.low == pytest.approx(0.3424, abs=1e-4)
    assert (control.duration_s.value, control.duration_s.low, control.duration_s.high) == (0.25, 0.25, 0.25)
    assert (control.first_content_s.value, control.cost_nano_usd.value) == (0.05, cost)
    assert (control.total_cost.currency_code, control.total_cost.nanos) == ("USD", 2 * cost)
    assert (control.tokens.input_tokens, control.tokens.output_tokens) == (200, 100)
    assert (other.arm, other.calls, other.duration_s.value) == ("other", 1, 0.25)
    assert not other.duration_s.HasField("low")
    assert not other.duration_s.HasField("high")
    listed = await usage.ListUsageRecords(
        usage_service_pb2.ListUsageRecordsRequest(parent="tenants/acme/users/carol"), metadata=admin
    )
    dimensions = listed.records[0].dimensions
    assert (dimensions.rule, dimensions.experiment, dimensions.arm) == ("experiment", EXPERIMENT, "other")
    by_rule = usage_service_pb2.GetUsageStatsRequest(
        parent="tenants/acme", group_by=[usage_service_pb2.USAGE_GROUPING_RULE]
    )
    stats = await usage.GetUsageStats(by_rule, metadata=admin)
    assert [(list(row.group), row.attempts) for row in stats.rows] == [(["experiment"], 3), (["route"], 1)]


async def test_only_admins_compare_arms_and_only_their_tenants(running: Running) -> None:
    await use(running, user="bob", experiment=EXPERIMENT, arm="control")
    usage = UsageServiceStub(running.public)
    request = usage_service_pb2.GetExperimentStatsRequest(name=EXPERIMENT)
    for metadata in (running.token("acme", "bob", "member"), running.token("other", "boss", "tenant_admin")):
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await usage.GetExperimentStats(request, metadata=metadata)
        assert raised.value.code() is grpc.StatusCode.PERMISSION_DENIED
    operator = running.token(None, "root", "super_admin")
    assert [arm.calls for arm in (await usage.GetExperimentStats(request, metadata=operator)).arms] == [1]


async def test_wrong_questions_about_experiments_are_refused(running: Running) -> None:
    usage = UsageServiceStub(running.public)
    admin = running.token("acme", "boss", "tenant_admin")
    wrong = usage_service_pb2.GetExperimentStatsRequest(name="tenants/acme/routes/chat")
    wrong.start_time.seconds, wrong.end_time.seconds = -5, 10**12
    backwards = usage_service_pb2.GetExperimentStatsRequest(name=EXPERIMENT)
    backwards.start_time.seconds = backwards.end_time.seconds = 1_800_000_000
    for request, fields in ((wrong, {"name", "start_time", "end_time"}), (backwards, {"start_time"})):
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await usage.GetExperimentStats(request, metadata=admin)
        assert {each.field for each in failure(raised).field_violations} == fields
    unknown = usage_service_pb2.GetExperimentStatsRequest(name=EXPERIMENT)
    assert not (await usage.GetExperimentStats(unknown, metadata=admin)).arms


async def test_the_errors_of_items_carry_their_details(running: Running) -> None:
    quotas = QuotaServiceStub(running.public)
    admin = running.token("acme", "boss", "tenant_admin")
    await quotas.CreateQuota(quota(10**9, quota_pb2.QUOTA_METRIC_COST), metadata=admin)
    wrong = reservation(key())
    wrong.key.attempt = 0
    huge = reservation(key())
    huge.output_tokens_limit = 10**9
    items = [reservation(key()), wrong, huge, reservation(key(), model="nobody-knows")]
    response = await LedgerServiceStub(running.router).ReserveUsage(ledger_service_pb2.ReserveUsageRequest(items=items))
    granted, *refused = response.results
    assert granted.grant.price.input_pico_usd == 150_000
    errors = [from_item_status(each.error) for each in refused]
    assert [error.reason for error in errors] == ["INVALID_FIELD", "QUOTA_EXCEEDED", "PRICE_UNKNOWN"]
    assert [error.domain for error in errors] == ["usage.gatehouse"] * 3
    assert errors[1].metadata["quota"] == "tenants/acme/quotas/daily"
    assert errors[1].retry_delay_s is not None
    state = await quotas.GetQuotaState(
        quota_service_pb2.GetQuotaStateRequest(name="tenants/acme/quotas/daily"), metadata=admin
    )
    assert (state.state.used, state.state.held) == (0, 1000 * 150 + 1000 * 600)


async def test_released_attempts_leave_no_record(running: Running) -> None:
    ledger = LedgerServiceStub(running.router)
    item = reservation(key())
    await ledger.ReserveUsage(ledger_service_pb2.ReserveUsageRequest(items=[item]))
    released = await ledger.ReleaseUsage(ledger_service_pb2.ReleaseUsageRequest(keys=[item.key, key()]))
    assert [each.released for each in released.results] == [True, False]
    listed = await UsageServiceStub(running.public).ListUsageRecords(
        usage_service_pb2.ListUsageRecordsRequest(parent="tenants/acme"),
        metadata=running.token("acme", "boss", "tenant_admin"),
    )
    assert not listed.records


async def test_reservations_lapse_by_themselves(running: Running, stopped_time: Time) -> None:
    # Reserved in the past, beside the service: the least it would accept is ten seconds.
    async with Database.open(running.settings.database_url, name="past") as database:
        await World(database, stopped_time).reserve(ask(100, 200))
    usage = UsageServiceStub(running.public)
    request = usage_service_pb2.ListUsageRecordsRequest(parent="tenants/acme")
    admin = running.token("acme", "boss", "tenant_admin")
    async with asyncio.timeout(10):
        while not (records := (await usage.ListUsageRecords(request, metadata=admin)).records):
            await asyncio.sleep(0.02)
    assert [record.kind for record in records] == [usage_record_pb2.USAGE_EVENT_KIND_LAPSED]
    assert not records[0].HasField("duration")


async def test_a_member_sees_their_own_calls_only(running: Running) -> None:
    for user in ("alice", "bob", "bob"):
        await use(running, user=user)
    usage = UsageServiceStub(running.public)
    bob = running.token("acme", "bob", "member")
    listed = await usage.ListUsageRecords(
        usage_service_pb2.ListUsageRecordsRequest(parent="tenants/acme", page_size=1), metadata=bob
    )
    assert [record.dimensions.user for record in listed.records] == ["bob"]
    rest = await usage.ListUsageRecords(
        usage_service_pb2.ListUsageRecordsRequest(parent="tenants/acme", page_token=listed.next_page_token),
        metadata=bob,
    )
    assert [record.dimensions.user for record in rest.records] == ["bob"]
    stats = await usage.GetUsageStats(usage_service_pb2.GetUsageStatsRequest(parent="tenants/acme"), metadata=bob)
    assert stats.total.attempts == 2
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await usage.GetUsageStats(
            usage_service_pb2.GetUsageStatsRequest(parent="tenants/acme/users/alice"), metadata=bob
        )
    assert raised.value.code() is grpc.StatusCode.PERMISSION_DENIED
    # An admin's page token is bound to what an admin sees.
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await usage.ListUsageRecords(
            usage_service_pb2.ListUsageRecordsRequest(parent="tenants/acme", page_token=listed.next_page_token),
            metadata=running.token("acme", "boss", "tenant_admin"),
        )
    assert failure(raised).metadata == {"field": "page_token"}


async def test_only_the_router_keeps_the_ledger(running: Running) -> None:
    request = ledger_service_pb2.ReserveUsageRequest(items=[reservation(key())])
    admin = running.token("acme", "boss", "tenant_admin", "super_admin")
    for channel, metadata in ((running.stranger, ()), (running.public, admin)):
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await LedgerServiceStub(channel).ReserveUsage(request, metadata=metadata)
        assert raised.value.code() is grpc.StatusCode.PERMISSION_DENIED


@pytest.mark.parametrize("roles", [("member",), ("service",)])
async def test_members_read_quotas_and_do_not_change_them(running: Running, roles: tuple[str, ...]) -> None:
    quotas = QuotaServiceStub(running.public)
    request = quota(5, quota_pb2.QUOTA_METRIC_TOKENS)
    await quotas.CreateQuota(request, metadata=running.token("acme", "boss", "tenant_admin"))
    member = running.token("acme", "bob", *roles)
    read = await quotas.GetQuota(quota_service_pb2.GetQuotaRequest(name="tenants/acme/quotas/daily"), metadata=member)
    assert read.quota.limit == 5
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await quotas.UpdateQuota(
            quota_service_pb2.UpdateQuotaRequest(quota=quota_pb2.Quota(name="tenants/acme/quotas/daily", limit=9)),
            metadata=member,
        )
    assert raised.value.code() is grpc.StatusCode.PERMISSION_DENIED


async def test_quotas_live_from_creation_to_deletion(running: Running) -> None:
    quotas = QuotaServiceStub(running.public)
    admin = running.token("acme", "boss", "tenant_admin")
    request = quota(5, quota_pb2.QUOTA_METRIC_TOKENS)
    request.request_id = str(uuid.uuid4())
    created = (await quotas.CreateQuota(request, metadata=admin)).quota
    assert (await quotas.CreateQuota(request, metadata=admin)).quota == created
    assert (created.name, created.time_zone, created.limit) == ("tenants/acme/quotas/daily", "UTC", 5)
    changed = await quotas.UpdateQuota(
        quota_service_pb2.UpdateQuotaRequest(
            quota=quota_pb2.Quota(name=created.name, etag=created.etag, display_name="Daily", limit=0),
            update_mask=FieldMask(paths=["limit"]),
        ),
        metadata=admin,
    )
    assert (changed.quota.limit, changed.quota.display_name, changed.quota.uid) == (0, "", created.uid)
    assert changed.quota.etag != created.etag
    listed = await quotas.ListQuotas(quota_service_pb2.ListQuotasRequest(parent="tenants/acme"), metadata=admin)
    assert list(listed.quotas) == [changed.quota]
    delete = quota_service_pb2.DeleteQuotaRequest(name=created.name, etag=created.etag)
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await quotas.DeleteQuota(delete, metadata=admin)
    assert failure(raised).reason == "ETAG_MISMATCH"
    await quotas.DeleteQuota(quota_service_pb2.DeleteQuotaRequest(name=created.name), metadata=admin)
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await quotas.GetQuota(quota_service_pb2.GetQuotaRequest(name=created.name), metadata=admin)
    assert failure(raised).reason == "QUOTA_NOT_FOUND"


async def test_every_wrong_field_of_a_quota_is_named(running: Running) -> None:
    quotas = QuotaServiceStub(running.public)
    admin = running.token("acme", "boss", "tenant_admin")
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await quotas.CreateQuota(
            quota_service_pb2.CreateQuotaRequest(
                parent="tenants/acme/users/bob",
                quota_id="Not An Id",
                request_id="1",
                quota=quota_pb2.Quota(limit=-1, time_zone="Mars/Olympus", display_name="x" * 201),
            ),
            metadata=admin,
        )
    assert {each.field for each in failure(raised).field_violations} == {
        "parent",
        "quota_id",
        "request_id",
        "quota.limit",
        "quota.metric",
        "quota.window",
        "quota.time_zone",
        "quota.display_name",
    }
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await quotas.UpdateQuota(
            quota_service_pb2.UpdateQuotaRequest(
                quota=quota_pb2.Quota(name="tenants/acme/quotas/q"), update_mask=FieldMask(paths=["metric", "nonsense"])
            ),
            metadata=admin,
        )
    assert [each.field for each in failure(raised).field_violations] == ["update_mask", "update_mask"]


async def test_an_unknown_time_zone_is_refused_by_name(running: Running) -> None:
    quotas = QuotaServiceStub(running.public)
    admin = running.token("acme", "boss", "tenant_admin")
    create = quota(5, quota_pb2.QUOTA_METRIC_TOKENS)
    create.quota.time_zone = "Mars/Olympus"
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await quotas.CreateQuota(create, metadata=admin)
    assert failure(raised).metadata == {"field": "quota.time_zone"}
    create.quota.time_zone = "Europe/Berlin"
    created = (await quotas.CreateQuota(create, metadata=admin)).quota
    assert created.time_zone == "Europe/Berlin"
    for paths in ([], ["*"], ["limit"]):
        update = quota_service_pb2.UpdateQuotaRequest(quota=created, update_mask=FieldMask(paths=paths))
        update.quota.time_zone = "Mars/Olympus"
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await quotas.UpdateQuota(update, metadata=admin)
        assert failure(raised).metadata == {"field": "quota.time_zone"}


async def test_wrong_questions_about_usage_are_refused(running: Running) -> None:
    usage = UsageServiceStub(running.public)
    operator = running.token(None, "root", "super_admin")
    record_requests = [
        usage_service_pb2.ListUsageRecordsRequest(parent="platform"),
        usage_service_pb2.ListUsageRecordsRequest(parent="tenants/acme", page_size=-1),
        usage_service_pb2.ListUsageRecordsRequest(parent="tenants/acme", page_token="nonsense"),
        usage_service_pb2.ListUsageRecordsRequest(parent="tenants/acme", operation_id="x" * 65),
    ]
    for record_request in record_requests:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await usage.ListUsageRecords(record_request, metadata=operator)
        assert failure(raised).reason == "INVALID_FIELD"
    for groups in ([0], [99], [1, 1], [1, 2, 3, 4]):
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await usage.GetUsageStats(
                usage_service_pb2.GetUsageStatsRequest(parent="tenants/acme", group_by=groups),  # type: ignore[arg-type]
                metadata=operator,
            )
        assert failure(raised).reason == "INVALID_FIELD"
