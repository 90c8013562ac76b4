"""The table of processes and the settings behind it."""

import json
import os
import sys
from pathlib import Path

import pytest

import deploy.local.__main__ as entry
from deploy.local import launch
from deploy.local.errors import LauncherError
from deploy.local.layout import StateLayout
from deploy.local.process import ProcessSpec
from deploy.local.settings import load_settings
from deploy.local.stack import Stack, prepare_stack

CANARY = "sk-canary-4711-never-in-an-environment"


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith(("GATEHOUSE_", "KEY_VAULT_", "ROUTER_", "PROVIDER_CONFIG_", "USAGE_ACCOUNTING_")):
            monkeypatch.delenv(name)


@pytest.fixture
def layout(tmp_path: Path) -> StateLayout:
    layout = StateLayout.at(tmp_path)
    layout.make()
    return layout


def stack(layout: StateLayout) -> Stack:
    return prepare_stack(load_settings(), layout)


def process(layout: StateLayout, name: str) -> ProcessSpec:
    return next(spec for spec in stack(layout).processes if spec.name == name)


def test_a_vault_set_up_by_an_earlier_version_is_noticed(layout: StateLayout) -> None:
    assert stack(layout).notices == ()
    (layout.vault / "set-up-complete").write_text("self-initialisation complete\n")
    (notice,) = stack(layout).notices
    assert "was set up by an earlier version" in notice


def test_provider_keys_reach_no_process_but_key_vault(layout: StateLayout, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, CANARY)
    reached = {
        (spec.name, name)
        for spec in stack(layout).processes
        for name, value in spec.environment.items()
        if CANARY in value
    }
    assert reached == {("key_vault", "ANTHROPIC_API_KEY")}
    assert all(CANARY not in " ".join(spec.command) for spec in stack(layout).processes)
    assert CANARY not in repr(load_settings())


def test_a_service_listens_where_clients_and_the_router_look_for_it(
    layout: StateLayout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEHOUSE_KEY_VAULT_PORT", "9101")
    monkeypatch.setenv("GATEHOUSE_KEY_VAULT_INTERNAL_PORT", "9201")
    environment = process(layout, "key_vault").environment
    assert environment["KEY_VAULT_PUBLIC_ADDRESS"] == "127.0.0.1:9101"
    assert environment["KEY_VAULT_INTERNAL_ADDRESS"] == "127.0.0.1:9201"
    assert process(layout, "router").environment["ROUTER_KEY_VAULT_TARGET"] == "localhost:9201"
    provider_config = process(layout, "provider_config").environment
    assert provider_config["PROVIDER_CONFIG_KEY_VAULT_TARGET"] == "localhost:9201"
    assert provider_config["PROVIDER_CONFIG_ROUTER_TARGET"] == "localhost:7200"
    assert json.loads(layout.client_file.read_text())["endpoints"]["key_vault"] == "localhost:9101"


def test_providers_may_live_on_this_machine(layout: StateLayout) -> None:
    for name in ("router", "provider_config"):
        assert process(layout, name).environment[f"{name.upper()}_ALLOW_LOOPBACK_ENDPOINTS"] == "true"


def test_the_client_file_leads_to_everything_a_client_needs(layout: StateLayout) -> None:
    issuer = stack(layout).issuer
    assert json.loads(layout.client_file.read_text()) == {
        "ca": str(layout.ca_certificate),
        "endpoints": {
            "router": "localhost:7100",
            "key_vault": "localhost:7101",
            "provider_config": "localhost:7102",
            "usage_accounting": "localhost:7103",
        },
        "issuer": {
            "key": str(layout.issuer_key),
            "kid": issuer.kid,
            "issuer": "https://gatehouse.local",
            "audience": "gatehouse",
        },
    }


def test_every_file_a_service_is_pointed_to_exists(layout: StateLayout) -> None:
    made_later = ("KEY_VAULT_VAULT_READER_", "KEY_VAULT_VAULT_WRITER_", "KEY_VAULT_AUDIT_ANCHOR_")
    for spec in stack(layout).processes:
        for name, value in spec.environment.items():
            if name.endswith("_FILE") and not name.startswith(made_later):
                assert Path(value).is_file(), name


def test_a_variable_of_the_service_wins_over_a_default(layout: StateLayout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY_VAULT_DATABASE_URL", "postgresql+psycopg://db/keys")
    monkeypatch.setenv("ROUTER_LOG_LEVEL", "DEBUG")
    assert process(layout, "key_vault").environment["KEY_VAULT_DATABASE_URL"] == "postgresql+psycopg://db/keys"
    assert process(layout, "router").environment["ROUTER_LOG_LEVEL"] == "DEBUG"


def test_a_variable_of_the_service_does_not_win_over_its_identity(
    layout: StateLayout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROUTER_TLS_KEY_FILE", "/elsewhere")
    assert process(layout, "router").environment["ROUTER_TLS_KEY_FILE"] == str(layout.certificate_key("router"))


def test_the_telemetry_endpoint_is_handed_on(layout: StateLayout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4317")
    assert process(layout, "router").environment["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://127.0.0.1:4317"


def test_variables_for_vault_clients_do_not_reach_the_server(
    layout: StateLayout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAULT_RAFT_PATH", "/elsewhere")
    monkeypatch.setenv("BAO_TOKEN", "token")
    assert set(process(layout, "openbao").environment) <= {"PATH", "TZ"}


@pytest.mark.parametrize("name", ["fingerprint_key", "audit_seal_key"])
def test_the_keys_of_the_deployment_survive_restarts(layout: StateLayout, name: str) -> None:
    stack(layout)
    file: Path = getattr(layout, name)
    first = file.read_text()
    stack(layout)
    assert file.read_text() == first
    assert len(bytes.fromhex(first)) == 32


def test_a_state_from_before_the_audit_seal_gets_its_key(layout: StateLayout) -> None:
    stack(layout)
    layout.audit_seal_key.unlink()
    fingerprint_key = layout.fingerprint_key.read_text()
    seal_file = process(layout, "provider_config").environment["PROVIDER_CONFIG_AUDIT_SEAL_KEY_FILE"]
    assert Path(seal_file).read_text() != fingerprint_key == layout.fingerprint_key.read_text()


@pytest.mark.parametrize("value", ["0", "65536", "seven", "-1"])
def test_a_port_that_is_none_is_refused_by_its_variable(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEHOUSE_ROUTER_PORT", value)
    with pytest.raises(LauncherError, match="GATEHOUSE_ROUTER_PORT"):
        load_settings()


def test_an_empty_provider_key_counts_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "")
    assert load_settings().openai_api_key is None


def test_a_wrong_setting_ends_the_launch_with_its_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GATEHOUSE_SANDBOX_PORT", "none")
    assert launch.run(["--once"]) == 1
    assert "GATEHOUSE_SANDBOX_PORT" in capsys.readouterr().err


def test_an_old_python_is_told_what_is_needed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.version_info", (3, 10, 4))
    assert entry.main() == 1
    assert "needs Python 3.11 or newer; this is 3.10.4" in capsys.readouterr().err


def test_a_missing_package_sends_to_make_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "deploy.local.launch", None)
    assert entry.main() == 1
    assert "is missing from" in capsys.readouterr().err
