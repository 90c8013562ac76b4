from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from gatehouse.cli.output import local_time
from gatehouse.keyvault.v1.key_pb2 import Key, KeyNotification
from gatehouse.keyvault.v1.key_service_pb2 import (
    CreateKeyResponse,
    DisableKeyResponse,
    EnableKeyResponse,
    GetKeyResponse,
    ListKeyNotificationsResponse,
    ListKeysResponse,
    UpdateKeyResponse,
)
from gatehouse.providerconfig.v1.provider_service_pb2 import ListProviderTypesResponse

from tests.unit.client.fake_gatehouse import FakeGatehouse, failure
from tests.unit.client.samples import KEY, LENT_KEY, NOON, TYPES, rotated_key

Run = Callable[..., Any]
CANARY = "sk-proj-CANARY0123456789"

pytestmark = pytest.mark.usefixtures("now")


@pytest.fixture(autouse=True)
def answers(fake: FakeGatehouse) -> None:
    fake.answers |= {
        "ListProviderTypes": lambda _: ListProviderTypesResponse(provider_types=TYPES),
        "CreateKey": lambda _: CreateKeyResponse(key=KEY),
        "GetKey": lambda _: GetKeyResponse(key=KEY),
        "ListKeys": lambda _: ListKeysResponse(keys=[KEY]),
        "UpdateKey": lambda _: UpdateKeyResponse(key=KEY),
        "DisableKey": lambda _: DisableKeyResponse(key=KEY),
        "EnableKey": lambda _: EnableKeyResponse(key=KEY),
    }


def methods(fake: FakeGatehouse) -> list[str]:
    return [call.method for call in fake.received]


def test_create_reads_the_key_from_a_pipe_and_the_origin_from_the_type(fake: FakeGatehouse, run: Run) -> None:
    result = run("keys", "create", "openai", "--type", "openai", "--label", "team=ml", input=f"{CANARY}\n")
    assert result.exit_code == 0
    request = fake.last("CreateKey").request
    assert (request.parent, request.key_id, request.api_key) == ("tenants/acme", "openai", CANARY.encode())
    assert (request.key.provider_type, request.key.origin) == ("openai", "https://api.openai.com")
    assert dict(request.key.labels) == {"team": "ml"}
    assert "…a1b2" in result.stdout
    assert CANARY not in result.output


