from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from gatehouse.keyvault.v1.key_service_pb2 import (
    CreateKeyResponse,
    GetKeyResponse,
    ListKeysResponse,
    RotateKeyResponse,
)
from gatehouse.providerconfig.v1.provider_service_pb2 import ListProviderTypesResponse

from tests.unit.client.fake_gatehouse import FakeGatehouse, failure
from tests.unit.client.samples import KEY, TYPES

Run = Callable[..., Any]
CANARY = "sk-proj-CANARY0123456789"


@pytest.fixture(autouse=True)
def answers(fake: FakeGatehouse) -> None:
    fake.answers["ListProviderTypes"] = lambda _: ListProviderTypesResponse(provider_types=TYPES)
    fake.answers["CreateKey"] = lambda _: CreateKeyResponse(key=KEY)
    fake.answers["RotateKey"] = lambda _: RotateKeyResponse(key=KEY)
    fake.answers["GetKey"] = lambda _: GetKeyResponse(key=KEY)
    fake.answers["ListKeys"] = lambda _: ListKeysResponse(keys=[KEY])


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
    assert run("keys", "create", "k", *options, "--owner", "user", "--user", "ann").exit_code == 0
    request = fake.last("CreateKey").request
    assert (request.parent, request.key.origin) == ("tenants/acme/users/ann", "http://localhost:8000")
    assert request.api_key == CANARY.encode()
    assert methods(fake) == ["CreateKey"]


def test_create_asks_for_the_key_without_showing_it(
    fake: FakeGatehouse, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gatehouse.cli.keys.stdin_is_terminal", lambda: True)
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
        ("rotate", "openai", CANARY, "--yes"),
        ("rotate", CANARY, "--yes"),
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


def test_list_and_get_show_metadata_as_text_or_json(fake: FakeGatehouse, run: Run) -> None:
    text = run("keys", "list")
    assert text.stdout.splitlines()[1].split()[:4] == [KEY.name, "openai", "https://api.openai.com", "…a1b2"]
    assert "\x1b" not in text.output
    assert json.loads(run("keys", "list", "--json").stdout)[0]["fingerprint"] == KEY.fingerprint
    assert json.loads(run("--json", "keys", "get", "openai").stdout)["version"] == 3
    assert fake.last("GetKey").request.name == "tenants/acme/keys/openai"
    run("keys", "get", "platform/keys/spare")
    assert fake.last("GetKey").request.name == "platform/keys/spare"


def test_an_empty_list_says_how_to_begin(fake: FakeGatehouse, run: Run) -> None:
    fake.answers["ListKeys"] = lambda _: ListKeysResponse()
    result = run("keys", "list", "--owner", "platform")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "platform has no keys" in result.stderr
    assert run("keys", "list", "--json").stdout == "[]\n"


def test_rotate_and_delete_ask_first(fake: FakeGatehouse, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gatehouse.cli.terminal.stdin_is_terminal", lambda: True)
    monkeypatch.setattr("gatehouse.cli.keys.stdin_is_terminal", lambda: True)
    assert run("keys", "delete", "openai", input="n\n").exit_code == 1
    assert run("keys", "rotate", "openai", input="n\n").exit_code == 1
    assert fake.received == []
    assert run("keys", "delete", "openai", input="y\n").exit_code == 0
    result = run("keys", "rotate", "openai", input=f"y\n{CANARY}\n")
    assert result.exit_code == 0
    assert CANARY not in result.output
    assert methods(fake) == ["DeleteKey", "RotateKey"]
    assert fake.last("RotateKey").request.api_key == CANARY.encode()


def test_nobody_to_ask_needs_yes(fake: FakeGatehouse, run: Run) -> None:
    result = run("keys", "delete", "openai", input="")
    assert result.exit_code == 2
    assert "--yes" in result.stderr
    assert fake.received == []
    assert run("keys", "delete", "openai", "--yes").exit_code == 0
    assert run("keys", "rotate", "openai", "--yes", input=CANARY).exit_code == 0
    assert methods(fake) == ["DeleteKey", "RotateKey"]


def test_a_refusal_of_the_server_shows_its_fields(fake: FakeGatehouse, run: Run) -> None:
    from google.rpc.error_details_pb2 import BadRequest

    wrong = BadRequest(field_violations=[BadRequest.FieldViolation(field="api_key", description="is too short")])
    fake.fails("CreateKey", failure(grpc.StatusCode.INVALID_ARGUMENT, "two fields are wrong", "INVALID_FIELD", wrong))
    result = run("keys", "create", "openai", "--type", "openai", input=CANARY)
    assert result.exit_code == 1
    assert "• api_key: is too short" in result.stderr
    assert CANARY not in result.output
