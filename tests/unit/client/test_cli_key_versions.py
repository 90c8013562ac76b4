from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from gatehouse.cli.output import local_time
from gatehouse.keyvault.v1.key_pb2 import KEY_STATE_DISABLED, KEY_VERSION_STATE_OVERLAPPING, Key
from gatehouse.keyvault.v1.key_service_pb2 import (
    DestroyKeyVersionResponse,
    GetKeyRequest,
    GetKeyResponse,
    RollbackKeyResponse,
    RotateKeyRequest,
    RotateKeyResponse,
)

from tests.unit.client.fake_gatehouse import FakeGatehouse, failure
from tests.unit.client.samples import KEY, from_now, rotated_key

Run = Callable[..., Any]
CANARY = "sk-proj-CANARY0123456789"

pytestmark = pytest.mark.usefixtures("now")


@pytest.fixture(autouse=True)
def answers(fake: FakeGatehouse) -> None:
    fake.answers |= {
        "GetKey": lambda _: GetKeyResponse(key=KEY),
        "RotateKey": rotated,
        "RollbackKey": lambda _: RollbackKeyResponse(key=KEY),
        "DestroyKeyVersion": lambda _: DestroyKeyVersionResponse(key=KEY),
    }


def rotated(request: RotateKeyRequest) -> RotateKeyResponse:
    return RotateKeyResponse(key=rotated_key(overlap=request.overlap.seconds))


def rotations(fake: FakeGatehouse) -> list[Any]:
    return [call.request for call in fake.received if call.method == "RotateKey"]


def methods(fake: FakeGatehouse) -> list[str]:
    return [call.method for call in fake.received]


@pytest.mark.usefixtures("terminal")
def test_rotate_shows_what_will_happen_before_it_asks(fake: FakeGatehouse, run: Run) -> None:
    result = run("keys", "rotate", "openai", input=f"{CANARY}\nn\n")
    assert result.exit_code == 1
    until = local_time(from_now(3_600))
    for line in (
        "key         tenants/acme/keys/openai (openai, https://api.openai.com)",
        "now         version 3  …a1b2",
        "afterwards  version 4  …9f8e",
        f"version 3   stays usable until {until} (in 1 h), but only for calls whose provider refuses version 4",
        "Rotate tenants/acme/keys/openai? [y/N]:Aborted.",
    ):
        assert line in result.stderr.replace("API key (not shown):", "").splitlines()
    assert [request.validate_only for request in rotations(fake)] == [True]
    assert CANARY not in result.output


@pytest.mark.usefixtures("terminal")
def test_rotate_does_what_it_has_shown(fake: FakeGatehouse, run: Run) -> None:
    result = run("keys", "rotate", "openai", input=f"{CANARY}\ny\n")
    assert result.exit_code == 0
    asked, done = rotations(fake)
    assert (asked.validate_only, done.validate_only) == (True, False)
    assert (asked.request_id, uuid.UUID(done.request_id).version) == ("", 4)
    for request in (asked, done):
        assert (request.name, request.api_key, request.etag) == (KEY.name, CANARY.encode(), "e1")
        assert request.overlap.seconds == 3_600
    assert "overlapping" in result.stdout
    assert f"revoke the old key at its provider after {local_time(from_now(3_600))}" in result.stderr
    assert "take this back with: gatehouse keys rollback openai 3" in result.stderr
    assert CANARY not in result.output


def test_rotate_without_an_overlap_says_that_the_old_key_ends_at_once(fake: FakeGatehouse, run: Run) -> None:
    result = run("keys", "rotate", "openai", "--overlap", "0", "--yes", input=CANARY)
    assert result.exit_code == 0
    assert "version 3   stops being usable at once" in result.stderr
    assert "revoke the old key at its provider now" in result.stderr
    assert [request.overlap.seconds for request in rotations(fake)] == [0, 0]


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("15m", 900), ("1h", 3_600), ("2d", 172_800), ("0", 0), ("0s", 0)]
)
def test_overlaps_are_read(fake: FakeGatehouse, run: Run, text: str, seconds: int) -> None:
    assert run("keys", "rotate", "openai", "--overlap", text, "--yes", input=CANARY).exit_code == 0
    assert rotations(fake)[-1].overlap.seconds == seconds


