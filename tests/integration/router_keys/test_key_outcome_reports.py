"""What the router tells key_vault about its keys, over real gRPC."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from gatehouse.keyvault.v1 import key_access_service_pb2 as pb

from libs.core.errors import (
    Aborted,
    GatehouseError,
    Internal,
    InvalidArgument,
    ResourceExhausted,
    Unavailable,
)
from libs.telemetry.telemetry import configure
from services.router.clients import key_outcomes
from services.router.clients.key_outcomes import KeyOutcomeReporter
from tests.integration.router_keys.key_vault_double import KeyVaultDouble, serving

KEY = "tenants/acme/keys/one"
AWAY = Unavailable("DATABASE_UNAVAILABLE", "away")


@pytest.fixture
def log() -> Iterator[io.BytesIO]:
    stream = io.BytesIO()
    telemetry = configure("router", log_level="debug", stream=stream)
    yield stream
    telemetry.restore_logs()


@pytest.fixture
def vault() -> KeyVaultDouble:
    return KeyVaultDouble()


@pytest.fixture
async def reporter(vault: KeyVaultDouble) -> AsyncIterator[KeyOutcomeReporter]:
    async with serving(vault) as channel:
        yield KeyOutcomeReporter(channel, timeout_s=5.0, interval_s=0.01)


@asynccontextmanager
async def running(reporter: KeyOutcomeReporter) -> AsyncIterator[None]:
    task = asyncio.create_task(reporter.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def when(condition: Any) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


def events(log: io.BytesIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.getvalue().splitlines()]


def times(outcome: pb.KeyOutcome) -> dict[str, float]:
    return {field.name: value.ToNanoseconds() / 1e9 for field, value in outcome.ListFields() if field.message_type}


async def test_all_calls_with_one_version_are_one_outcome_with_the_latest_of_each_time(
    vault: KeyVaultDouble, reporter: KeyOutcomeReporter
) -> None:
    # Calls end in another order than they were sent in.
    for sent in (20.25, 10.0, 15.0):
        reporter.succeeded(KEY, 3, sent)
    for sent in (5.0, 12.0, 11.0):
        reporter.rejected(KEY, 3, sent, sent + 2)
        reporter.exhausted(KEY, 3, sent, sent + 4)
    reporter.used(KEY, 3, 31.5)
    reporter.used(KEY, 3, 30.0)
    await reporter.drain(5.0)
    (outcome,) = vault.reported()
    assert (outcome.name, outcome.version) == (KEY, 3)
    assert times(outcome) == {
        "last_use_time": 31.5,
        "last_success_time": 20.25,
        "last_rejection_time": 14.0,
        "last_exhaustion_time": 16.0,
    }


async def test_what_did_not_happen_has_no_time(vault: KeyVaultDouble, reporter: KeyOutcomeReporter) -> None:
    reporter.used("tenants/acme/keys/used", 1, 7.0)
    reporter.succeeded("tenants/acme/keys/good", 1, 8.0)
    reporter.rejected("tenants/acme/keys/bad", 1, 9.0, 9.5)
    reporter.exhausted("tenants/acme/keys/empty", 1, 10.0, 10.5)
    await reporter.drain(5.0)
    assert {each.name.rpartition("/")[2]: times(each) for each in vault.reported()} == {
        "used": {"last_use_time": 7.0},
        "good": {"last_use_time": 8.0, "last_success_time": 8.0},
        "bad": {"last_use_time": 9.0, "last_rejection_time": 9.5},
        "empty": {"last_use_time": 10.0, "last_exhaustion_time": 10.5},
    }


async def test_versions_are_told_apart(vault: KeyVaultDouble, reporter: KeyOutcomeReporter) -> None:
    reporter.rejected(KEY, 3, 1.0, 1.5)
    reporter.succeeded(KEY, 2, 2.0)
    await reporter.drain(5.0)
    assert [(each.version, sorted(times(each))) for each in vault.reported()] == [
        (3, ["last_rejection_time", "last_use_time"]),
        (2, ["last_success_time", "last_use_time"]),
    ]


async def test_what_was_told_is_not_told_again(vault: KeyVaultDouble, reporter: KeyOutcomeReporter) -> None:
    reporter.succeeded(KEY, 1, 1.0)
    await reporter.drain(5.0)
    await reporter.drain(5.0)
    assert len(vault.reports) == 1
    reporter.used(KEY, 1, 2.0)
    await reporter.drain(5.0)
    assert times(vault.reports[1][0]) == {"last_use_time": 2.0}


async def test_a_report_has_at_most_a_thousand_outcomes(vault: KeyVaultDouble, reporter: KeyOutcomeReporter) -> None:
    for number in range(2_500):
        reporter.used(f"tenants/acme/keys/k{number}", 1, float(number + 1))
    await reporter.drain(5.0)
    assert [len(each) for each in vault.reports] == [1000, 1000, 500]
    assert [each.name for each in vault.reported()] == [f"tenants/acme/keys/k{number}" for number in range(2_500)]


async def test_outcomes_are_told_as_they_gather(vault: KeyVaultDouble, reporter: KeyOutcomeReporter) -> None:
    async with running(reporter):
        for number in (1, 2, 3):
            reporter.used(KEY, number, 1.0)
            await when(lambda number=number: len(vault.reports) == number)
    assert [each.version for each in vault.reported()] == [1, 2, 3]


@pytest.mark.parametrize("failure", [AWAY, ResourceExhausted("OVERLOADED", "full"), Aborted("ETAG_MISMATCH", "again")])
async def test_what_could_not_be_told_is_told_later_with_what_came_since(
    vault: KeyVaultDouble, reporter: KeyOutcomeReporter, failure: GatehouseError
) -> None:
    vault.failures = [failure]
    reporter.rejected(KEY, 1, 10.0, 11.0)
    reporter.used("tenants/acme/keys/two", 1, 10.0)
    await reporter.drain(5.0)
    reporter.used("tenants/acme/keys/three", 1, 10.0)
    reporter.succeeded(KEY, 1, 20.0)
    await reporter.drain(5.0)
    assert [each.name.rpartition("/")[2] for each in vault.reported()] == ["one", "two", "three"]
    assert times(vault.reported()[0]) == {
        "last_use_time": 20.0,
        "last_success_time": 20.0,
        "last_rejection_time": 11.0,
    }


@pytest.mark.parametrize(("before", "since"), [(10.0, 20.0), (20.0, 10.0)])
async def test_of_what_could_not_be_told_and_what_came_since_the_latest_is_told(
    vault: KeyVaultDouble, reporter: KeyOutcomeReporter, before: float, since: float
) -> None:
    def tell(sent: float) -> None:
        reporter.succeeded(KEY, 1, sent)
        reporter.rejected(KEY, 1, sent, sent + 1)
        reporter.exhausted(KEY, 1, sent, sent + 2)

    vault.hang = asyncio.Event()
    vault.failures = [AWAY]
    tell(before)
    failing = asyncio.create_task(reporter.drain(5.0))
    await when(lambda: not reporter._gathered)
    tell(since)
    vault.hang.set()
    await failing
    await reporter.drain(5.0)
    assert [times(each) for each in vault.reported()] == [
        {
            "last_use_time": 20.0,
            "last_success_time": 20.0,
            "last_rejection_time": 21.0,
            "last_exhaustion_time": 22.0,
        }
    ]


async def test_no_failure_ends_the_telling_and_an_outage_is_logged_once(
    vault: KeyVaultDouble, reporter: KeyOutcomeReporter, log: io.BytesIO
) -> None:
    vault.failures = [AWAY] * 5
    reporter.used(KEY, 1, 1.0)
    async with running(reporter):
        await when(lambda: len(events(log)) > 1)
    assert len(vault.reports) == 1
    assert [(each["event"], each.get("reason"), each.get("count")) for each in events(log)] == [
        ("dependency_lost", "DATABASE_UNAVAILABLE", 1),
        ("dependency_back", None, None),
    ]


@pytest.mark.parametrize("refusal", [InvalidArgument("INVALID_FIELD", "what is this"), Internal("INTERNAL", "crash")])
async def test_a_report_that_will_never_be_taken_does_not_hold_up_the_others(
    vault: KeyVaultDouble, reporter: KeyOutcomeReporter, log: io.BytesIO, refusal: GatehouseError
) -> None:
    vault.failures = [refusal]
    for number in range(1_001):
        reporter.used(f"tenants/acme/keys/k{number}", 1, 1.0)
    await reporter.drain(5.0)
    assert [each.name for each in vault.reported()] == ["tenants/acme/keys/k1000"]
    assert [(each["event"], each["reason"], each["count"]) for each in events(log)] == [
        ("key_outcomes_dropped", refusal.reason, 1000)
    ]


async def test_while_key_vault_is_away_the_keys_that_waited_longest_go_first(
    vault: KeyVaultDouble, reporter: KeyOutcomeReporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_outcomes, "MAX_TRACKED", 3)
    vault.failures = [AWAY]
    for number in (1, 2, 3):
        reporter.used(KEY, number, 1.0)
    await reporter.drain(5.0)
    for number in (1, 4, 5):
        reporter.used(KEY, number, 2.0)
    await reporter.drain(5.0)
    assert [each.version for each in vault.reported()] == [3, 4, 5]


async def test_what_is_put_back_is_bounded_too(
    vault: KeyVaultDouble, reporter: KeyOutcomeReporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_outcomes, "MAX_TRACKED", 3)
    vault.hang = asyncio.Event()
    vault.failures = [AWAY]
    for number in (1, 2, 3):
        reporter.used(KEY, number, 1.0)
    failing = asyncio.create_task(reporter.drain(5.0))
    await when(lambda: not reporter._gathered)
    for number in (4, 5):
        reporter.used(KEY, number, 2.0)
    vault.hang.set()
    await failing
    await reporter.drain(5.0)
    assert [each.version for each in vault.reported()] == [3, 4, 5]


async def test_a_report_cut_off_by_the_end_of_the_service_is_told_by_the_last_one(
    vault: KeyVaultDouble, reporter: KeyOutcomeReporter
) -> None:
    hanging = vault.hang = asyncio.Event()
    reporter.rejected(KEY, 1, 10.0, 11.0)
    async with running(reporter):
        await when(lambda: not reporter._gathered)
    vault.hang = None
    await reporter.drain(5.0)
    assert times(vault.reports[0][0]) == {"last_use_time": 10.0, "last_rejection_time": 11.0}
    hanging.set()


async def test_the_last_report_is_given_up_in_time(
    vault: KeyVaultDouble, reporter: KeyOutcomeReporter, log: io.BytesIO
) -> None:
    vault.hang = asyncio.Event()
    reporter.used(KEY, 1, 1.0)
    async with asyncio.timeout(3):
        await reporter.drain(0.05)
    assert [(each["event"], each["reason"]) for each in events(log)] == [("dependency_lost", "TimeoutError")]
