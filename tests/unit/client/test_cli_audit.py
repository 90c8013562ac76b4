from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from gatehouse.cli.output import local_time
from gatehouse.keyvault.v1.audit_service_pb2 import (
    AuditBreak,
    AuditBreakType,
    AuditEvent,
    ExportAuditEventsRequest,
    ExportAuditEventsResponse,
    ListAuditEventsResponse,
    ListKeyUseResponse,
    VerifyAuditLogResponse,
)
from gatehouse.providerconfig.v1 import audit_service_pb2 as of_config

from tests.unit.client.fake_gatehouse import FakeGatehouse, failure
from tests.unit.client.samples import DENIED, KEY, KEY_USE, NOON, ROTATION

Run = Callable[..., Any]

pytestmark = pytest.mark.usefixtures("now")

INTACT = VerifyAuditLogResponse(intact=True, event_count=1_234, anchor_count=4, last_anchor_time=NOON)


@pytest.fixture(autouse=True)
def answers(fake: FakeGatehouse) -> None:
    fake.answers |= {
        "ListAuditEvents": lambda _: ListAuditEventsResponse(events=[DENIED, ROTATION], next_page_token="more"),
        "ExportAuditEvents": exported,
        "VerifyAuditLog": lambda _: INTACT,
        "ListKeyUse": lambda _: ListKeyUseResponse(uses=[KEY_USE] * 2, next_page_token="more"),
    }


def exported(request: ExportAuditEventsRequest) -> Iterator[ExportAuditEventsResponse]:
    for first in (1, 3):
        numbers = [number for number in (first, first + 1) if number > request.after_sequence]
        yield ExportAuditEventsResponse(events=[AuditEvent(sequence=number, hash="ab") for number in numbers])


def cells(text: str) -> list[list[str]]:
    return [re.split(r" {2,}", line.strip()) for line in text.splitlines()]


def test_events_are_listed_newest_first(fake: FakeGatehouse, run: Run) -> None:
    header, denied, rotation = cells(run("audit", "list", "--limit", "2").stdout)
    assert header == ["NO", "TIME", "ACTOR", "ADDRESS", "ACTION", "TARGET", "OUTCOME", "DETAILS"]
    noon = local_time(NOON)
    assert denied == ["2", noon, "tenants/acme/users/bob", "DeleteKey", KEY.name, "denied (PERMISSION_DENIED)"]
    assert rotation == [
        *("1", noon, "tenants/acme/users/ann", "192.0.2.7", "RotateKey", KEY.name, "succeeded"),
        "overlap_s=3600, version=4",
    ]
    request = fake.last("ListAuditEvents").request
    assert (request.parent, request.page_size, len(fake.received)) == ("tenants/acme", 2, 1)
    document = json.loads(run("audit", "list", "--limit", "1", "--json").stdout)
    assert [(each["sequence"], each["outcome"]) for each in document] == [("2", "AUDIT_OUTCOME_DENIED")]


def test_events_are_narrowed_by_the_server(fake: FakeGatehouse, run: Run) -> None:
    fake.answers["ListAuditEvents"] = lambda _: ListAuditEventsResponse()
    options = ["--actor", "ann", "--action", "RotateKey", "--target", "openai", "--outcome", "denied"]
    result = run("audit", "list", *options, "--since", "2h", "--until", "2026-01-31T12:00:00+01:00")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "no such events\n")
    asked = fake.last("ListAuditEvents").request.filter
    assert (asked.actor, asked.action, asked.target) == ("tenants/acme/users/ann", "RotateKey", KEY.name)
    assert asked.outcome == 2
    assert asked.until.ToDatetime(UTC) == datetime(2026, 1, 31, 11, tzinfo=UTC)
    assert timedelta(0) <= datetime.now(UTC) - asked.since.ToDatetime(UTC) - timedelta(hours=2) < timedelta(minutes=5)
    run("audit", "list", "--platform", "--actor", "ops", "--target", "openai")
    request = fake.last("ListAuditEvents").request
    assert (request.parent, request.filter.actor, request.filter.target) == (
        *("platform", "platform/users/ops", "platform/keys/openai"),
    )
    run("audit", "list", "--actor", "services/key-vault", "--target", "tenants/acme")
    asked = fake.last("ListAuditEvents").request.filter
    assert (asked.actor, asked.target, asked.outcome) == ("services/key-vault", "tenants/acme", 0)
    assert not asked.HasField("since")