@pytest.mark.parametrize("text", ["soon", "", "1", "-1h", "1w", "1.5h", "00"])
def test_an_unknown_overlap_is_a_usage_error_before_the_key_is_read(
    fake: FakeGatehouse, run: Run, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setattr("gatehouse.cli.key_versions.read_material", lambda *_: pytest.fail("the key was read"))
    result = run("keys", "rotate", "openai", "--overlap", text, "--yes", input=CANARY)
    assert result.exit_code == 2
    assert "is not a duration such as" in result.stderr
    assert fake.received == []


def test_every_version_that_stops_being_usable_is_named(fake: FakeGatehouse, run: Run) -> None:
    before = Key()
    before.CopyFrom(KEY)
    before.versions[1].state = KEY_VERSION_STATE_OVERLAPPING
    fake.answers["GetKey"] = lambda _: GetKeyResponse(key=before)
    result = run("keys", "rotate", "openai", "--dry-run", "--overlap", "0", input=CANARY)
    assert result.stdout.splitlines()[3:] == [
        "version 3   stops being usable at once",
        "version 2   stops being usable at once",
    ]


def test_a_dry_run_changes_nothing_and_asks_nobody(fake: FakeGatehouse, run: Run) -> None:
    result = run("keys", "rotate", "openai", "--dry-run", input=CANARY)
    assert result.exit_code == 0
    assert "afterwards  version 4  …9f8e" in result.stdout.splitlines()
    assert result.stderr == "nothing was changed\n"
    assert [request.validate_only for request in rotations(fake)] == [True]
    document = json.loads(run("keys", "rotate", "openai", "--dry-run", "--json", input=CANARY).stdout)
    assert document["key"]["version"] == 4


def test_rotate_says_that_a_disabled_key_stays_disabled(fake: FakeGatehouse, run: Run) -> None:
    disabled = Key()
    disabled.CopyFrom(KEY)
    disabled.state = KEY_STATE_DISABLED
    fake.answers["GetKey"] = lambda _: GetKeyResponse(key=disabled)
    plan = run("keys", "rotate", "openai", "--dry-run", input=CANARY).stdout
    assert "state       disabled, and stays so until: gatehouse keys enable" in plan.splitlines()


@pytest.mark.usefixtures("terminal")
def test_rotate_says_where_else_the_new_key_is_before_it_is_used(fake: FakeGatehouse, run: Run) -> None:
    fake.answers["RotateKey"] = lambda request: RotateKeyResponse(
        key=rotated_key(overlap=0), duplicate_keys=["tenants/acme/keys/b"]
    )
    for result in (
        run("keys", "rotate", "openai", "--dry-run", input=f"{CANARY}\n"),
        run("keys", "rotate", "openai", input=f"{CANARY}\nn\n"),
    ):
        assert "stored elsewhere as well: tenants/acme/keys/b." in result.stderr
    assert [request.validate_only for request in rotations(fake)] == [True, True]


def test_rotate_prints_the_json_of_the_api(fake: FakeGatehouse, run: Run) -> None:
    document = json.loads(run("keys", "rotate", "openai", "--yes", "--json", input=CANARY).stdout)
    assert (document["key"]["version"], document["hidden_duplicate_count"]) == (4, 0)


def test_rotate_takes_a_vault_secret_in_place_of_the_key(fake: FakeGatehouse, run: Run) -> None:
    assert run("keys", "rotate", "openai", "--vault-secret", "acme-openai@4", "--yes").exit_code == 0
    request = rotations(fake)[-1]
    assert (request.api_key, request.vault_secret.id, request.vault_secret.version) == (b"", "acme-openai", 4)


def test_rotate_needs_somebody_to_ask_and_a_key(fake: FakeGatehouse, run: Run) -> None:
    unasked = run("keys", "rotate", "openai", input=CANARY)
    assert unasked.exit_code == 2
    assert "nobody is there to confirm: add --yes" in unasked.stderr
    nothing = run("keys", "rotate", "openai", "--yes", input="")
    assert nothing.exit_code == 2
    assert "standard input is empty" in nothing.stderr
    assert rotations(fake) == []


def test_a_wrong_name_is_told_before_the_key_is_asked_for(fake: FakeGatehouse, run: Run) -> None:
    def missing(_: GetKeyRequest) -> GetKeyResponse:
        raise failure(grpc.StatusCode.NOT_FOUND, "no such key", "KEY_NOT_FOUND")

    fake.answers["GetKey"] = missing
    result = run("keys", "rotate", "nope", "--yes", input="")
    assert result.exit_code == 1
    assert "no such key" in result.stderr
    assert "standard input" not in result.stderr


def test_a_change_in_between_is_told_and_nothing_is_done(fake: FakeGatehouse, run: Run) -> None:
    def answer(request: RotateKeyRequest) -> RotateKeyResponse:
        if request.validate_only:
            return rotated(request)
        raise failure(grpc.StatusCode.ABORTED, f"{KEY.name} changed since the etag was read", "ETAG_MISMATCH")

    fake.answers["RotateKey"] = answer
    result = run("keys", "rotate", "openai", "--yes", input=CANARY)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "Somebody else changed it in between, and nothing was done: look at it again" in result.stderr
    assert len(rotations(fake)) == 2


def test_a_refused_rotation_is_not_asked_about(fake: FakeGatehouse, run: Run) -> None:
    fake.fails("RotateKey", failure(grpc.StatusCode.FAILED_PRECONDITION, "in use already", "KEY_UNCHANGED"))
    result = run("keys", "rotate", "openai", "--yes", input=CANARY)
    assert result.exit_code == 1
    assert "make a new one at the provider" in result.stderr
    assert [request.validate_only for request in rotations(fake)] == [True]


@pytest.mark.usefixtures("terminal")
def test_rollback_shows_both_versions_and_asks(fake: FakeGatehouse, run: Run) -> None:
    result = run("keys", "rollback", "openai", "2", input="n\n")
    assert result.exit_code == 1
    assert "version 3 (…a1b2) is in use and stops being usable at once" in result.stderr
    assert "Put version 2 (…c3d4, retired) of tenants/acme/keys/openai in its place?" in result.stderr
    assert methods(fake) == ["GetKey"]
    result = run("keys", "rollback", "openai", "2", input="y\n")
    assert result.exit_code == 0
    assert "version 2 is in use" in result.stderr
    request = fake.last("RollbackKey").request
    assert (request.name, request.version, request.etag) == (KEY.name, 2, "e1")
    assert uuid.UUID(request.request_id).version == 4


@pytest.mark.usefixtures("terminal")
def test_destroying_a_version_is_said_to_be_for_ever(fake: FakeGatehouse, run: Run) -> None:
    overlapping = rotated_key(overlap=5_400)
    fake.answers["GetKey"] = lambda _: GetKeyResponse(key=overlapping)
    result = run("keys", "destroy-version", "openai", "3", input="n\n")
    assert result.exit_code == 1
    assert (
        f"Destroy version 3 (…a1b2, overlapping until {local_time(from_now(5_400))} (in 1 h 30 min)) of "
        "tenants/acme/keys/openai for ever? Nothing brings it back. [y/N]:" in result.stderr
    )
    assert methods(fake) == ["GetKey"]
    run("keys", "destroy-version", "openai", "3", input="y\n")
    request = fake.last("DestroyKeyVersion").request
    assert (request.name, request.version, request.etag) == (KEY.name, 3, overlapping.etag)


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize("command", ["rollback", "destroy-version"])
@pytest.mark.parametrize(("version", "why"), [("99", "has no version 99"), ("4", "is the one in use")])
def test_nobody_is_asked_about_a_version_that_cannot_be_meant(
    fake: FakeGatehouse, run: Run, command: str, version: str, why: str
) -> None:
    fake.answers["GetKey"] = lambda _: GetKeyResponse(key=rotated_key(overlap=5_400))
    result = run("keys", command, "openai", version, input="y\n")
    assert result.exit_code == 2
    assert why in " ".join(result.stderr.replace("│", " ").split())
    assert methods(fake) == ["GetKey"]


@pytest.mark.parametrize("command", ["rollback", "destroy-version"])
def test_versions_are_numbers_and_somebody_must_agree(fake: FakeGatehouse, run: Run, command: str) -> None:
    for wrong in ("two", "0", "-1", "1.5", "٣", "9999999999"):
        result = run("keys", command, "openai", "--yes", "--", wrong)
        assert result.exit_code == 2
        assert "a version is a number from 1" in result.stderr
    assert "add --yes" in run("keys", command, "openai", "2", input="").stderr
    assert fake.received == []
    assert run("keys", command, "openai", "2", "--yes").exit_code == 0
    assert len(fake.received) == 1
    assert json.loads(run("keys", command, "openai", "2", "--yes", "--json").stdout)["name"] == KEY.name
