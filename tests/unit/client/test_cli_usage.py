from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import typer
from gatehouse.cli.inputs import duration_of, time_of
from gatehouse.usage.v1.quota_service_pb2 import (
    CreateQuotaResponse,
    GetQuotaResponse,
    GetQuotaStateResponse,
    ListQuotasResponse,
    UpdateQuotaResponse,
)
from gatehouse.usage.v1.usage_service_pb2 import GetUsageStatsResponse, ListUsageRecordsResponse

from tests.unit.client.fake_gatehouse import FakeGatehouse
from tests.unit.client.samples import DAILY, DAILY_STATE, LAPSED, MONTHLY, RECORD, STATS

Run = Callable[..., Any]


@pytest.fixture(autouse=True)
def answers(fake: FakeGatehouse) -> None:
    quotas = {quota.name: quota for quota in (DAILY, MONTHLY)}
    fake.answers |= {
        "ListUsageRecords": lambda _: ListUsageRecordsResponse(records=[RECORD, LAPSED]),
        "GetUsageStats": lambda _: STATS,
        "CreateQuota": lambda request: CreateQuotaResponse(quota=request.quota),
        "GetQuota": lambda request: GetQuotaResponse(quota=quotas[request.name]),
        "ListQuotas": lambda _: ListQuotasResponse(quotas=[DAILY]),
        "UpdateQuota": lambda request: UpdateQuotaResponse(quota=quotas[request.quota.name]),
        "GetQuotaState": lambda _: GetQuotaStateResponse(state=DAILY_STATE),
    }


def test_records_show_exact_cost_and_mark_estimates(fake: FakeGatehouse, run: Run) -> None:
    result = run("usage", "records")
    header, settled, lapsed = result.stdout.splitlines()
    assert header.split()[:3] == ["BEGAN", "USER", "PROVIDER"]
    assert settled.split()[2:] == [
        *("dev", "openai", "gpt-4o-mini", "succeeded", "1,200", "34", "$0.00001245", "412", "ms", "op-1/1"),
    ]
    assert "unknown (lapsed)" in lapsed
    assert "~9" in lapsed
    assert fake.last("ListUsageRecords").request.parent == "tenants/acme"


def test_records_stop_at_the_limit_and_can_be_narrowed(fake: FakeGatehouse, run: Run) -> None:
    fake.answers["ListUsageRecords"] = lambda _: ListUsageRecordsResponse(records=[RECORD] * 2, next_page_token="more")
    options = [
        "--limit",
        "3",
        "--mine",
        "--operation",
        "op-1",
        "--since",
        "24h",
        "--until",
        "2026-01-31T12:00:00+01:00",
    ]
    result = run("usage", "records", *options, "--json")
    assert len(json.loads(result.stdout)) == 3
    assert len(fake.received) == 2
    request = fake.last("ListUsageRecords").request
    assert (request.parent, request.operation_id, request.page_size) == ("tenants/acme/users/dev", "op-1", 3)
    assert request.end_time.ToDatetime(UTC) == datetime(2026, 1, 31, 11, tzinfo=UTC)
    assert datetime.now(UTC) - request.start_time.ToDatetime(UTC) >= timedelta(hours=24)


def test_stats_are_grouped_and_summed(fake: FakeGatehouse, run: Run) -> None:
    result = run("usage", "stats", "--by", "model")
    header, row, total = result.stdout.splitlines()
    assert header.split()[0] == "MODEL"
    assert row.split() == ["gpt-4o-mini", "4", "3", "(75%)", "0", "5,000", "70", "$1.50", "1.50", "s"]
    assert total.split()[0] == "all"
    assert list(fake.last("GetUsageStats").request.group_by) == [2]
    assert json.loads(run("usage", "stats", "--json").stdout)["total"]["attempts"] == "4"
    assert run("usage", "stats", "--by", "weather").exit_code == 2


def test_no_usage_is_said_and_unpriced_attempts_are_mentioned(fake: FakeGatehouse, run: Run) -> None:
    fake.answers["GetUsageStats"] = lambda _: GetUsageStatsResponse()
    assert "nothing was used" in run("usage", "stats").stderr
    priceless = GetUsageStatsResponse()
    priceless.total.attempts = priceless.total.unpriced_attempts = 2
    fake.answers["GetUsageStats"] = lambda _: priceless
    assert "2 attempts have no known price" in run("usage", "stats").stderr


def test_quotas_are_given_in_human_units(fake: FakeGatehouse, run: Run) -> None:
    assert "200,000 tokens per day (UTC)" in run("quotas", "create", "d", "--tokens", "200000", "--per", "day").stdout
    quota = fake.last("CreateQuota").request.quota
    assert (quota.metric, quota.window, quota.limit) == (1, 1, 200_000)
    options = ["--usd", "50.25", "--per", "month", "--time-zone", "Europe/Berlin"]
    assert "$50.25 per month (Europe/Berlin)" in run("quotas", "create", "m", *options).stdout
    quota = fake.last("CreateQuota").request.quota
    assert (quota.metric, quota.window, quota.limit) == (2, 2, 50_250_000_000)


@pytest.mark.parametrize(
    "options",
    [
        ("--per", "day"),
        ("--per", "day", "--tokens", "1", "--usd", "1"),
        ("--per", "day", "--tokens", "-1"),
        ("--per", "day", "--usd", "-1"),
        ("--per", "day", "--usd", "lots"),
        ("--per", "week", "--tokens", "1"),
        ("--tokens", "1"),
    ],
)
def test_wrong_limits_are_usage_errors(fake: FakeGatehouse, run: Run, options: tuple[str, ...]) -> None:
    assert run("quotas", "create", "q", *options).exit_code == 2
    assert fake.received == []


def test_a_limit_is_never_changed_in_the_wrong_unit(fake: FakeGatehouse, run: Run) -> None:
    assert run("quotas", "update", "monthly", "--usd", "75").exit_code == 0
    request = fake.last("UpdateQuota").request
    assert (request.quota.limit, request.quota.etag) == (75_000_000_000, "q2")
    assert list(request.update_mask.paths) == ["limit"]
    fake.received.clear()
    result = run("quotas", "update", "monthly", "--tokens", "75")
    assert result.exit_code == 2
    assert "use --usd" in result.stderr
    assert [call.method for call in fake.received] == ["GetQuota"]
    assert run("quotas", "update", "monthly").exit_code == 2


def test_quotas_and_their_state_are_shown(fake: FakeGatehouse, run: Run) -> None:
    assert "$50.00 per month (Europe/Berlin)" in run("quotas", "get", "monthly").stdout
    assert "200,000 tokens" in run("quotas", "list").stdout
    assert "25.0%" in run("quotas", "state").stdout
    assert json.loads(run("quotas", "state", "daily", "--json").stdout)["used"] == "50000"
    assert isinstance(json.loads(run("quotas", "state", "--json").stdout), list)
    assert run("quotas", "delete", "daily", "--yes").exit_code == 0
    assert fake.last("DeleteQuota").request.name == DAILY.name


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("30m", 1_800), ("24h", 86_400), ("7d", 604_800)])
def test_durations_are_read(text: str, seconds: int) -> None:
    assert duration_of(text, "--x").total_seconds() == seconds


@pytest.mark.parametrize("text", ["", "5", "h", "-1h", "1w", "999999999d", "yesterday", "2026-13-01"])
def test_wrong_times_are_usage_errors(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        time_of(text, "--since")


def test_a_time_without_a_zone_is_utc() -> None:
    assert time_of("2026-01-31", "--since") == datetime(2026, 1, 31, tzinfo=UTC)
    assert time_of(None, "--since") is None