@pytest.mark.parametrize(
    "options", [("--outcome", "maybe"), ("--since", "yesterday"), ("--until", "2026-13-01"), ("--limit", "0")]
)
def test_wrong_filters_are_usage_errors(fake: FakeGatehouse, run: Run, options: tuple[str, ...]) -> None:
    assert run("audit", "list", *options).exit_code == 2
    assert fake.received == []


def test_an_intact_log_succeeds(fake: FakeGatehouse, run: Run) -> None:
    result = run("audit", "verify")
    assert (result.exit_code, result.stderr) == (0, "")
    assert cells(result.stdout) == [
        ["audit log", "tenants/acme"],
        ["intact", "yes"],
        ["events", "1,234"],
        ["anchors", "4"],
        ["last anchor", f"{local_time(NOON)} (2 h ago)"],
    ]
    assert fake.last("VerifyAuditLog").request.parent == "tenants/acme"
    assert fake.last("VerifyAuditLog").seconds_left > 300
    run("audit", "verify", "--platform")
    assert fake.last("VerifyAuditLog").request.parent == "platform"


def test_a_log_without_anchors_is_intact_but_says_so(fake: FakeGatehouse, run: Run) -> None:
    fake.answers["VerifyAuditLog"] = lambda _: VerifyAuditLogResponse(intact=True, event_count=3)
    result = run("audit", "verify")
    assert result.exit_code == 0
    assert "there is no anchor yet" in result.stderr


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("ALTERED", "the content or hash of event 42 was changed"),
        ("MISSING", "event 42 is missing"),
        ("REORDERED", "event 42 is not in its place: events were moved, or one was put in between"),
        ("TRUNCATED", "the log was cut off: it ends before event 42"),
        ("HEAD_FORGED", "the end of the log, at event 42, does not carry this deployment's seal"),
        ("ANCHOR_MISMATCH", "event 42 is not what a signed anchor says it was: the log was rewritten"),
    ],
)
def test_a_broken_log_fails_loudly_and_names_the_first_break(
    fake: FakeGatehouse, run: Run, kind: str, told: str
) -> None:
    broken = AuditBreak(sequence=42, type=AuditBreakType.Value(f"AUDIT_BREAK_TYPE_{kind}"))
    fake.answers["VerifyAuditLog"] = lambda _: VerifyAuditLogResponse(event_count=99, first_break=broken)
    result = run("audit", "verify")
    assert result.exit_code == 1
    assert ["intact", "NO"] in cells(result.stdout)
    assert result.stderr.splitlines()[:2] == [
        "THE AUDIT LOG OF tenants/acme IS NOT INTACT",
        f"first break: {told}",
    ]
    as_json = run("audit", "verify", "--json")
    assert as_json.exit_code == 1
    assert json.loads(as_json.stdout)["first_break"] == {"sequence": "42", "type": f"AUDIT_BREAK_TYPE_{kind}"}


def test_every_kind_of_break_has_its_text() -> None:
    from gatehouse.cli import audit

    known = {name.removeprefix("AUDIT_BREAK_TYPE_").lower() for name in AuditBreakType.keys()}  # noqa: SIM118 - not a dict
    assert known - {"unspecified"} == set(audit._BREAKS)
    assert audit._broken(AuditBreak(sequence=7)) == "event 7 (unspecified)"


def test_a_verification_that_cannot_be_made_is_no_success(fake: FakeGatehouse, run: Run) -> None:
    fake.fails("VerifyAuditLog", failure(grpc.StatusCode.UNAVAILABLE, "no database", "DATABASE_UNAVAILABLE"))
    result = run("audit", "verify")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "NOT INTACT" not in result.stderr


