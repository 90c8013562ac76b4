from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from gatehouse.advice import advice_for
from gatehouse.cli import app
from typer.testing import CliRunner

from tests.unit.client.fake_gatehouse import FakeGatehouse

Run = Callable[..., Any]


def claims_of(token: str) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return claims


def claims_sent(fake: FakeGatehouse) -> dict[str, Any]:
    return claims_of(str(fake.received[-1].metadata["authorization"]).removeprefix("Bearer "))


def test_without_a_token_a_development_token_is_made(fake: FakeGatehouse, run: Run) -> None:
    run("keys", "list")
    claims = claims_sent(fake)
    assert (claims["tenant"], claims["sub"], claims["roles"]) == ("acme", "dev", ["tenant_admin"])
    run("--tenant", "t1", "keys", "list", "--user", "ann")
    claims = claims_sent(fake)
    assert (claims["tenant"], claims["sub"]) == ("t1", "ann")
    assert fake.last("ListKeys").request.parent == "tenants/t1"


def test_a_given_token_is_used_and_chooses_the_tenant(
    fake: FakeGatehouse, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = jwt.encode({"tenant": "other", "sub": "bob"}, "k" * 32)
    run("keys", "list", "--token", token)
    assert fake.last("ListKeys").metadata["authorization"] == f"Bearer {token}"
    assert fake.last("ListKeys").request.parent == "tenants/other"
    monkeypatch.setenv("GATEHOUSE_TOKEN", token)
    run("keys", "list", "--owner", "user")
    assert fake.last("ListKeys").request.parent == "tenants/other/users/bob"
    run("keys", "list", "--tenant", "mine")
    assert fake.last("ListKeys").request.parent == "tenants/mine"
    assert run("keys", "list", "--token", "not.a-jwt").exit_code == 0


def test_token_prints_a_token_and_says_what_it_is(run: Run) -> None:
    result = run("token", "--role", "member", "--role", "service", "--plan", "gold", "--ttl", "8h", "--tenant", "t1")
    assert result.exit_code == 0
    claims = claims_of(result.stdout.strip())
    assert (claims["tenant"], claims["roles"], claims["plan"]) == ("t1", ["member", "service"], "gold")
    assert claims["exp"] - claims["iat"] == 8 * 3600
    assert "development token for dev of t1" in result.stderr
    assert json.loads(run("token", "--json").stdout)["roles"] == ["tenant_admin"]


def test_a_token_tells_of_a_second_factor_only_when_asked_to(fake: FakeGatehouse, run: Run) -> None:
    result = run("token", "--mfa")
    claims = claims_of(result.stdout.strip())
    assert (claims["auth_time"], claims["amr"]) == (claims["iat"], ["pwd", "otp"])
    assert "signed in with a second factor" in result.stderr
    assert not {"auth_time", "amr", "acr"} & set(claims_of(run("token").stdout.strip()))
    run("keys", "list")
    assert not {"auth_time", "amr", "acr"} & set(claims_sent(fake))
    assert "gatehouse token --mfa" in advice_for("UNAUTHENTICATED", "FRESH_AUTHENTICATION_REQUIRED", None)


@pytest.mark.parametrize("arguments", [("--ttl", "0s"), ("--ttl", "31d"), ("--ttl", "soon"), ("--role", "king")])
def test_wrong_token_options_are_usage_errors(run: Run, arguments: tuple[str, ...]) -> None:
    assert run("token", *arguments).exit_code == 2


def test_token_needs_an_issuer_key(fake: FakeGatehouse, run: Run) -> None:
    content = json.loads(fake.profile.read_text())
    issuer = content.pop("issuer")
    fake.profile.write_text(json.dumps(content))
    result = run("token")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "no issuer key" in result.stderr
    fake.profile.write_text(json.dumps(content | {"issuer": issuer | {"key": "/does/not/exist"}}))
    unreadable = run("token")
    assert unreadable.exit_code == 1
    assert "cannot be read" in unreadable.stderr


def test_no_profile_is_explained(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GATEHOUSE_PROFILE", raising=False)
    result = CliRunner().invoke(app, ["keys", "list"])
    assert result.exit_code == 1
    assert "make run" in result.stderr


def all_commands() -> list[tuple[str, ...]]:
    groups = {
        "keys": [
            *("create", "get", "list", "update", "disable", "enable", "rotate", "rollback", "destroy-version"),
            *("delete", "notifications", "rewrap", "rewrap-progress"),
        ],
        "audit": ["list", "verify", "export", "key-use"],
        "providers": ["create", "get", "list", "update", "delete", "types"],
        "models": ["create", "get", "list", "update", "delete"],
        "usage": ["records", "stats"],
        "quotas": ["create", "get", "list", "update", "delete", "state"],
    }
    pairs = [(group, command) for group, commands in groups.items() for command in commands]
    return [(), ("chat",), ("explain",), ("token",), *((group,) for group in groups), *pairs]


@pytest.mark.parametrize("command", all_commands(), ids=" ".join)
def test_every_help_page_has_examples(command: tuple[str, ...]) -> None:
    result = CliRunner().invoke(app, [*command, "--help"])
    assert result.exit_code == 0
    examples = result.stdout.partition("Examples")[2]
    assert f"gatehouse {' '.join(command)}".strip() in examples


def test_help_and_completion_load_no_grpc() -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from gatehouse.cli import app\n"
        "assert CliRunner().invoke(app, ['keys', '--help']).exit_code == 0\n"
        "heavy = {'grpc', 'google.protobuf', 'jwt', 'cryptography'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_wrong_command_is_a_usage_error_and_the_version_is_told() -> None:
    assert CliRunner().invoke(app, ["kyes"]).exit_code == 2
    assert CliRunner().invoke(app, ["keys", "list", "--nonsense"]).exit_code == 2
    assert CliRunner().invoke(app, ["--version"]).stdout.startswith("gatehouse ")


def test_an_option_before_the_command_wins_over_the_variable(
    fake: FakeGatehouse, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_variable, of_option = (jwt.encode({"tenant": "acme", "sub": sub}, "k" * 32) for sub in ("a", "b"))
    monkeypatch.setenv("GATEHOUSE_TOKEN", of_variable)
    for arguments, token in (
        (("keys", "list"), of_variable),
        (("--token", of_option, "keys", "list"), of_option),
        (("keys", "list", "--token", of_option), of_option),
        (("--token", of_variable, "keys", "list", "--token", of_option), of_option),
    ):
        run(*arguments)
        assert fake.last("ListKeys").metadata["authorization"] == f"Bearer {token}"
    assert run("--profile", "/nowhere/client.json", "keys", "list").exit_code == 1


@pytest.mark.parametrize("columns", ["60", "80", "200"])
def test_help_cuts_nothing_off(columns: str) -> None:
    for command, words in {
        ("providers", "create"): ("--default-max-output-tokens <int>", "--default-for-task TASK", "[default: tenant]"),
        ("routes", "update"): ("--run-experiment / --pause-experiment", "plans=pro+enterprise,", "weight=3,"),
        ("token",): ("--role <member|tenant_admin|super_admin|service>",),
    }.items():
        page = CliRunner().invoke(app, [*command, "--help"], env={"COLUMNS": columns}).stdout
        assert "…" not in page.replace(" …", "")
        for word in words:
            assert word in " ".join(page.split())
    page = CliRunner().invoke(app, ["routes", "create", "--help"], env={"COLUMNS": columns}).stdout
    example = "gatehouse routes create default --target openai/gpt-4o:weight=1 --target groq/llama:weight=3"
    assert f"  {example}\n" in page


def test_a_wrong_word_is_told_with_those_there_are(run: Run) -> None:
    result = run("usage", "stats", "--by", "modle")
    assert result.exit_code == 2
    assert "'modle' is not one of 'provider', 'model'" in " ".join(result.stderr.split())
    assert "Value error" not in result.stderr


def test_a_name_of_something_else_is_refused_with_the_right_form(run: Run) -> None:
    for arguments, form in (
        (("providers", "get", "platform/sandbox"), "platform/providers/ID"),
        (("providers", "get", "http://127.0.0.1/v1"), "tenants/acme/providers/ID"),
        (("models", "get", "openai/gpt-4o"), "tenants/acme/providers/PROVIDER/models/ID"),
    ):
        result = run(*arguments)
        assert result.exit_code == 2
        assert form in result.stderr
