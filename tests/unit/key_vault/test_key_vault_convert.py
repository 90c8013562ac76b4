"""Between messages and the domain: what the router asks and reports, and what everybody is shown."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from gatehouse.keyvault.v1 import key_access_service_pb2 as access_pb
from gatehouse.keyvault.v1 import key_pb2
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from libs.core.errors import GatehouseError, InvalidArgument
from libs.core.resource_names import KeyName
from libs.core.secret import Secret
from libs.core.validation import FieldChecks
from libs.rpc.status import from_item_status
from libs.rpc.times import time_of, timestamp
from services.key_vault.api import convert
from services.key_vault.domain.access_keys import KeyAccess
from services.key_vault.domain.errors import origin_mismatch
from services.key_vault.domain.key import (
    Condition,
    Key,
    KeyState,
    KeyStatus,
    KeyVersion,
    OpenedKey,
    VaultSecretRef,
)
from services.key_vault.domain.key_outcome import KeyNotification, KeyOutcome, NotificationType
from services.key_vault.domain.rewrap_run import RewrapRun

NAME = KeyName.parse("platform/keys/x")
NOW = datetime(2026, 1, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)


def key_of(*versions: KeyVersion, **changes: object) -> Key:
    key = Key(
        name=NAME,
        uid="u",
        revision=1,
        provider_type="openai",
        origin="https://api.openai.com:443",
        display_name="X",
        labels={"a": "b"},
        state=KeyState.ACTIVE,
        version=versions[0].number,
        last_version=versions[0].number,
        versions=versions,
        create_time=NOW,
        update_time=NOW,
    )
    return replace(key, **changes)  # type: ignore[arg-type]


def version(number: int, **changes: object) -> KeyVersion:
    plain = KeyVersion(number=number, mask=f"…678{number}", fingerprint=f"f{number}", create_time=NOW)
    return replace(plain, **changes)  # type: ignore[arg-type]


def access(**changes: object) -> access_pb.KeyAccess:
    values: dict[str, object] = {
        "name": "platform/keys/x",
        "origin": "https://API.openai.com/v1",
        "caller_token": b"token",
        "purpose": access_pb.KEY_PURPOSE_GENERATE,
    }
    return access_pb.KeyAccess(**(values | changes))  # type: ignore[arg-type]


def report(**changes: object) -> access_pb.KeyOutcome:
    values: dict[str, object] = {"name": "platform/keys/x", "version": 1, "last_use_time": timestamp(NOW)}
    return access_pb.KeyOutcome(**(values | changes))  # type: ignore[arg-type]


def wrong_reports(*outcomes: access_pb.KeyOutcome) -> list[str]:
    with pytest.raises(InvalidArgument) as caught:
        convert.key_outcomes(access_pb.ReportKeyOutcomesRequest(outcomes=outcomes))
    return [violation.field for violation in caught.value.field_violations]


@pytest.mark.parametrize("count", [0, 257])
def test_a_batch_of_no_or_too_many_items_is_refused_as_a_whole(count: int) -> None:
    request = access_pb.AccessKeysRequest(items=[access_pb.KeyAccess()] * count)
    with pytest.raises(InvalidArgument, match="items"):
        convert.key_accesses(request, "router")


def test_a_malformed_item_is_an_error_of_its_own() -> None:
    items = convert.key_accesses(
        access_pb.AccessKeysRequest(
            items=[
                access(name="tenants/../keys/x"),
                access(),
                access(origin="nowhere"),
                access(purpose=access_pb.KEY_PURPOSE_UNSPECIFIED),
                access(version=-1),
                access(version=3, purpose=access_pb.KEY_PURPOSE_PROBE),
            ]
        ),
        "router",
    )
    good = KeyAccess(name=NAME, origin="https://api.openai.com:443", caller_token=b"token", service="router")
    assert (items[1], items[5]) == (good, replace(good, version=3, probe=True))
    errors = [item for item in items if isinstance(item, GatehouseError)]
    assert [error.metadata["field"] for error in errors] == [
        "items[0].name",
        "items[2].origin",
        "items[3].purpose",
        "items[4].version",
    ]


def test_results_carry_material_or_the_reason() -> None:
    response = convert.access_response(
        [
            OpenedKey(material=Secret(b"sk-1"), version=3, fallback_version=2),
            origin_mismatch(NAME, "https://e.example:443"),
        ],
        domain="d",
    )
    opened, failed = response.results
    assert (opened.material.api_key, opened.material.version, opened.material.fallback_version) == (b"sk-1", 3, 2)
    error = from_item_status(failed.error)
    assert (error.reason, error.domain) == ("ORIGIN_MISMATCH", "d")
    assert error.metadata == {"name": "platform/keys/x", "origin": "https://e.example:443"}


def test_a_report_becomes_an_outcome() -> None:
    full = report(
        version=7,
        last_success_time=timestamp(NOW + HOUR),
        last_rejection_time=timestamp(NOW + 2 * HOUR),
        last_exhaustion_time=timestamp(NOW + 3 * HOUR),
    )
    assert convert.key_outcomes(access_pb.ReportKeyOutcomesRequest(outcomes=[report(), full])) == [
        KeyOutcome(name=NAME, version=1, last_use_time=NOW),
        KeyOutcome(
            name=NAME,
            version=7,
            last_use_time=NOW,
            last_success_time=NOW + HOUR,
            last_rejection_time=NOW + 2 * HOUR,
            last_exhaustion_time=NOW + 3 * HOUR,
        ),
    ]


def test_every_wrong_field_of_a_report_is_named() -> None:
    too_late = Timestamp(seconds=253_402_300_800)
    assert wrong_reports(
        report(),
        access_pb.KeyOutcome(name="x"),
        report(version=-1, last_success_time=too_late, last_rejection_time=too_late, last_exhaustion_time=too_late),
    ) == [
        "outcomes[1].name",
        "outcomes[1].version",
        "outcomes[1].last_use_time",
        "outcomes[2].version",
        "outcomes[2].last_success_time",
        "outcomes[2].last_rejection_time",
        "outcomes[2].last_exhaustion_time",
    ]


def test_no_report_at_all_and_too_many_are_refused() -> None:
    assert wrong_reports() == ["outcomes"]
    assert wrong_reports(*[report()] * 1001) == ["outcomes"]


def test_a_key_message_holds_the_metadata() -> None:
    key = key_of(version(1))
    message = convert.key_message(key, NOW)
    assert message.create_time.ToDatetime(UTC) == NOW
    assert not message.HasField("rotate_time")
    assert not message.HasField("vault_secret")
    assert (message.state, message.etag, dict(message.labels)) == (key_pb2.KEY_STATE_ACTIVE, key.etag, {"a": "b"})
    assert (message.name, message.uid, message.provider_type, message.origin, message.display_name) == (
        "platform/keys/x",
        "u",
        "openai",
        "https://api.openai.com:443",
        "X",
    )
    assert (message.mask, message.fingerprint, message.version) == ("…6781", "f1", 1)


def test_a_key_message_tells_every_version_and_its_state_at_the_time() -> None:
    key = key_of(
        version(4, vault_secret=VaultSecretRef("acme-openai", 2)),
        version(3, usable_until=NOW + HOUR, overlaps=True),
        version(2, usable_until=NOW),
        version(1, usable_until=NOW, destroy_time=NOW),
        state=KeyState.DISABLED,
        rotate_time=NOW,
    )
    message = convert.key_message(key, NOW)
    assert [(each.version, each.state) for each in message.versions] == [
        (4, key_pb2.KEY_VERSION_STATE_CURRENT),
        (3, key_pb2.KEY_VERSION_STATE_OVERLAPPING),
        (2, key_pb2.KEY_VERSION_STATE_RETIRED),
        (1, key_pb2.KEY_VERSION_STATE_DESTROYED),
    ]
    assert [each.HasField("retire_time") for each in message.versions] == [False, True, True, True]
    assert [each.HasField("destroy_time") for each in message.versions] == [False, False, False, True]
    assert message.versions[1].retire_time.ToDatetime(UTC) == NOW + HOUR
    assert message.vault_secret == message.versions[0].vault_secret == key_pb2.VaultSecret(id="acme-openai", version=2)
    assert (message.state, message.rotate_time.ToDatetime(UTC)) == (key_pb2.KEY_STATE_DISABLED, NOW)
    later = convert.key_message(key, NOW + HOUR)
    assert later.versions[1].state == key_pb2.KEY_VERSION_STATE_RETIRED


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (Condition.UNKNOWN, key_pb2.KEY_CONDITION_UNSPECIFIED),
        (Condition.WORKING, key_pb2.KEY_CONDITION_WORKING),
        (Condition.REJECTED, key_pb2.KEY_CONDITION_REJECTED),
        (Condition.EXHAUSTED, key_pb2.KEY_CONDITION_EXHAUSTED),
    ],
)
def test_a_key_message_tells_how_providers_take_the_key(condition: Condition, expected: int) -> None:
    status = KeyStatus(
        condition=condition,
        condition_time=NOW,
        last_use_time=NOW + HOUR,
        last_success_time=NOW + 2 * HOUR,
        last_rejection_time=NOW + 3 * HOUR,
    )
    message = convert.key_message(key_of(version(1), status=status), NOW).status
    assert message == key_pb2.KeyStatus(
        condition=expected,  # type: ignore[arg-type]
        condition_time=timestamp(NOW),
        last_use_time=timestamp(NOW + HOUR),
        last_success_time=timestamp(NOW + 2 * HOUR),
        last_rejection_time=timestamp(NOW + 3 * HOUR),
    )
    assert not message.HasField("last_exhaustion_time")


@pytest.mark.parametrize("type_", NotificationType)
def test_a_notification_message_says_what_happened_to_which_version(type_: NotificationType) -> None:
    notification = KeyNotification(uid="n", key=NAME, version=3, type=type_, create_time=NOW)
    message = convert.notification_message(notification)
    assert message == key_pb2.KeyNotification(
        uid="n", key="platform/keys/x", version=3, type=message.type, create_time=timestamp(NOW)
    )
    assert key_pb2.KeyNotificationType.Name(message.type) == f"KEY_NOTIFICATION_TYPE_{type_.name}"


def test_the_progress_of_rewrapping_is_told_and_none_when_there_is_none() -> None:
    run = RewrapRun(uid="r", sealing_key_version=3, total=10, remaining=4, failed=1, start_time=NOW)
    message = convert.rewrap_progress(run)
    assert message is not None
    assert (message.sealing_key_version, message.total_count, message.remaining_count, message.failed_count) == (
        3,
        10,
        4,
        1,
    )
    assert (message.start_time.ToDatetime(UTC), message.HasField("end_time")) == (NOW, False)
    ended = convert.rewrap_progress(replace(run, end_time=NOW + HOUR))
    assert ended is not None
    assert ended.end_time.ToDatetime(UTC) == NOW + HOUR
    assert convert.rewrap_progress(None) is None


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_time_travels_to_the_microsecond(time: datetime) -> None:
    with FieldChecks() as check:
        assert time_of(check, "since", timestamp(time) or Timestamp()) == time


def test_a_time_is_cut_to_microseconds_and_no_time_stays_none() -> None:
    with FieldChecks() as check:
        assert time_of(check, "since", Timestamp(seconds=1, nanos=1_999)) == datetime(1970, 1, 1, 0, 0, 1, 1, UTC)
    assert timestamp(None) is None


@pytest.mark.parametrize(
    ("seconds", "nanos"),
    [
        (-62_135_596_801, 0),
        (253_402_300_800, 0),
        (2**63 - 1, 0),
        (-(2**63), 0),
        (0, -1),
        (0, 1_000_000_000),
        (0, 2**31 - 1),
    ],
)
def test_what_is_no_time_is_named(seconds: int, nanos: int) -> None:
    with (
        pytest.raises(InvalidArgument, match="since is not a time between the years 1 and 9999"),
        FieldChecks() as check,
    ):
        time_of(check, "since", Timestamp(seconds=seconds, nanos=nanos))


@pytest.mark.parametrize(("seconds", "nanos", "year"), [(-62_135_596_800, 0, 1), (253_402_300_799, 999_999_999, 9999)])
def test_the_first_and_the_last_time_are_times(seconds: int, nanos: int, year: int) -> None:
    with FieldChecks() as check:
        assert time_of(check, "since", Timestamp(seconds=seconds, nanos=nanos)).year == year