def test_an_export_is_one_json_object_a_line(fake: FakeGatehouse, run: Run) -> None:
    result = run("audit", "export")
    assert result.exit_code == 0
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(line["sequence"], line["hash"]) for line in lines] == [(str(number), "ab") for number in (1, 2, 3, 4)]
    assert result.stderr == "exported 4 events of tenants/acme; what comes later: --after 4\n"
    later = run("audit", "export", "--after", "3", "--platform")
    assert [json.loads(line)["sequence"] for line in later.stdout.splitlines()] == ["4"]
    assert later.stderr == "exported 1 event of platform; what comes later: --after 4\n"
    assert run("audit", "export", "--after", "9").stderr.endswith(
        "0 events of tenants/acme; what comes later: --after 9\n"
    )
    assert run("audit", "export", "--after", "-1").exit_code == 2


def test_an_export_goes_to_a_new_file_that_others_cannot_read(fake: FakeGatehouse, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "acme.jsonl"
    result = run("audit", "export", "--output", str(file))
    assert (result.exit_code, result.stdout) == (0, "")
    assert len(file.read_text().splitlines()) == 4
    assert file.stat().st_mode & 0o777 == 0o600
    file.write_text("precious")
    fake.received.clear()
    again = run("audit", "export", "--output", str(file))
    assert again.exit_code == 2
    assert "exists: choose another name" in re.sub(r"[│\s]+", " ", again.stderr)
    assert (file.read_text(), fake.received) == ("precious", [])
    assert run("audit", "export", "--output", str(tmp_path / "no" / "x")).exit_code == 2


def test_a_broken_export_leaves_no_file_behind(fake: FakeGatehouse, run: Run, tmp_path: Path) -> None:
    def answer(_: object) -> Iterator[ExportAuditEventsResponse]:
        yield ExportAuditEventsResponse(events=[AuditEvent(sequence=1)])
        raise failure(grpc.StatusCode.UNAVAILABLE, "the database went away", "DATABASE_UNAVAILABLE")

    fake.answers["ExportAuditEvents"] = answer
    before = set(tmp_path.iterdir())
    result = run("audit", "export", "--output", str(tmp_path / "acme.jsonl"))
    assert result.exit_code == 1
    assert "the database went away" in result.stderr
    assert set(tmp_path.iterdir()) == before


def test_a_long_export_tells_how_far_it_is(fake: FakeGatehouse, run: Run, tmp_path: Path) -> None:
    part = ExportAuditEventsResponse(events=[AuditEvent(sequence=1)] * 500)
    fake.answers["ExportAuditEvents"] = lambda _: (part for _ in range(41))
    result = run("audit", "export", "--output", str(tmp_path / "acme.jsonl"))
    assert result.stderr.splitlines()[:-1] == ["exported: 10,000", "exported: 20,000"]


def test_key_use_is_listed_for_a_tenant_the_platform_or_one_key(fake: FakeGatehouse, run: Run) -> None:
    header, row, _ = cells(run("audit", "key-use", "--limit", "2").stdout)
    assert header == ["HOUR", "KEY", "VERSION", "SERVICE", "OPENED", "LAST VAULT REQUEST"]
    assert row == [local_time(NOON), KEY.name, "3", "router", "12,345", "v-1"]
    assert len(fake.received) == 1
    parents = {
        (): "tenants/acme",
        ("--platform",): "platform",
        ("openai",): KEY.name,
        ("openai", "--platform"): "platform/keys/openai",
        ("tenants/acme/users/ann/keys/mine",): "tenants/acme/users/ann/keys/mine",
    }
    for arguments, parent in parents.items():
        run("audit", "key-use", *arguments, "--limit", "2")
        assert fake.last("ListKeyUse").request.parent == parent
    run("audit", "key-use", "--since", "24h", "--limit", "2")
    assert fake.last("ListKeyUse").request.HasField("since")
    fake.answers["ListKeyUse"] = lambda _: ListKeyUseResponse()
    assert run("audit", "key-use", "openai").stderr == f"no use of {KEY.name}\n"
    assert run("audit", "key-use", "tenants/acme/providers/p").exit_code == 2


CHANGED = of_config.AuditEvent(
    sequence=7,
    time=NOON,
    actor="tenants/acme/users/ann",
    address="192.0.2.7",
    action="UpdateRoute",
    target="tenants/acme/routes/extraction",
    outcome=of_config.AUDIT_OUTCOME_SUCCEEDED,
    details={"version": "3", "fields": "strategy,targets"},
)


@pytest.fixture
def both(fake: FakeGatehouse) -> None:
    """Answers of the configuration's log beside those of the keys'."""
    fake.answers |= {
        "providerconfig.ListAuditEvents": lambda _: of_config.ListAuditEventsResponse(events=[CHANGED]),
        "providerconfig.VerifyAuditLog": lambda _: of_config.VerifyAuditLogResponse(intact=True, event_count=12),
        "providerconfig.ExportAuditEvents": lambda _: iter([of_config.ExportAuditEventsResponse(events=[CHANGED])]),
    }


@pytest.mark.usefixtures("both")
def test_the_configurations_log_is_listed_when_asked_for(fake: FakeGatehouse, run: Run) -> None:
    _, row = cells(run("audit", "list", "--of", "config", "--target", "routes/extraction").stdout)
    assert row == [
        *("7", local_time(NOON), "tenants/acme/users/ann", "192.0.2.7", "UpdateRoute"),
        *("tenants/acme/routes/extraction", "succeeded", "fields=strategy,targets, version=3"),
    ]
    call = fake.last("ListAuditEvents")
    assert (call.area, call.request.filter.target) == ("providerconfig", "tenants/acme/routes/extraction")
    run("audit", "list", "--of", "config", "--target", "openai", "--outcome", "denied")
    asked = fake.last("ListAuditEvents").request.filter
    assert (asked.target, asked.outcome) == ("tenants/acme/providers/openai", of_config.AUDIT_OUTCOME_DENIED)
    run("audit", "list", "--limit", "1")
    assert fake.last("ListAuditEvents").area == "keyvault"
    assert run("audit", "list", "--of", "both").exit_code == 2


@pytest.mark.usefixtures("both")
def test_the_configurations_log_is_verified_without_anchors(fake: FakeGatehouse, run: Run) -> None:
    result = run("audit", "verify", "--of", "config")
    assert (result.exit_code, result.stderr) == (0, "")
    assert cells(result.stdout) == [
        ["audit log", "tenants/acme (configuration)"],
        ["intact", "yes"],
        ["events", "12"],
    ]
    broken = of_config.VerifyAuditLogResponse(
        first_break=of_config.AuditBreak(sequence=5, type=of_config.AUDIT_BREAK_TYPE_TRUNCATED)
    )
    fake.answers["providerconfig.VerifyAuditLog"] = lambda _: broken
    alarm = run("audit", "verify", "--of", "config")
    assert alarm.exit_code == 1
    assert "THE AUDIT LOG OF tenants/acme (configuration) IS NOT INTACT" in alarm.stderr
    assert "it ends before event 5" in alarm.stderr


def test_every_break_of_the_configurations_log_has_its_text() -> None:
    from gatehouse.cli import audit

    kinds = {name.removeprefix("AUDIT_BREAK_TYPE_").lower() for name in of_config.AuditBreakType.keys()}  # noqa: SIM118 - not a dict
    assert kinds - {"unspecified"} <= set(audit._BREAKS)


@pytest.mark.usefixtures("both")
def test_the_configurations_log_is_exported(run: Run) -> None:
    result = run("audit", "export", "--of", "config")
    assert json.loads(result.stdout)["action"] == "UpdateRoute"
    assert "exported 1 event of tenants/acme (configuration)" in result.stderr