def test_create_reads_the_key_from_a_variable(fake: FakeGatehouse, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", CANARY)
    options = ["--type", "openai_compatible", "--origin", "http://localhost:8000", "--from-env", "MY_KEY"]
    result = run("keys", "create", "k", *options, "--owner", "user", "--user", "ann")
    assert result.exit_code == 0
    assert "--key k --owner user" in " ".join(result.stderr.split()), "the provider has to be the user's too"
    request = fake.last("CreateKey").request
    assert (request.parent, request.key.origin) == ("tenants/acme/users/ann", "http://localhost:8000")
    assert request.api_key == CANARY.encode()
    assert methods(fake) == ["CreateKey"]


@pytest.mark.usefixtures("terminal")
def test_create_asks_for_the_key_without_showing_it(fake: FakeGatehouse, run: Run) -> None:
    result = run("keys", "create", "openai", "--type", "openai", input=f"{CANARY}\n")
    assert result.exit_code == 0
    assert "API key (not shown)" in result.stderr
    assert fake.last("CreateKey").request.api_key == CANARY.encode()
    assert CANARY not in result.output


@pytest.mark.parametrize(
    "arguments",
    [
        ("create", "openai", CANARY, "--type", "openai"),
        ("create", CANARY, "--type", "openai"),
        ("create", f"tenants/acme/keys/{CANARY}", "--type", "openai"),
        ("create", f"{CANARY}/x", "--type", "openai"),
        ("create", "openai", "--type", "openai", "--from-env", CANARY),
        ("create", "openai", "--type", "openai", f"--api-key={CANARY}"),
        ("create", "openai", "--type", "openai", "--key", CANARY),
        ("create", "openai", "--type", "openai", "--vault-secret", CANARY),
        ("create", "openai", "--type", "openai", "--vault-secret", f"acme@{CANARY}"),
        ("rotate", "openai", CANARY, "--yes"),
        ("rotate", CANARY, "--yes"),
        ("rotate", "openai", "--yes", "--vault-secret", CANARY),
        ("rotate", "openai", "--yes", "--from-env", CANARY),
        ("rollback", "openai", CANARY, "--yes"),
        ("destroy-version", "openai", CANARY, "--yes"),
    ],
)
def test_a_key_as_an_argument_is_refused_and_never_echoed(
    fake: FakeGatehouse, run: Run, arguments: tuple[str, ...]
) -> None:
    result = run("keys", *arguments, input="piped-key-123")
    assert result.exit_code == 2
    # The error box breaks long lines.
    assert "CANARY" not in re.sub(r"[\s│]", "", result.output)
    assert not {"CreateKey", "RotateKey"} & set(methods(fake))


def test_no_key_at_all_is_a_usage_error(fake: FakeGatehouse, run: Run) -> None:
    result = run("keys", "create", "openai", "--type", "openai", input=" \n")
    assert result.exit_code == 2
    assert "standard input is empty" in result.stderr
    assert fake.received == []


def test_an_unknown_type_or_one_without_a_home_is_explained(fake: FakeGatehouse, run: Run) -> None:
    unknown = run("keys", "create", "k", "--type", "opnai", input=CANARY)
    assert unknown.exit_code == 2
    assert "openai_compatible" in unknown.stderr
    homeless = run("keys", "create", "k", "--type", "openai_compatible", input=CANARY)
    assert homeless.exit_code == 2
    assert "--origin" in homeless.stderr
    assert "CreateKey" not in methods(fake)


def test_create_takes_a_vault_secret_in_place_of_the_key(fake: FakeGatehouse, run: Run) -> None:
    assert run("keys", "create", "k", "--type", "openai", "--vault-secret", "acme-openai@3").exit_code == 0
    request = fake.last("CreateKey").request
    assert (request.api_key, request.vault_secret.id, request.vault_secret.version) == (b"", "acme-openai", 3)
    assert run("keys", "create", "k", "--type", "openai", "--vault-secret", "acme-openai").exit_code == 0
    request = fake.last("CreateKey").request
    assert (request.vault_secret.id, request.vault_secret.version) == ("acme-openai", 0)


def test_a_key_and_a_vault_secret_together_are_a_usage_error(fake: FakeGatehouse, run: Run) -> None:
    result = run("keys", "create", "k", "--type", "openai", "--vault-secret", "acme", "--from-env", "HOME")
    assert result.exit_code == 2
    assert "give one of them" in result.stderr
    assert fake.received == []


def test_create_says_where_else_the_same_key_is(fake: FakeGatehouse, run: Run) -> None:
    twice = CreateKeyResponse(key=KEY, duplicate_keys=["tenants/acme/keys/b"], hidden_duplicate_count=1)
    fake.answers["CreateKey"] = lambda _: twice
    result = run("keys", "create", "a", "--type", "openai", input=CANARY)
    assert "stored elsewhere as well: tenants/acme/keys/b, 1 more place that you may not see." in result.stderr
    document = json.loads(run("keys", "create", "a", "--type", "openai", "--json", input=CANARY).stdout)
    assert (document["key"]["name"], document["duplicate_keys"]) == (KEY.name, ["tenants/acme/keys/b"])
    fake.answers["CreateKey"] = lambda _: CreateKeyResponse(key=KEY)
    assert "elsewhere" not in run("keys", "create", "a", "--type", "openai", input=CANARY).stderr


def test_list_shows_how_keys_are_doing(fake: FakeGatehouse, run: Run) -> None:
    fake.answers["ListKeys"] = lambda _: ListKeysResponse(keys=[KEY, LENT_KEY, Key(name="n", create_time=NOON)])
    result = run("keys", "list")
    header, working, lent, fresh = (re.split(r" {2,}", line.strip()) for line in result.stdout.splitlines())
    assert header == ["NAME", "TYPE", "KEY", "VERSION", "STATE", "CONDITION", "LAST USED", "IN USE FOR"]
    assert working == [KEY.name, "openai", "…a1b2", "3", "active", "working", "3 min ago", "2 h"]
    assert lent == [LENT_KEY.name, "openai", "vault:acme-openai@4", "1", "disabled", "rejected", "never", "2 h"]
    assert fresh[-3:] == ["not used yet", "never", "2 h"]
    assert "\x1b" not in result.output
    assert json.loads(run("keys", "list", "--json").stdout)[0]["fingerprint"] == KEY.fingerprint


def test_list_is_narrowed_by_the_server(fake: FakeGatehouse, run: Run) -> None:
    fake.answers["ListKeys"] = lambda _: ListKeysResponse()
    result = run("keys", "list", "--type", "openai", "--state", "disabled", "--condition", "rejected", "--users")
    assert "tenants/acme has no such keys" in result.stderr
    request = fake.last("ListKeys").request
    assert (request.provider_type, request.state, request.condition, request.include_users) == ("openai", 2, 2, True)
    run("keys", "list")
    request = fake.last("ListKeys").request
    assert (request.provider_type, request.state, request.condition, request.include_users) == ("", 0, 0, False)


@pytest.mark.parametrize(
    "options", [("--state", "broken"), ("--condition", "sad"), ("--users", "--owner", "user"), ("--owner", "nobody")]
)
def test_wrong_filters_are_usage_errors(fake: FakeGatehouse, run: Run, options: tuple[str, ...]) -> None:
    assert run("keys", "list", *options).exit_code == 2
    assert fake.received == []


def test_get_shows_state_condition_and_versions(fake: FakeGatehouse, run: Run) -> None:
    fake.answers["GetKey"] = lambda _: GetKeyResponse(key=rotated_key(overlap=5_400))
    facts, versions = run("keys", "get", "openai").stdout.split("\nversions\n")
    noon = local_time(NOON)
    lines = [re.split(r" {2,}", line.strip()) for line in facts.splitlines()]
    assert ["state", "active"] in lines
    assert ["condition", f"working since {noon} (2 h ago)"] in lines
    assert ["last used", f"{local_time(KEY.status.last_use_time)} (3 min ago)"] in lines
    assert "last rejected" not in facts
    until = local_time(rotated_key(overlap=5_400).versions[1].retire_time)
    assert [re.split(r" {2,}", line.strip()) for line in versions.splitlines()] == [
        ["VERSION", "STATE", "KEY", "ENTERED", "USABLE"],
        ["4", "current", "…9f8e", noon, "yes"],
        ["3", "overlapping", "…a1b2", noon, f"as a fallback until {until} (in 1 h 30 min)"],
        ["2", "retired", "…c3d4", noon, f"no, since {noon}"],
        ["1", "destroyed", "…e5f6", noon, f"never again, destroyed {noon}"],
    ]
    assert fake.last("GetKey").request.name == "tenants/acme/keys/openai"


def test_get_points_out_a_key_that_is_refused(fake: FakeGatehouse, run: Run) -> None:
    fake.answers["GetKey"] = lambda _: GetKeyResponse(key=LENT_KEY)
    result = run("keys", "get", "platform/keys/lent")
    assert "its provider refuses it; replace it with: gatehouse keys rotate platform/keys/lent" in result.stderr
    assert fake.last("GetKey").request.name == "platform/keys/lent"
    fake.answers["GetKey"] = lambda _: GetKeyResponse(key=KEY)
    assert run("keys", "get", "openai").stderr == ""


def test_get_prints_the_json_of_the_api(fake: FakeGatehouse, run: Run) -> None:
    document = json.loads(run("--json", "keys", "get", "openai").stdout)
    assert (document["version"], document["state"]) == (3, "KEY_STATE_ACTIVE")
    assert [each["state"] for each in document["versions"]][:2] == [
        "KEY_VERSION_STATE_CURRENT",
        "KEY_VERSION_STATE_RETIRED",
    ]


def test_a_state_of_a_newer_server_is_shown_by_its_number(fake: FakeGatehouse, run: Run) -> None:
    newer = Key(name="n")
    newer.MergeFromString(b"\x50\x2a")  # state = 42
    fake.answers["GetKey"] = lambda _: GetKeyResponse(key=newer)
    assert re.search(r"^state +42 *$", run("keys", "get", "n").stdout, re.MULTILINE)


def test_update_changes_exactly_what_is_given(fake: FakeGatehouse, run: Run) -> None:
    assert run("keys", "update", "openai", "--display-name", "", "--label", "a=b").exit_code == 0
    request = fake.last("UpdateKey").request
    assert list(request.update_mask.paths) == ["display_name", "labels"]
    assert (request.key.name, dict(request.key.labels), request.key.display_name) == (KEY.name, {"a": "b"}, "")
    assert run("keys", "update", "openai", "--display-name", "Prod").exit_code == 0
    assert list(fake.last("UpdateKey").request.update_mask.paths) == ["display_name"]
    fake.received.clear()
    assert "say what to change" in run("keys", "update", "openai").stderr
    assert run("keys", "update", "openai", "--label", "nonsense").exit_code == 2
    assert fake.received == []


def test_disable_acts_at_once_and_says_how_to_enable(fake: FakeGatehouse, run: Run) -> None:
    result = run("keys", "disable", "openai", input="")
    assert result.exit_code == 0
    assert "gatehouse keys enable openai" in result.stderr
    assert json.loads(run("keys", "enable", "openai", "--json").stdout)["name"] == KEY.name
    assert methods(fake) == ["DisableKey", "EnableKey"]
    assert {fake.last(method).request.name for method in methods(fake)} == {KEY.name}


def test_an_empty_list_says_how_to_begin(fake: FakeGatehouse, run: Run) -> None:
    fake.answers["ListKeys"] = lambda _: ListKeysResponse()
    result = run("keys", "list", "--owner", "platform")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "platform has no keys" in result.stderr
    assert run("keys", "list", "--json").stdout == "[]\n"


@pytest.mark.usefixtures("terminal")
def test_delete_shows_what_it_deletes_and_asks(fake: FakeGatehouse, run: Run) -> None:
    result = run("keys", "delete", "openai", input="n\n")
    assert result.exit_code == 1
    assert (
        "Delete tenants/acme/keys/openai (openai, …a1b2, last used 3 min ago) with all its versions for ever?"
        in result.stderr
    )
    assert methods(fake) == ["GetKey"]
    assert run("keys", "delete", "openai", input="y\n").exit_code == 0
    request = fake.last("DeleteKey").request
    assert (request.name, request.etag) == (KEY.name, "e1")


def test_nobody_to_ask_needs_yes(fake: FakeGatehouse, run: Run) -> None:
    result = run("keys", "delete", "openai", input="")
    assert result.exit_code == 2
    assert "--yes" in result.stderr
    assert fake.received == []
    assert run("keys", "delete", "openai", "--yes").exit_code == 0
    assert methods(fake) == ["DeleteKey"]


def test_notifications_say_what_happened(fake: FakeGatehouse, run: Run) -> None:
    types = (1, 2, 3)
    fake.answers["ListKeyNotifications"] = lambda _: ListKeyNotificationsResponse(
        notifications=[KeyNotification(key=KEY.name, version=3, type=each, create_time=NOON) for each in types],  # type: ignore[arg-type]
        next_page_token="more",
    )
    result = run("keys", "notifications", "--limit", "3")
    lines = [re.split(r" {2,}", line.strip()) for line in result.stdout.splitlines()]
    assert lines[1:] == [
        [local_time(NOON), KEY.name, "3", "its provider began to refuse it: rotate it"],
        [local_time(NOON), KEY.name, "3", "its provider says that credit or quota is used up"],
        [local_time(NOON), KEY.name, "3", "its provider accepts it again"],
    ]
    request = fake.last("ListKeyNotifications").request
    assert (request.parent, request.page_size, len(fake.received)) == ("tenants/acme", 3, 1)
    document = json.loads(run("keys", "notifications", "--limit", "1", "--json").stdout)
    assert [each["type"] for each in document] == ["KEY_NOTIFICATION_TYPE_REJECTED"]
    fake.answers["ListKeyNotifications"] = lambda _: ListKeyNotificationsResponse()
    quiet = run("keys", "notifications", "--owner", "user")
    assert "nothing happened to the keys of tenants/acme/users/dev" in quiet.stderr
    assert run("keys", "notifications", "--limit", "0").exit_code == 2


def test_a_refusal_of_the_server_shows_its_fields(fake: FakeGatehouse, run: Run) -> None:
    from google.rpc.error_details_pb2 import BadRequest

    wrong = BadRequest(field_violations=[BadRequest.FieldViolation(field="api_key", description="is too short")])
    fake.fails("CreateKey", failure(grpc.StatusCode.INVALID_ARGUMENT, "two fields are wrong", "INVALID_FIELD", wrong))
    result = run("keys", "create", "openai", "--type", "openai", input=CANARY)
    assert result.exit_code == 1
    assert "• api_key: is too short" in result.stderr
    assert CANARY not in result.output


@pytest.mark.parametrize("key", ["sk-proj-abcdefghijklmnopqrstuv0003", "gsk_0123456789abcdef", "xai-0123456789"])
def test_an_id_that_begins_as_real_keys_do_is_refused_and_not_repeated(fake: FakeGatehouse, run: Run, key: str) -> None:
    result = run("keys", "create", key, "--type", "openai", "--origin", "https://api.openai.com", input="x")
    assert result.exit_code == 2
    assert key not in result.stderr
    assert fake.received == []
