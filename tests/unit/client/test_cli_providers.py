"""What providers can be given beyond their address and key, and whether they answer."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from gatehouse.providerconfig.v1.provider_pb2 import (
    PROVIDER_TEST_OUTCOME_BAD_KEY,
    PROVIDER_TEST_OUTCOME_OK,
    Provider,
    ProviderLimits,
    ProviderTest,
    ProviderTestOutcome,
    ProviderTimeouts,
    ProviderVersion,
)
from gatehouse.providerconfig.v1.provider_service_pb2 import (
    CreateProviderResponse,
    DeleteProviderResponse,
    GetProviderResponse,
    ListProvidersResponse,
    ListProviderVersionsResponse,
    RollbackProviderResponse,
    UpdateProviderResponse,
)
from gatehouse.providerconfig.v1.provider_service_pb2 import TestProviderResponse as Found
from google.protobuf.duration_pb2 import Duration
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.struct_pb2 import Struct
from google.rpc import error_details_pb2

from tests.unit.client.fake_gatehouse import FakeGatehouse, failure
from tests.unit.client.samples import NOON, PROVIDER

Run = Callable[..., Any]

FULL = Provider()
FULL.CopyFrom(PROVIDER)
FULL.MergeFrom(
    Provider(
        etag="e7",
        weight=3,
        default_for_tasks=["extraction", "validation"],
        limits=ProviderLimits(requests_per_minute=500, concurrent_requests=8),
        timeouts=ProviderTimeouts(first_event=Duration(seconds=90), idle=Duration(nanos=250_000_000)),
        max_retries=0,
        default_temperature=0.2,
        default_max_output_tokens=2_000,
        options=ParseDict({"organization": "org-1", "flags": [1, True]}, Struct()),
        last_test=ProviderTest(time=NOON, outcome=PROVIDER_TEST_OUTCOME_BAD_KEY, message="the key was refused"),
    )
)
OK = ProviderTest(
    time=NOON,
    outcome=PROVIDER_TEST_OUTCOME_OK,
    message="it answers",
    duration=Duration(nanos=210_000_000),
    model_count=42,
)


@pytest.fixture(autouse=True)
def answers(fake: FakeGatehouse) -> None:
    fake.answers |= {
        "CreateProvider": lambda _: CreateProviderResponse(provider=FULL, revision=41),
        "GetProvider": lambda _: GetProviderResponse(provider=FULL),
        "ListProviders": lambda _: ListProvidersResponse(providers=[FULL, PROVIDER]),
        "UpdateProvider": lambda _: UpdateProviderResponse(provider=FULL, revision=42),
        "RollbackProvider": lambda _: RollbackProviderResponse(provider=FULL, revision=44),
        "TestProvider": lambda _: Found(test=OK),
    }


def cells(text: str) -> list[list[str]]:
    return [re.split(r" {2,}", line.strip()) for line in text.splitlines() if line.strip()]


def told(result: Any) -> str:
    return re.sub(r"[│\s]+", " ", result.stderr)


EVERYTHING = (
    *("--weight", "3", "--default-for-task", "extraction", "--default-for-task", "validation"),
    *("--limit-rpm", "500", "--limit-concurrent", "8", "--timeout", "first_event=1m30s", "--timeout", "idle=250ms"),
    *("--max-retries", "0", "--default-temperature", "0.2", "--default-max-output-tokens", "2000"),
    *("--option", "organization=org-1", "--option", "flags=[1, true]"),
)


def test_a_provider_is_created_with_everything(fake: FakeGatehouse, run: Run) -> None:
    result = run("providers", "create", "openai", "--type", "openai", *EVERYTHING)
    assert result.exit_code == 0, result.output
    assert "gatehouse models sync openai" in result.stderr
    request = fake.last("CreateProvider").request
    sent = request.provider
    for field in ("limits", "timeouts", "options"):
        assert getattr(sent, field) == getattr(FULL, field)
    assert (sent.weight, list(sent.default_for_tasks), sent.default_temperature) == (
        3,
        ["extraction", "validation"],
        0.2,
    )
    assert (sent.HasField("max_retries"), sent.default_max_output_tokens) == (True, 2_000)
    assert request.request_id
    dry = run("providers", "create", "openai", "--type", "openai", "--dry-run")
    assert "nothing was created" in dry.stderr
    assert fake.last("CreateProvider").request.validate_only


def test_everything_is_shown(run: Run) -> None:
    shown = cells(run("providers", "get", "openai").stdout)
    for line in (
        ["default for tasks", "extraction, validation"],
        ["weight", "3"],
        ["limits", "requests_per_minute 500, concurrent_requests 8"],
        ["timeouts", "first_event 1m30s, idle 250ms"],
        ["retries", "at most 0"],
        ["temperature", "0.2 unless said"],
        ["output tokens", "2,000 unless said"],
        ["options", 'flags=[1.0, true], organization="org-1"'],
    ):
        assert line in shown
    assert any(row[0] == "last test" and row[1].startswith("bad key: the key was refused (") for row in shown)
    rows = cells(run("providers", "list").stdout)
    assert "bad_key" in rows[1]
    assert "not tested" in rows[2]


def test_limits_timeouts_and_options_change_one_by_one(fake: FakeGatehouse, run: Run) -> None:
    options = ["--limit-tpm", "90000", "--limit-rpm", "0", "--timeout", "idle=", "--timeout", "total=5m"]
    assert run("providers", "update", "openai", *options, "--option", "flags=", "--option", "project=p").exit_code == 0
    request = fake.last("UpdateProvider").request
    assert (request.provider.etag, list(request.update_mask.paths)) == ("e7", ["limits", "options", "timeouts"])
    limits, timeouts = request.provider.limits, request.provider.timeouts
    assert (limits.requests_per_minute, limits.tokens_per_minute, limits.concurrent_requests) == (0, 90_000, 8)
    assert (timeouts.first_event.seconds, timeouts.HasField("idle"), timeouts.total.seconds) == (90, False, 300)
    assert MessageToDict(request.provider.options) == {"organization": "org-1", "project": "p"}


def test_settings_are_taken_away(fake: FakeGatehouse, run: Run) -> None:
    assert run("providers", "update", "openai", "--unset", "limits", "--unset", "default-for-tasks").exit_code == 0
    request = fake.last("UpdateProvider").request
    assert list(request.update_mask.paths) == ["default_for_tasks", "limits"]
    assert not request.provider.HasField("limits")
    assert [call.method for call in fake.received] == ["UpdateProvider"]
    assert not request.remove_key
    assert run("providers", "update", "openai", "--unset", "key").exit_code == 0
    request = fake.last("UpdateProvider").request
    assert (request.remove_key, list(request.update_mask.paths)) == (True, [])
    assert run("providers", "update", "openai", "--unset", "key", "--key", "k").exit_code == 2
    assert run("providers", "update", "openai", "--unset", "type").exit_code == 2
    both = run("providers", "update", "openai", "--unset", "weight", "--weight", "3")
    assert both.exit_code == 2
    assert "set and unset at once" in told(both)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("--timeout", "first_event"), "is not TIMER=TIME"),
        (("--timeout", "slow=3s"), "timers are connect, first_event, idle, total"),
        (("--timeout", "idle=soon"), "must be a duration"),
        (("--limit-rpm", "-1"), "greater than or equal to 0"),
        (("--option", "organization"), "is NAME=VALUE"),
        (("--option", "api_key=x"), "never a key"),
        (("--option", "x=sk-abcdefghijklmnop1234"), "never a key"),
    ],
)
def test_wrong_settings_are_usage_errors(fake: FakeGatehouse, run: Run, options: tuple[str, ...], text: str) -> None:
    result = run("providers", "update", "openai", *options)
    assert result.exit_code == 2
    assert text in told(result)
    assert "abcdefgh" not in result.output
    assert fake.received == []


def test_what_is_named_is_deleted_only_by_force(fake: FakeGatehouse, run: Run) -> None:
    violations = [
        error_details_pb2.PreconditionFailure.Violation(
            type="ROUTE", subject=f"tenants/acme/routes/{task}", description="names it"
        )
        for task in ("default", "extraction")
    ]
    in_use = error_details_pb2.PreconditionFailure(violations=violations)
    fake.fails(
        "DeleteProvider", failure(grpc.StatusCode.FAILED_PRECONDITION, "it is in use", "PROVIDER_IN_USE", in_use)
    )
    refused = run("providers", "delete", "openai", "--yes")
    assert refused.exit_code == 1
    assert "tenants/acme/routes/extraction: names it" in refused.stderr
    assert "--force" in refused.stderr
    fake.answers["DeleteProvider"] = lambda _: DeleteProviderResponse(
        revision=43, still_named_by=["tenants/acme/routes/default"]
    )
    forced = run("providers", "delete", "openai", "--yes", "--force")
    assert fake.last("DeleteProvider").request.force
    assert "tenants/acme/routes/default still names it: calls pass that place over" in forced.stderr


def test_a_saved_provider_is_tested(fake: FakeGatehouse, run: Run) -> None:
    result = run("providers", "test", "openai", "--model", "gpt-4o-mini")
    assert result.exit_code == 0
    assert cells(result.stdout)[:5] == [
        ["provider", "tenants/acme/providers/openai"],
        ["outcome", "ok"],
        ["found", "it answers"],
        ["took", "210 ms"],
        ["models in its list", "42"],
    ]
    call = fake.last("TestProvider")
    assert call.request.provider == Provider(name=PROVIDER.name)
    assert (call.request.model, call.request.api_key) == ("gpt-4o-mini", b"")
    assert call.seconds_left > 60


@pytest.mark.parametrize("outcome", [value for value in ProviderTestOutcome.values() if value > 1])
def test_a_test_that_finds_something_is_a_failure_with_a_text(fake: FakeGatehouse, run: Run, outcome: int) -> None:
    fake.answers["TestProvider"] = lambda _: Found(test=ProviderTest(outcome=outcome))  # type: ignore[arg-type]
    result = run("providers", "test", "openai")
    assert result.exit_code == 1
    word = ProviderTestOutcome.Name(outcome).removeprefix("PROVIDER_TEST_OUTCOME_").lower().replace("_", " ")  # type: ignore[arg-type]
    rows = cells(result.stdout)
    assert ["outcome", word] in rows
    assert [row for row in rows if row[0] == "found"]
    assert run("providers", "test", "openai", "--json").exit_code == 1


def test_a_provider_is_tested_before_it_is_saved(
    fake: FakeGatehouse, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    unsaved = ("providers", "test", "--type", "openai")
    assert run(*unsaved, "--key-stdin", "--option", "organization=org-1", input="sk-secret\n").exit_code == 0
    request = fake.last("TestProvider").request
    assert (request.provider.name, request.provider.type, request.api_key) == (
        *("tenants/acme/providers/openai", "openai", b"sk-secret"),
    )
    assert MessageToDict(request.provider.options) == {"organization": "org-1"}
    monkeypatch.setenv("MY_KEY", "sk-env")
    assert run(*unsaved, "--from-env", "MY_KEY", "--base-url", "https://x/v1").exit_code == 0
    request = fake.last("TestProvider").request
    assert (request.api_key, request.provider.base_url) == (b"sk-env", "https://x/v1")
    assert run(*unsaved, "--key", "prod", "--owner", "user").exit_code == 0
    request = fake.last("TestProvider").request
    assert (request.provider.key, request.api_key) == ("tenants/acme/users/dev/keys/prod", b"")
    assert run("providers", "test", "--type", "openai_compatible", "--base-url", "http://localhost:8000").exit_code == 0
    assert fake.last("TestProvider").request.provider.name == "tenants/acme/providers/openai-compatible"


@pytest.mark.parametrize(
    "arguments",
    [
        ("openai", "sk-abcdefghijklmnop1234"),
        ("sk-ABCDEFGHIJKLMNOP1234",),
        (),
        ("openai", "--base-url", "https://x"),
        ("openai", "--key-stdin"),
        ("--type", "openai", "--key-stdin", "--key", "k"),
        ("--type", "openai", "--from-env", "NOT_SET_ANYWHERE"),
        ("--type", "openai", "--key-stdin"),
    ],
)
def test_a_test_that_makes_no_sense_is_a_usage_error(fake: FakeGatehouse, run: Run, arguments: tuple[str, ...]) -> None:
    result = run("providers", "test", *arguments, input="")
    assert result.exit_code == 2
    assert "abcdefgh" not in result.output.lower()
    assert fake.received == []


def test_tests_may_not_follow_each_other_at_once(fake: FakeGatehouse, run: Run) -> None:
    soon = error_details_pb2.RetryInfo(retry_delay=Duration(seconds=4))
    fake.fails("TestProvider", failure(grpc.StatusCode.RESOURCE_EXHAUSTED, "tested just now", "TEST_TOO_SOON", soon))
    result = run("providers", "test", "openai")
    assert result.exit_code == 1
    assert "`gatehouse providers get` shows the last result. Try again in 4 s." in result.stderr


def test_versions_and_rollback(fake: FakeGatehouse, run: Run) -> None:
    older = Provider(name=PROVIDER.name, type="openai", priority=100, active=True)
    newer = Provider(
        name=PROVIDER.name, type="openai", priority=10, active=False, options=ParseDict({"organization": "o"}, Struct())
    )
    fake.answers["ListProviderVersions"] = lambda _: ListProviderVersionsResponse(
        versions=[ProviderVersion(version=2, provider=newer), ProviderVersion(version=1, provider=older)]
    )
    rows = cells(run("providers", "versions", "openai").stdout)
    assert rows[1][-1] == "active: true -> false, priority: 100 -> 10, options.organization: o"
    assert run("providers", "rollback", "openai", "1").exit_code == 2
    result = run("providers", "rollback", "openai", "1", "--yes")
    assert result.exit_code == 0
    assert "revision 44" in result.stderr
    assert fake.last("RollbackProvider").request.version == 1
    assert len(json.loads(run("providers", "versions", "openai", "--json").stdout)) == 2


@pytest.mark.parametrize(
    ("key", "reference"), [("tenants/acme/keys/prod", "prod"), ("platform/keys/prod", "platform/keys/prod")]
)
def test_a_failed_test_says_which_command_mends_it(fake: FakeGatehouse, run: Run, key: str, reference: str) -> None:
    bad = ProviderTest(time=NOON, outcome=PROVIDER_TEST_OUTCOME_BAD_KEY, message="it refuses the key")
    fake.answers["TestProvider"] = lambda _: Found(test=bad)
    fake.answers["GetProvider"] = lambda _: GetProviderResponse(provider=Provider(name=PROVIDER.name, key=key))
    result = run("providers", "test", "openai")
    assert result.exit_code == 1
    assert f"gatehouse keys rotate {reference}\n" in result.stderr
