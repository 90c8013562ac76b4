from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gatehouse.keyvault.v1.key_pb2 import Key
from gatehouse.keyvault.v1.key_service_pb2 import CreateKeyResponse, ListKeysResponse

from tests.unit.client.configured import Configured
from tests.unit.client.fake_gatehouse import FakeGatehouse

Run = Callable[..., Any]

FILES = Path(__file__).parent / "configuration" / "files"
SIMPLE, BALANCED, INLINE = (str(FILES / f"{name}.yaml") for name in ("simple", "balanced", "inline"))
FROM = ("config", "import", "--from", "litellm")


@pytest.fixture
def keys(fake: FakeGatehouse) -> dict[str, Key]:
    """The keys that are stored, by name."""
    stored: dict[str, Key] = {}

    def create(request: Any) -> CreateKeyResponse:
        key = Key()
        key.CopyFrom(request.key)
        key.name = f"{request.parent}/keys/{request.key_id}"
        stored[key.name] = key
        return CreateKeyResponse(key=key)

    fake.answers["CreateKey"] = create
    fake.answers["ListKeys"] = lambda _: ListKeysResponse(keys=list(stored.values()))
    return stored


@pytest.fixture(autouse=True)
def server(fake: FakeGatehouse, keys: dict[str, Key], monkeypatch: pytest.MonkeyPatch) -> Configured:
    for variable in ("OPENAI_API_KEY", "GROQ_API_KEY", "VLLM_KEY"):
        monkeypatch.setenv(variable, f"value-of-{variable}")
    monkeypatch.setenv("VLLM_BASE", "https://vllm.example.com/v1")
    return Configured(fake)


def test_a_litellm_file_becomes_keys_providers_models_and_routes(
    fake: FakeGatehouse, server: Configured, keys: dict[str, Key], run: Run
) -> None:
    result = run(*FROM, BALANCED, "--yes")
    assert result.exit_code == 0, result.stderr
    assert [(name, key.provider_type, key.origin) for name, key in keys.items()] == [
        ("tenants/acme/keys/openai-api-key", "openai", "https://api.openai.com"),
        ("tenants/acme/keys/vllm-key", "openai_compatible", "https://vllm.example.com"),
        ("tenants/acme/keys/groq-api-key", "openai_compatible", "https://api.groq.com"),
    ]
    materials = [call.request.api_key for call in fake.received if call.method == "CreateKey"]
    assert materials == [b"value-of-OPENAI_API_KEY", b"value-of-VLLM_KEY", b"value-of-GROQ_API_KEY"]
    route = server.held["tenants/acme/routes/chat"]
    assert [(target.provider.rpartition("/")[2], target.weight) for target in route.targets] == [
        ("openai", 7),
        ("vllm.example.com", 2),
    ]
    assert server.held["tenants/acme/providers/openai"].key == "tenants/acme/keys/openai-api-key"
    assert "not taken over as it is:" in result.stderr
    assert "this Gatehouse does not speak to azure" in result.stderr
    assert "stored the key openai-api-key" in result.stderr
    assert "value-of" not in result.output
    again = run(*FROM, BALANCED, "--yes")
    assert (again.exit_code, again.stdout) == (0, "")
    assert "nothing differs" in again.stderr
    assert len(keys) == 3


def test_a_dry_run_shows_everything_and_stores_nothing(
    fake: FakeGatehouse, keys: dict[str, Key], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GROQ_API_KEY")
    result = run(*FROM, SIMPLE, "--dry-run", "--exit-code")
    assert result.exit_code == 3
    assert result.stdout.splitlines()[:4] == [
        "+ keys.openai-api-key (openai, only for https://api.openai.com) from $OPENAI_API_KEY",
        "+ keys.groq-api-key (openai_compatible, only for https://api.groq.com) from $GROQ_API_KEY",
        "+ providers.groq",
        "    type: openai_compatible",
    ]
    assert "the environment variable GROQ_API_KEY is not set" in result.stderr
    assert "5 to create, 0 to update, 0 to delete, 2 keys to store" in result.stderr
    assert keys == {}
    assert not [call for call in fake.received if call.method.startswith("Create") and not call.request.validate_only]


def test_missing_variables_are_named_before_anything_is_done(
    fake: FakeGatehouse, keys: dict[str, Key], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GROQ_API_KEY")
    monkeypatch.setenv("OPENAI_API_KEY", " ")
    result = run(*FROM, SIMPLE, "--yes")
    assert result.exit_code == 2
    assert "set GROQ_API_KEY, OPENAI_API_KEY in the environment" in re.sub(r"[│\s]+", " ", result.stderr)
    assert keys == {}
    assert not [call for call in fake.received if call.method.startswith("Create") and not call.request.validate_only]


def test_a_key_that_is_stored_is_used_as_it_is(
    fake: FakeGatehouse, keys: dict[str, Key], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, kind, origin in (
        ("openai-api-key", "openai", "https://api.openai.com"),
        ("groq-api-key", "openai_compatible", "https://api.groq.com:443"),  # as servers say it
    ):
        keys[name] = Key(name=f"tenants/acme/keys/{name}", provider_type=kind, origin=origin)
    monkeypatch.delenv("GROQ_API_KEY")
    result = run(*FROM, SIMPLE, "--yes")
    assert result.exit_code == 0, result.stderr
    assert "the key groq-api-key is stored already and is used as it is" in result.stderr
    assert not [call for call in fake.received if call.method == "CreateKey"]


def test_a_key_for_something_else_is_not_taken(keys: dict[str, Key], run: Run) -> None:
    keys["x"] = Key(name="tenants/acme/keys/openai-api-key", provider_type="openai", origin="https://elsewhere")
    result = run(*FROM, SIMPLE, "--yes")
    assert result.exit_code == 1
    assert "the key openai-api-key exists and is for openai at https://elsewhere" in result.stderr


def test_a_key_in_clear_is_taken_only_when_that_is_said(fake: FakeGatehouse, keys: dict[str, Key], run: Run) -> None:
    refused = run(*FROM, INLINE, "--yes")
    assert refused.exit_code == 1
    assert "--allow-inline-keys" in refused.stderr
    assert "sk-proj" not in refused.output
    taken = run(*FROM, INLINE, "--yes", "--allow-inline-keys")
    assert taken.exit_code == 0
    assert fake.last("CreateKey").request.api_key == b"sk-proj-abcdefghijklmnop1234"
    assert "+ keys.openai (openai, only for https://api.openai.com) from the file" in taken.stdout
    assert "sk-proj" not in taken.output


def test_json_has_keys_and_remarks_and_no_secret(run: Run) -> None:
    result = run(*FROM, SIMPLE, "--dry-run", "--json")
    document = json.loads(result.stdout)
    assert document["keys"][0] == {
        "name": "tenants/acme/keys/openai-api-key",
        "provider_type": "openai",
        "origin": "https://api.openai.com",
        "stored_before": False,
        "variable": "OPENAI_API_KEY",
    }
    assert document["remarks"][-1]["path"] == "general_settings"
    assert "value-of" not in result.output


def test_a_user_takes_over_providers_but_no_routes(server: Configured, keys: dict[str, Key], run: Run) -> None:
    result = run(*FROM, BALANCED, "--owner", "user", "--yes")
    assert result.exit_code == 0, result.stderr
    assert "only tenants have routes: those of chat, fast, gpt-4, smart are not taken over" in result.stderr
    assert "tenants/acme/users/dev/keys/openai-api-key" in keys
    assert "tenants/acme/users/dev/providers/openai" in server.held
    assert not [name for name in server.held if "/routes/" in name]
